"""From a sweep to the script that runs it on SLURM, saves it before the time limit and queues it again.

The script starts one Ray cluster for one job: on each node ``ray start --block``, with ports and a folder that no other
Ray on that node has. (``ray symmetric-run`` refuses a node where another Ray of the user lives, and ends with
``ray stop``, which ends that one too.) Signals take a path of their own, because one to the whole step would end Ray
itself: SLURM signals the batch shell alone (``--signal=B:USR1``), which signals the driver, a process of the same user
on the same node. SIGUSR1 means "save, and queue again"; SIGTERM, which ``stop`` sends, means "save, and end".
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt

from glosstune.search.config.sweep import Sweep
from glosstune.search.jobs.options import check_printable, command_comment, count_cpus, part_folders
from glosstune.spaces.errors import SettingError, shown
from glosstune.spaces.files.addresses import is_uri
from glosstune.trainables.settings import Section


def _word(value: str) -> str:
    if not re.fullmatch(r"\w[\w.,:@+-]*", value):
        raise ValueError("must be letters, digits and any of _.,:@+-, and begin with a letter or digit")
    return value


def _line(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must be one line of printable text")
    return value


def _sbatch_option(value: str) -> str:
    if not re.fullmatch(r"--[a-z].*", _line(value)):
        raise ValueError("must be one long option of sbatch, such as --constraint=a100")
    if value.partition("=")[0] == "--array":
        raise ValueError("must be no --array, which would run one sweep several times; submit each sweep by itself")
    return value


Word = Annotated[str, AfterValidator(_word)]
Line = Annotated[str, AfterValidator(_line)]


class SlurmOptions(Section):
    """What a job asks of SLURM.

    ``cpus_per_node`` None: what the trials need that share the GPUs. ``save_before_s``: how long before the time limit
    the sweep is saved and the job queued again, at most ``requeues`` times. ``setup``: lines of shell that make
    ``glosstune`` and ``ray`` available on the compute nodes, such as ``module load cuda``. ``sbatch``: further options
    of sbatch, such as ``--constraint=a100``; they come last and win.
    """

    time_limit_min: PositiveInt
    nodes: PositiveInt = 1
    gpus_per_node: NonNegativeInt = 0
    cpus_per_node: PositiveInt | None = None
    save_before_s: int = Field(default=120, ge=60, le=65_535)
    requeues: NonNegativeInt = 50
    partition: Word | None = None
    account: Word | None = None
    setup: tuple[Line, ...] = ()
    sbatch: tuple[Annotated[str, AfterValidator(_sbatch_option)], ...] = ()


@dataclass(frozen=True)
class JobFiles:
    """The files of a job; the sweep's own lie in its place."""

    script: Path
    sweep: Path
    log: Path


def job_files(place: str, folder: Path | None = None) -> JobFiles:
    """Where the files of a job lie: beside its place, or where that is a URI in a folder, default the current one."""
    if is_uri(place):
        stem = (folder or Path.cwd()).absolute() / place.partition("?")[0].rstrip("/").rpartition("/")[2]
    else:
        stem = Path(place).expanduser().absolute()
    return JobFiles(*(stem.with_name(stem.name + ending) for ending in (".sbatch", ".sweep.yaml", ".log")))


def slurm_script(
    sweep: Sweep,
    name: str,
    place: str,
    files: JobFiles,
    options: SlurmOptions,
    command: Sequence[str],
    overrides: Sequence[str] = (),
) -> str:
    """The text of an sbatch script that begins a sweep at a place, or goes on with the one that lies there.

    Args:
        name: of the job.
        place: the sweep's folder, which all nodes see, or a URI.
        files: see ``job_files``; ``files.sweep`` has to hold the sweep.
        command: that made it, for the opening comment.
        overrides: changes for a sweep that lies there already.

    Raises:
        SettingError: a trial does not fit onto a node, the time limit leaves no time to train, or a name or path holds
            what sbatch could misread.
    """
    cpus = count_cpus(sweep, options.cpus_per_node, options.gpus_per_node)
    if options.save_before_s >= options.time_limit_min * 60:
        rule = f"is {options.save_before_s}, as long as the whole job; raise time_limit_min or lower it"
        raise SettingError(rule, key="save_before_s")
    request = {
        "job-name": _named(name),
        "nodes": options.nodes,
        "ntasks-per-node": 1,
        "cpus-per-task": cpus,
        "gpus-per-node": options.gpus_per_node or None,
        "exclusive": "",  # Ray takes a node's memory for its own
        "mem": 0,  # all that the node has
        "time": options.time_limit_min,
        "signal": f"B:USR1@{options.save_before_s}",
        "requeue": "",
        "open-mode": "append",
        "output": _output(files.log),
        "partition": options.partition,
        "account": options.account,
    }
    asked = [f"--{key}={value}" if value != "" else f"--{key}" for key, value in request.items() if value is not None]
    place = check_printable("place", place if is_uri(place) else str(Path(place).expanduser().absolute()))
    file = check_printable("place", str(files.sweep))
    driver = shlex.join(["glosstune", "sweep", file, *overrides, "--out", place, "--resume"])
    resources = f"--num-cpus={cpus} --num-gpus={options.gpus_per_node}"
    lines = [
        "#!/bin/bash",
        command_comment(command),
        *(f"#SBATCH {option}" for option in [*asked, *options.sbatch]),
        "",
        *options.setup,
        *(f"export PYTHONPATH={shlex.quote(folder)}:${{PYTHONPATH-}}" for folder in part_folders(sweep)),
        _CLUSTER,
        f"node='{_NODE.replace('RESOURCES', resources)}'",
        _WORK,
        f'srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 --cpus-per-task={cpus} --export=ALL \\',
        '    --kill-on-bad-exit=1 bash -c "$node" "$work" \\',
        f"    {driver} &",
        _END.replace("REQUEUES", str(options.requeues)),
    ]
    return "\n".join(lines)


def _named(name: str) -> str:
    try:
        return _word(name)
    except ValueError as error:
        raise SettingError(f"{error}; got {shown(name)}", key="name") from None


def _output(log: Path) -> str:
    """The log as sbatch reads it: quotes and backslashes mean something else there than in a shell."""
    text = check_printable("place", str(log))
    if set(text) & set("'\"\\"):
        raise SettingError(f"must have no quotes and no backslashes, because sbatch reads it; got {text}", key="place")
    return shlex.quote(text.replace("%", "%%"))


_CLUSTER = r"""
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
"""

# On each node, with the folder of the driver and its command; inside single quotes. The head of several nodes fails in
# the end, and so ends the others: they would look for it for a minute. What the sweep came to is told by a file.
_NODE = r"""
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
    PYTHONUNBUFFERED=1 ray start --block "$@" RESOURCES --min-worker-port=0 --max-worker-port=0 \
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
"""

_WORK = r"""work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"""

_END = r"""step=$!
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
    if [ "${SLURM_RESTART_COUNT:-0}" -lt REQUEUES ]; then
        echo "glosstune: saved before the time limit; queued again, to go on"
        scontrol requeue "$SLURM_JOB_ID" && exit 0
    else
        echo "glosstune: saved before the time limit; was queued again REQUEUES times, so no more"
    fi
fi
exit "$status"
"""
