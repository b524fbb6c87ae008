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
if [ -n "${SLURM_ARRAY_TASK_ID-}" ]; then
    echo "glosstune: an array would run one sweep several times in one place; submit each sweep by itself" >&2
    exit 2
fi

# The head is this node. A name that leads to loopback would make each node a head of its own.
host=${SLURMD_NODENAME:-$(hostname)}
address=$(getent ahostsv4 "$host" | awk '$1 !~ /^127\./ { print $1; exit }')
address=${address:-$(hostname -I | awk '{ print $1 }')}
free_port() {
    local port=$1
    while (: < "/dev/tcp/$address/$port" || : < "/dev/tcp/127.0.0.1/$port") 2> /dev/null; do
        port=$((port + 1))
    done
    echo "$port"
}
# Below the ports that systems hand out, above those of other Rays' workers; where somebody listens already, the next.
port=$(free_port $((20000 + SLURM_JOB_ID % 10000)))
export RAY_ADDRESS="$address:$port"
# For ray://, where Ray has it: two Rays would share the default one, each getting calls that are the other's.
CLIENT_PORT=$(free_port $((30000 + SLURM_JOB_ID % 2000)))
export CLIENT_PORT
# An open port of Ray runs anybody's code: a token for this job alone, which travels in the environment only.
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN
RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
# A node that hangs is given up within half a minute, and none is waited for in the end.
export RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=0
export RAY_health_check_period_ms=1000 RAY_health_check_timeout_ms=5000 RAY_health_check_failure_threshold=3
# The driver waits for so many nodes, minutes if their Python lies on a slow disk, and then goes on with those it has.
export GLOSSTUNE_NODES=$SLURM_JOB_NUM_NODES

node='
work=$0
# Another Ray may live here, of another job or left behind: a folder and ports of our own, and only ours is ended.
RAY_TMPDIR=$(mktemp -d "/tmp/glosstune-$SLURM_JOB_ID-XXXXXX") || exit 2
export RAY_TMPDIR
ray=
leave() {
    if [ -n "$ray" ]; then
        kill "$ray"
        wait "$ray"
    fi
    rm -rf "$RAY_TMPDIR"
} 2> /dev/null
trap leave EXIT
trap "exit 143" TERM
start() {
    PYTHONUNBUFFERED=1 ray start --block "$@" --num-cpus=8 --num-gpus=4 --min-worker-port=0 --max-worker-port=0 \
        --dashboard-agent-listen-port=0 --include-log-monitor=false > "$RAY_TMPDIR/start.log" 2>&1 &
    ray=$!
}
host=${RAY_ADDRESS%:*} port=${RAY_ADDRESS##*:}

if [ "$SLURM_PROCID" != 0 ]; then
    # Until the head ends this task. A node whose Ray ends before that, as for want of memory, joins again.
    until [ "$SECONDS" -gt 300 ] && [ -z "$ray" ]; do
        if (: < "/dev/tcp/$host/$port") 2> /dev/null; then
            start --address="$RAY_ADDRESS"
            wait "$ray"
            echo "glosstune: Ray has ended on $(hostname), and is started again" >&2
            tail -n 5 "$RAY_TMPDIR/start.log" >&2
        fi
        sleep 2
    done
    exit 1
fi

client=
if "$(dirname "$(command -v ray)")/python" -c "import grpc" 2> /dev/null; then
    client=--ray-client-server-port=$CLIENT_PORT  # which Ray without grpc does not take
fi
# Ray gives its agents 15 s to begin, of which a slow disk or a busy node may take more; a second start finds their
# files in memory.
for try in 1 2 3 4 5; do
    [ "$try" = 1 ] || echo "glosstune: Ray did not come up on $(hostname) in time, and is started again" >&2
    start --head --node-ip-address="$host" --port="$port" --include-dashboard=false $client
    ends=$((SECONDS + 120))
    until grep -qs "Ray runtime started" "$RAY_TMPDIR/start.log"; do
        if ! kill -0 "$ray" 2> /dev/null; then
            grep -qE "timed out during startup|Failed to start GCS" "$RAY_TMPDIR/start.log" || break 2
            continue 2
        fi
        [ "$SECONDS" -lt "$ends" ] || break 2  # the driver will see
        sleep 0.2
    done
    break
done
"$@" &
driver=$!
echo "$driver" > "$work/pid"
status=
if kill -0 "$ray" 2> /dev/null; then
    wait -n "$driver" "$ray"
    status=$?
fi
if [ -z "$status" ] || kill -0 "$driver" 2> /dev/null; then
    cat "$RAY_TMPDIR/start.log" >&2
    (sleep 60; kill "$driver") 2> /dev/null &  # which sees by itself that Ray is gone, unless it waits for it to begin
    wait "$driver"
    status=$?
fi
rm "$work/pid"
echo "$status" > "$work/status"
[ "$SLURM_JOB_NUM_NODES" = 1 ] || exit 3
'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 --cpus-per-task=8 --export=ALL \
    --kill-on-bad-exit=1 bash -c "$node" "$work" \
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
    status=$(cat "$work/status")  # that of the sweep; the head may fail only to end the other nodes
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
