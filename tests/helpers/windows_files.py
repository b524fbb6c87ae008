"""Files as Windows has them: none that is open or mapped is renamed, replaced or removed, nor a folder above one.

Linux only: what this process has open, /proc says.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

# Windows gives these a way of their own (FILE_SHARE_DELETE), in the libraries that open them.
_SHARED = (".lock",)


@contextmanager
def windows_files() -> Iterator[None]:
    """Have this process meet PermissionError where it would meet it on Windows."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("rename", "replace", "remove", "unlink", "rmdir"):
            patch.setattr(os, name, _guarded(getattr(os, name)))
        yield


def _guarded(call: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(*paths: Any, **named: Any) -> Any:
        folders = [named.get(name) for name in ("dir_fd", "src_dir_fd", "dst_dir_fd")]
        below = next((os.readlink(f"/proc/self/fd/{fd}") for fd in folders if fd is not None), os.getcwd())
        for path in paths:
            refuse_open(os.path.realpath(os.path.join(below, os.fsdecode(path))))
        return call(*paths, **named)

    return guarded


def refuse_open(path: str) -> None:
    """Raise PermissionError where a path is open, or something below it."""
    for opened in open_files():
        if opened == path or opened.startswith(path + os.sep):
            raise PermissionError(13, "The process cannot access the file because it is being used", opened)


def open_files() -> set[str]:
    """The regular files that this process has open or mapped."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:  # that of this listing
            continue
        if os.path.isfile(target):
            found.add(target)
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        mapped = line.split(maxsplit=5)[5:]
        if mapped and mapped[0].startswith("/"):
            found.add(mapped[0])
    return {name for name in found if not name.endswith(_SHARED)}
