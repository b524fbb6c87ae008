"""A SLURM of its own, from munged to several slurmds, in namespaces of its own: processes, network and host name.

So its jobs see no process and no port of anybody else's, ``ray stop`` among them would end nobody's Ray, and nothing of
it outlives a test. All of it lies in one folder; /etc is left alone. Needs root, and the programs of ``PROGRAMS``.
"""

import os
import random
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "ip", "unshare", "nsenter")
ADDRESS = "10.99.0.1"
ALONE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--net", "--uts"]
COMMANDS = ("sbatch", "squeue", "sacct", "scancel")
NODES = 8
MOST_JOBS = 1000

_CONFIGURATION = """
ClusterName=tests
SlurmctldHost=node({address})
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket,cred_expire=5
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
EnforcePartLimits=ALL
SchedulerParameters=sched_interval=2,bf_interval=2
MpiDefault=none
ReturnToService=2
KillWait=10
SlurmdTimeout=10
FirstJobId={first}
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool-%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/%n.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/%n.log
NodeName=n[1-{nodes}] NodeHostname=node NodeAddr={address} Port=[7001-{last}] CPUs=2 RealMemory=2000 State=UNKNOWN
PartitionName=main Nodes=n[1-{nodes}] Default=YES DefMemPerNode=500 State=UP
PartitionName=theirs Nodes=n[1-{nodes}] AllowAccounts=them State=UP
"""

# The first process of the namespace, with which all others end; it waits for orphans, and for the test to end.
_START = """
ip link set lo up
ip link add end0 type veth peer name end1
ip addr add ADDRESS/24 dev end0
ip link set end0 up
ip link set end1 up
hostname node
cd "$0"
head -c 64 /dev/urandom > munge.key
chmod 600 munge.key
munged < /dev/null --force --key-file="$0/munge.key" --socket="$0/munge.socket" --pid-file="$0/munge.pid" \\
    --seed-file="$0/munge.seed" --log-file="$0/munge.log"
slurmctld -i
for node in $(seq NODES); do slurmd -N "n$node"; done
touch started
read -r
"""


@cache
def why_not() -> str | None:
    """Why no SLURM can run here, if none can."""
    if os.geteuid():
        return "needs root, to start a SLURM"
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"needs {', '.join(missing)}: apt-get install slurmctld slurmd slurm-client munge iproute2"
    test = "ip link set lo up && ip link add end0 type veth peer name end1"
    if subprocess.run([*ALONE, "bash", "-c", test], capture_output=True).returncode:
        return "needs namespaces of its own, which this system does not give"
    return None


@dataclass(frozen=True)
class Slurm:
    """One that runs. ``commands`` is a folder for PATH, whose programs lead into it; ``enter`` leads any command."""

    root: Path
    commands: Path
    enter: Sequence[str]
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def call(self, *command: str, check: bool = True) -> str:
        """What a command prints in there."""
        done = subprocess.run([*self.enter, *command], capture_output=True, text=True)
        assert not check or done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout.strip()

    def state(self, job: str) -> str:
        """SLURM's word for how a job is doing."""
        return self.call("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T")

    def wait_for(self, job: str, *states: str, seconds: float = 120.0) -> str:
        """The state of a job once it is one of these; TimeoutError where it never is."""
        end = time.monotonic() + seconds
        while (state := self.state(job)) not in states:
            if time.monotonic() > end:
                raise TimeoutError(f"job {job} is {state}, not {states}: {self.call('scontrol', 'show', 'job', job)}")
            time.sleep(0.2)
        return state

    def start(self, *command: str) -> None:
        """Start a command in there, which ends with it at the latest."""
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.started.append(subprocess.Popen([*self.enter, *command], **silent))

    def processes(self, part: str) -> list[str]:
        """The command lines of the processes in there that hold a text."""
        lines = self.call("ps", "-e", "-ww", "-o", "args=").splitlines()
        return [line for line in lines if part in line]

    def kill_slurmd(self, node: str) -> None:
        """As where the machine of a node is lost to SLURM."""
        self.call("kill", "-KILL", (self.root / f"{node}.pid").read_text().strip())


@contextmanager
def real_slurm(root: Path, programs: Path) -> Iterator[Slurm]:
    """A SLURM of eight nodes; jobs find what lies in the folder ``programs`` first."""
    root.mkdir()
    (root / "state").mkdir()
    first = random.randrange(1_000_000, 60_000_000)  # so that folders in /tmp are of nobody else's job
    text = _CONFIGURATION.format(root=root, address=ADDRESS, nodes=NODES, last=7000 + NODES, first=first)
    (root / "slurm.conf").write_text(text)
    start = _START.replace("ADDRESS", ADDRESS).replace("NODES", str(NODES))
    environment = {**os.environ, "SLURM_CONF": str(root / "slurm.conf")}
    with (root / "start.log").open("w") as log:
        pipes = {"stdin": subprocess.PIPE, "stdout": log, "stderr": log}
        outer = subprocess.Popen([*ALONE, "bash", "-c", start, str(root)], env=environment, **pipes)
    slurm = None
    try:
        _wait_for(root / "started", root / "start.log")
        (inner,) = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
        commands = root / "commands"
        commands.mkdir()
        spaces = ["nsenter", f"--target={inner}", "--pid", "--mount", "--net", "--uts", f"--wd={root}"]
        inner_path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        enter = [*spaces, "env", f"SLURM_CONF={root / 'slurm.conf'}", f"PATH={inner_path}"]
        for name in COMMANDS:
            (commands / name).write_text(f'#!/bin/bash\nexec {shlex.join(enter)} {name} "$@"\n')
            (commands / name).chmod(0o755)
        slurm = Slurm(root, commands, enter)
        _wait_until_idle(slurm)
        yield slurm
    finally:
        outer.send_signal(signal.SIGKILL)
        for process in [outer, *slurm.started] if slurm else [outer]:
            process.communicate()
        for folder in Path("/tmp").glob("glosstune-*-*"):  # of jobs that were killed
            number = folder.name.split("-")[1]
            if number.isdigit() and first <= int(number) < first + MOST_JOBS:
                shutil.rmtree(folder, ignore_errors=True)


def _wait_for(file: Path, log: Path, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not file.exists():
        if time.monotonic() > end:
            raise TimeoutError(f"no SLURM: {log.read_text()}")
        time.sleep(0.05)


def _wait_until_idle(slurm: Slurm, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while slurm.call("sinfo", "--noheader", "--format=%T", check=False) != "idle":
        if time.monotonic() > end:
            raise TimeoutError(f"no SLURM: {(slurm.root / 'slurmctld.log').read_text()}")
        time.sleep(0.1)
