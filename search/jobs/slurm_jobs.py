"""Hand a sweep to SLURM, and ask SLURM how it stands, through the commands of its own."""

import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from glosstune.search.config.sweep import Sweep
from glosstune.search.jobs.options import sweep_text
from glosstune.search.jobs.slurm_script import SlurmOptions, job_files, slurm_script
from glosstune.spaces.errors import FolderError, SettingError, quoted_command, shown
from glosstune.spaces.files.atomic import write_text

# A job in one of these has a batch shell that can be told to save.
_RUNNING = {"RUNNING", "SUSPENDED", "STOPPED"}
_OVER = {
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "COMPLETING",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
}


def submit_slurm(
    sweep: Sweep,
    name: str,
    place: str,
    options: SlurmOptions,
    command: Sequence[str],
    overrides: Sequence[str] = (),
    *,
    run: bool,
    dry_run: bool,
    say: Callable[[str], object],
    folder: Path | None = None,
) -> str | None:
    """Write the script and the sweep of a job beside its place, and with ``run`` submit it.

    Args:
        name: of the job.
        place: the sweep's folder, which all nodes see, or a URI; script and log then go to ``folder``.
        command: that was typed, which both files open with.
        overrides: changes for a sweep that lies there already.
        dry_run: say both texts and do nothing.

    Returns:
        the number of the job, where one was submitted.

    Raises:
        SettingError: see ``slurm_script``; SLURM is not here, or refuses the job.
        FolderError: the files cannot be written.
    """
    files = job_files(place, folder)
    texts = {
        files.sweep: sweep_text(sweep, command),
        files.script: slurm_script(sweep, name, place, files, options, command, overrides),
    }
    if dry_run:
        for path, text in texts.items():
            say(f"# {path}\n{text}")
        return None
    for path, text in texts.items():
        write_text(path, text)
    if not run:
        say(f"{files.script}: written; submit it with: {quoted_command(['sbatch', str(files.script)])}")
        return None
    job = _run("sbatch", "--parsable", str(files.script)).strip().partition(";")[0]
    say(f"job {job} submitted; its log is {files.log}")
    return job


def status_of(job: str) -> str:
    """The state of a job in SLURM's words, such as PENDING, RUNNING, COMPLETED or FAILED.

    Raises:
        SettingError: SLURM is not here, or knows no such job.
    """
    return _look_up(job)[0]


def describe_state(job: str) -> str:
    """The state of a job, and where it waits for what; raises as ``status_of``."""
    state, reason = _look_up(job)
    return f"{state} ({reason})" if state == "PENDING" and reason != "None" else state


def _look_up(job: str) -> tuple[str, str]:
    """State and reason of a job."""
    _check_number(job)
    try:
        told = _run("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T|%r").strip()
    except SettingError:  # it forgets jobs minutes after their end, and then calls their numbers invalid
        told = ""
    if not told:
        try:
            told = _run("sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={job}", "--format=State")
        except SettingError as error:
            if "accounting storage is disabled" not in str(error):
                raise
            rule = "SLURM knows no such job, or has forgotten it, since it keeps no accounts here"
            raise SettingError(f"job {job}: {rule}; its log tells how it ended") from None
    if not told.strip():
        raise SettingError(f"job {job}: SLURM knows no such job")
    state, _, reason = told.splitlines()[0].partition("|")
    return state.split()[0], reason  # without the "by 1000" of CANCELLED


def read_log(log: Path) -> str:
    """What the jobs of a place have printed so far.

    Raises:
        FolderError: nothing is there to read.
    """
    try:
        return log.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise FolderError(f"{log}: no such log; no job of this place has begun yet") from None
    except OSError as error:
        raise FolderError(f"{log}: cannot be read: {error.strerror}") from None


def stop(job: str) -> str:
    """Have a job's sweep save and end for good, and a waiting job leave the queue; a line that says which.

    Only its batch shell is told: a plain ``scancel`` would kill Ray under the sweep.

    Raises:
        SettingError: SLURM is not here, knows no such job, or does not let you.
    """
    state = status_of(job)
    if state in _OVER:
        return f"job {job} is over already: {state}"
    if state in _RUNNING:
        _run("scancel", "--batch", "--signal=TERM", job)
        return f"job {job} was told to save and end"
    _run("scancel", job)
    return f"job {job} was {state} and left the queue"


def _check_number(job: str) -> None:
    if not re.fullmatch(r"[0-9]+", job):
        raise SettingError(f"job {shown(job)}: must be the number that sbatch gave it")


def _run(program: str, *arguments: str) -> str:
    """What a command of SLURM prints."""
    try:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, errors="replace")
    except FileNotFoundError:
        raise SettingError(f"{program}: not found; run this where SLURM is, such as a login node") from None
    except OSError as error:
        raise SettingError(f"{program}: cannot be run: {error.strerror}") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise SettingError(f"{program}: {lines[-1] if lines else f'exit status {done.returncode}'}")
    return done.stdout
