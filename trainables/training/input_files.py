"""The files that trials begin from, as they were when the sweep began, on whatever machine a trial runs."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from glosstune.results.reading.names import INPUTS
from glosstune.spaces.errors import CheckpointError, FolderError
from glosstune.spaces.files.addresses import join
from glosstune.spaces.files.atomic import file_hash
from glosstune.spaces.files.folder import Folder
from glosstune.trainables.settings import TrialSettings


@dataclass(frozen=True)
class InputFile:
    """A file's content.

    Attributes:
        name: in the folder of a sweep, from which trials read it where it no longer is, or never was, at its own path.
    """

    sha256: str
    name: str
    content: bytes

    @classmethod
    def read(cls, path: Path) -> "InputFile":
        """The file as it is now; CheckpointError if it cannot be read."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read ({error.strerror}); give a file that is there") from error
        sha256 = hashlib.sha256(content).hexdigest()
        endings = path.suffixes[-2 if path.suffix == ".tar" else -1 :]  # by which it will be read
        return cls(sha256, f"{INPUTS}/{sha256}{''.join(endings)}", content)


def with_inputs(settings: TrialSettings, names: Mapping[str, str], files: Folder) -> TrialSettings:
    """Settings that name the files which their sweep began with: their own, or the sweep's where those are others now.

    Args:
        names: of the sweep's, by ``pretrained`` and ``teacher``.
        files: of the sweep.

    Raises:
        FolderError: neither is what it was, or the sweep's folder cannot be read.
    """
    places = {key: _place(getattr(settings, key), name, files) for key, name in names.items()}
    return settings.model_copy(update={key: path for key, path in places.items() if path is not None})


def _place(path: Path | None, name: str, files: Folder) -> Path | None:
    if path is None or has_hash(path, _hash_in(name)):
        return path
    copy = kept_file(name, files)
    if copy is None:
        told = f"is not what it was when the sweep began, nor is {path}, of which it is a copy; put one of them back"
        raise FolderError(f"{join(files.place, name)}: {told}")
    return copy


def kept_file(name: str, files: Folder) -> Path | None:
    """A file that a sweep keeps, as a path on this machine; None if there is none, or another."""
    if has_hash(files.here / name, _hash_in(name)):
        return files.here / name
    path = files.fetch(name)
    return path if path is not None and has_hash(path, _hash_in(name)) else None


def _hash_in(name: str) -> str:
    return PurePosixPath(name).name.partition(".")[0]


def has_hash(path: Path, sha256: str) -> bool:
    """Whether a plain file is there and has this content."""
    try:
        return path.is_file() and file_hash(path) == sha256
    except (CheckpointError, OSError):  # as where a folder may not be entered, or its server is gone
        return False
