"""What this machine remembers of the sweeps that it sent to clusters, so that a name is enough to find one again."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from platformdirs import user_state_path

from glosstune.spaces.errors import FolderError
from glosstune.spaces.files.atomic import write_text
from glosstune.spaces.files.locks import held

# The file is written in a moment.
_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Job:
    """A sweep on a cluster; never a token.

    Attributes:
        kind: what runs it, ``ray`` or ``slurm``.
        place: folder or URI of the sweep, as the cluster sees it.
        submitted: date and time with zone, ISO 8601.
        again: the command that goes on with it.
        address: of Ray's dashboard, such as ``http://head:8265``.
        id: that SLURM gave it.
        log: the file that SLURM writes for it.
    """

    kind: str
    place: str
    submitted: str
    again: str
    address: str | None = None
    id: str | None = None
    log: str | None = None


def remember(name: str, job: Job) -> None:
    """Keep a job under a name; an older one of that name is forgotten.

    Raises:
        FolderError: the file of jobs cannot be read or written.
    """
    file = _file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with held(file.with_suffix(".lock"), _PATIENCE_S):
            jobs = {**list_jobs(), name: job}
            text = json.dumps({key: asdict(kept) for key, kept in jobs.items()}, indent=1)
            write_text(file, text)
    except OSError as error:
        raise FolderError(f"{file}: cannot be written: {error}") from error


def list_jobs() -> dict[str, Job]:
    """All jobs that this machine remembers, by name, oldest first.

    Raises:
        FolderError: the file of jobs is damaged.
    """
    file = _file()
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        return {name: Job(**fields) for name, fields in kept.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        rule = f"cannot be read as the list of submitted jobs ({error})"
        raise FolderError(f"{file}: {rule}; remove it, and name clusters with --address") from error


def recall(name: str) -> Job | None:
    """The job of a name, if this machine remembers one."""
    return list_jobs().get(name)


def _file() -> Path:
    return user_state_path("glosstune") / "jobs.json"
