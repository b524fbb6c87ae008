"""Write a file so that a crash or a full disk leaves the old one or none, never half of it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from glosstune.spaces.errors import FolderError


@contextmanager
def write_beside(path: Path) -> Iterator[Path]:
    """Yield a file beside ``path`` to write, which takes its name at the end; FolderError if that fails."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        raise FolderError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
