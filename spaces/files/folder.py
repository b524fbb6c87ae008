"""A folder, on this machine or on object storage: files by names such as ``trials/0003/last.pt``."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from glosstune.spaces.errors import FolderError, SettingError
from glosstune.spaces.files.addresses import check_uri, is_uri, local_folder
from glosstune.spaces.files.atomic import put_new, write_whole
from glosstune.spaces.files.bounded import largest_array, read_bytes
from glosstune.spaces.files.object_storage import PATIENCE_S, ObjectFolder


class Folder(Protocol):
    """What is asked of a folder, wherever it lies; FolderError where it cannot be read or written."""

    @property
    def place(self) -> str:
        """What users call it."""

    @property
    def here(self) -> Path:
        """Where this machine has its files; elsewhere they are only once they have been sent."""

    @property
    def look_s(self) -> float:
        """Seconds between two looks at what others leave there."""

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if there is none."""

    def write(self, name: str, content: bytes, *, new: bool = False) -> None:
        """Write a file whole; with ``new`` FileExistsError where another one is there, and that stays."""

    def fetch(self, name: str) -> Path | None:
        """A file as a path on this machine, as it lies in the folder now; None if there is none."""

    def send(self, name: str, path: Path | None = None) -> None:
        """Have a file of this machine in the folder; ``path`` where it does not lie in ``here``."""

    def replace(self, name: str, tag: str | None) -> str:
        """The same, and the file's new tag; on object storage only where it still has a tag, None for no file.

        Raises:
            FileExistsError: somebody else has written it since.
        """

    def names(self, prefix: str = "", *, after: str = "") -> dict[str, str]:
        """Every file whose name begins so, with its tag; of the sorted names those after another."""

    def remove(self, *names: str) -> None:
        """Remove files; one that is not there is no error."""

    def below(self, *names: str) -> "Folder":
        """A folder in it."""

    def check_usable(self) -> None:
        """FolderError within seconds where it cannot be written as it has to be."""

    def forget(self) -> None:
        """Let go of what this machine has of a folder that lies elsewhere."""


class LocalFolder:
    """A folder that this machine sees itself: what is written there lies there."""

    look_s = 1.0

    def __init__(self, here: Path) -> None:
        self.here = here
        self.place = str(here)

    def read(self, name: str) -> bytes | None:
        try:
            return read_bytes(self.here / name, largest_array())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FolderError(f"{self.here / name}: cannot be read: {error.strerror or error}") from error

    def write(self, name: str, content: bytes, *, new: bool = False) -> None:
        path = self.here / name
        if not new:
            write_whole(path, lambda partial: partial.write_bytes(content))
            return
        beside = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
        write_whole(beside, lambda partial: partial.write_bytes(content))
        try:
            put_new(beside, path)
        finally:
            beside.unlink(missing_ok=True)

    def fetch(self, name: str) -> Path | None:
        return self.here / name if (self.here / name).exists() else None

    def send(self, name: str, path: Path | None = None) -> None:
        pass

    def replace(self, name: str, tag: str | None) -> str:
        return _tag(self.here / name) or ""

    def names(self, prefix: str = "", *, after: str = "") -> dict[str, str]:
        found = {}
        for path in sorted((self.here / prefix.rpartition("/")[0]).rglob("*")):
            name, tag = path.relative_to(self.here).as_posix(), _tag(path)
            if tag is not None and name.startswith(prefix) and name > after:
                found[name] = tag
        return found

    def remove(self, *names: str) -> None:
        for name in names:
            (self.here / name).unlink(missing_ok=True)

    def below(self, *names: str) -> "LocalFolder":
        return LocalFolder(self.here.joinpath(*names))

    def check_usable(self) -> None:
        pass

    def forget(self) -> None:
        pass


def folder_at(
    place: Path | str,
    *,
    key: str = "storage",
    say: Callable[[str], object] = lambda line: None,
    patience_s: float = PATIENCE_S,
) -> Folder:
    """The folder of a path or a URI; nothing is made or asked.

    Args:
        key: where the place was given, for the error.
        say, patience_s: see ``ObjectFolder``.

    Raises:
        SettingError: see ``check_uri``.
    """
    if place == "":
        raise SettingError("is empty; name a folder, or leave it out", key=key)
    if not is_uri(place):
        return LocalFolder(Path(place).expanduser().absolute())
    uri = check_uri(str(place), key)
    return ObjectFolder(uri, local_folder(uri, "sweeps"), patience_s=patience_s, say=say)


def _tag(path: Path) -> str | None:
    """What changes with a file; None if there is none."""
    if not path.is_file():
        return None
    state = path.stat()
    return f"{state.st_size}-{state.st_mtime_ns}"
