#!/bin/bash
# glosstune submit my.yaml --to slurm
#SBATCH --job-name=a
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-node=4
#SBATCH --exclusive
#SBATCH --mem=0
#SBATCH --time=720
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=/shared/runs/a.log
#SBATCH --partition=gpu
#SBATCH --account=me
#SBATCH --constraint=a100

module load cuda
source venv/bin/activate

set -u
for program in ray glosstune; do
    if ! command -v "$program" > /dev/null; then
        echo "$program: not found on $(hostname); make it available with lines of setup" >&2
        exit 2
    fi
done

# The head is this node. A name that leads to loopback would make each node a head of its own.
host=${SLURMD_NODENAME:-$(hostname)}
address=$(getent ahostsv4 "$host" | awk '$1 !~ /^127\./ { print $1; exit }')
address=${address:-$(hostname -I | awk '{ print $1 }')}
# Below the ports that systems hand out, above those of Ray's workers.
export RAY_ADDRESS="$address:$((20000 + SLURM_JOB_ID % 10000))"
# An open port of Ray runs anybody's code: a token for this job alone, which travels in the environment only.
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN
RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
# A folder of this job's own: /tmp/ray belongs to whoever used the node before.
export RAY_TMPDIR="/tmp/glosstune-$SLURM_JOB_ID"
# A node that hangs is given up after seconds; nodes whose Python lies on a slow disk have minutes to join.
export RAY_health_check_period_ms=1000 RAY_health_check_timeout_ms=1000 RAY_health_check_failure_threshold=3
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300

node='
(umask 077 && mkdir -p "$RAY_TMPDIR") || exit 2
trap "rm -rf $RAY_TMPDIR" EXIT
trap "exit 143" TERM
ray symmetric-run --address "$RAY_ADDRESS" --min-nodes "$SLURM_JOB_NUM_NODES" --num-cpus=8 --num-gpus=4 -- bash -c "$@"
status=$?
[ ! -e "$2/status" ] || exit 3
exit $status
'
# On the head.
driver='
"$@" &
echo $! > "$0/pid"
wait $!
status=$?
rm "$0/pid"
echo $status > "$0/status"
exit $status
'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 --cpus-per-task=8 --export=ALL \
    --kill-on-bad-exit=1 bash -c "$node" node "$driver" "$work" \
    glosstune sweep /shared/runs/a.sweep.yaml --out /shared/runs/a --resume &
step=$!
received=
hand_on() {
    received=$1
    if [ -s "$work/pid" ]; then
        kill -s "$1" "$(cat "$work/pid")"
    elif [ ! -e "$work/status" ]; then
        kill "$step"  # there is no driver yet, and nothing to save
    fi
}
trap 'hand_on USR1' USR1  # from SLURM before the time limit: save, and queue again
trap 'hand_on TERM' TERM  # from glosstune or scancel: save, and end

while kill -0 "$step" 2> /dev/null; do
    wait "$step"  # which a signal interrupts
done
wait "$step"
status=$?
if [ -s "$work/status" ]; then
    status=$(cat "$work/status")  # that of the sweep; the head fails in any case, to end the other nodes
fi
# 0 is done, 1 nothing scored, 2 an error that waiting does not mend.
if [ "$received" = USR1 ] && [ "$status" -gt 2 ]; then
    if [ "${SLURM_RESTART_COUNT:-0}" -lt 50 ]; then
        echo "glosstune: saved before the time limit; queued again, to go on"
        scontrol requeue "$SLURM_JOB_ID" && exit 0
    else
        echo "glosstune: saved before the time limit; was queued again 50 times, so no more"
    fi
fi
exit "$status"
