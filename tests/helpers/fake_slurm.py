"""SLURM's commands as far as a job's script and its submitter use them, on one machine: jobs really run.

Each command is a link to this file, which tells by its own name which one it is. A job is a folder below FAKE_SLURM;
what is asked of it, a signal or another turn in the queue, is a file there that the process behind the job obeys.
"""

import json
import math
import os
import random
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

# SLURM's own KillWait is 30 seconds.
KILL_WAIT_S = 5.0
COMMANDS = ("sbatch", "srun", "squeue", "sacct", "scancel", "scontrol")


def install(folder: Path) -> Path:
    """Put the commands into a folder for PATH."""
    folder.mkdir()
    for command in COMMANDS:
        (folder / command).write_text(f"#!{sys.executable}\n{Path(__file__).read_text(encoding='utf-8')}")
        (folder / command).chmod(0o755)
    return folder


def wait_for(what: "Path", seconds: float = 60.0) -> None:
    """Return when a file is there; TimeoutError where it never comes."""
    end = time.monotonic() + seconds
    while not what.exists():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come")
        time.sleep(0.05)


def wait_until_over(job: "Path", seconds: float = 60.0) -> str:
    """The last state of a job, which is waited for."""
    wait_for(job / "over", seconds)
    return (job / "state").read_text()


def end_all(root: "Path") -> None:
    """Kill what runs of all jobs."""
    for pid in root.glob("*/pid*"):
        try:
            os.killpg(int(pid.read_text()), signal.SIGKILL)
        except ProcessLookupError:
            continue


def _root() -> Path:
    return Path(os.environ["FAKE_SLURM"])


def _free_number() -> int:
    """A job number whose port nobody uses."""
    while True:
        number = random.randrange(1_000_000, 9_000_000)
        with socket.socket() as free:
            try:
                free.bind(("", 20_000 + number % 10_000))
            except OSError:
                continue
        return number


def sbatch(arguments: "list[str]") -> None:
    if (_root() / "refuse").exists():
        sys.exit("sbatch: error: Batch job submission failed: Invalid account")
    number = int(os.environ.get("FAKE_SLURM_NUMBER", 0)) or _free_number()
    job = _root() / str(number)
    job.mkdir()
    (job / "script").write_text(Path(arguments[-1]).read_text(encoding="utf-8"))
    (job / "state").write_text("PENDING")
    if not (_root() / "hold").exists():
        # A session of its own, and where the system allows it a process tree of its own, so that nothing outlives it.
        alone = json.loads(os.environ.get("FAKE_SLURM_ALONE", "[]"))
        runner = subprocess.Popen(
            [*alone, sys.executable, __file__, "run", str(job)],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(job / "errors").open("w"),
        )
        (job / "pid").write_text(str(runner.pid))
    print(f"{number};cluster")


def run(job: Path) -> None:
    """What slurmd does: run the script as often as it is queued."""
    lines = (job / "script").read_text(encoding="utf-8").splitlines()
    options = [shlex.split(line)[1] for line in lines if line.startswith("#SBATCH ")]
    asked = dict(option.removeprefix("--").partition("=")[::2] for option in options)
    turn = 0
    while True:
        own = {"SLURM_JOB_ID": job.name, "SLURM_JOB_NUM_NODES": asked["nodes"], "SLURM_RESTART_COUNT": str(turn)}
        (job / "state").write_text("RUNNING")
        with Path(asked["output"]).open("a") as log:
            shell = subprocess.Popen(
                ["bash", str(job / "script")], env={**os.environ, **own}, stdout=log, stderr=subprocess.STDOUT
            )
            while shell.poll() is None:
                for request in job.glob("signal-*"):
                    request.unlink()
                    shell.send_signal(signal.Signals[f"SIG{request.name.partition('-')[2]}"])
                time.sleep(0.05)
        if not (job / "requeue").exists():
            break
        (job / "requeue").rename(job / "requeue-seen")
        turn += 1
    (job / "state").write_text("COMPLETED" if shell.returncode == 0 else "FAILED")
    (job / "status").write_text(str(shell.returncode))
    (job / "over").touch()


def srun(arguments: "list[str]") -> None:
    """Run the command once for each node; a task that fails ends the others, as --kill-on-bad-exit says."""
    command = next(place for place, argument in enumerate(arguments) if not argument.startswith("-"))
    with (_root() / "srun.log").open("a") as log:
        log.write(json.dumps(arguments) + "\n")
    nodes = int(os.environ["SLURM_JOB_NUM_NODES"])
    tasks = []
    for node in range(nodes):
        own = {**os.environ, "SLURM_PROCID": str(node)}
        tasks.append(subprocess.Popen(arguments[command:], env=own, start_new_session=True))
        (_root() / os.environ["SLURM_JOB_ID"] / f"pid-{node}").write_text(str(tasks[-1].pid))

    ended_at = math.inf

    def end(number: int, frame: object) -> None:
        nonlocal ended_at
        ended_at = min(ended_at, time.monotonic())
        send(signal.SIGTERM)

    def send(number: signal.Signals) -> None:
        for task in tasks:
            if task.poll() is None:
                os.killpg(task.pid, number)

    signal.signal(signal.SIGTERM, end)
    statuses = {}
    while len(statuses) < nodes:
        # What has not ended by then, such as a shell that started its command a moment after it was told, is killed.
        if time.monotonic() > ended_at + KILL_WAIT_S:
            send(signal.SIGKILL)
        for node, task in enumerate(tasks):
            if task.poll() is not None and node not in statuses:
                statuses[node] = task.returncode if task.returncode >= 0 else 128 - task.returncode
                if statuses[node]:
                    end(0, None)
        time.sleep(0.05)
    sys.exit(max(statuses.values()))


def squeue(arguments: "list[str]") -> None:
    (number,) = (argument.removeprefix("--jobs=") for argument in arguments if argument.startswith("--jobs="))
    job = _root() / number
    if not job.exists() or (job / "over").exists():
        sys.exit("slurm_load_jobs error: Invalid job id specified")
    state = (job / "state").read_text()
    print(f"{state}|{'Resources' if state == 'PENDING' else 'None'}")


def sacct(arguments: "list[str]") -> None:
    (number,) = (argument.removeprefix("--jobs=") for argument in arguments if argument.startswith("--jobs="))
    if (_root() / number).exists():
        print((_root() / number / "state").read_text())


def scancel(arguments: "list[str]") -> None:
    job = _root() / arguments[-1]
    state = (job / "state").read_text()
    if "--batch" in arguments:
        if state != "RUNNING":
            sys.exit("scancel: error: Kill job error: Job is pending execution")
        (job / f"signal-{arguments[1].removeprefix('--signal=')}").touch()
    else:
        (job / "state").write_text("CANCELLED by 1000")
        (job / "over").touch()


def scontrol(arguments: "list[str]") -> None:
    if arguments[0] != "requeue" or (_root() / "no-requeue").exists():
        sys.exit("scontrol: error: Requeue not allowed")
    (_root() / arguments[1] / "requeue").touch()


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        run(Path(sys.argv[2]))
    else:
        globals()[Path(sys.argv[0]).name](sys.argv[1:])
