"""Folders that may be read and not written to, for root too, whom permissions do not keep out otherwise."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_VERSION_3 = 0x20080522
_DAC_OVERRIDE = 1 << 1  # of capabilities(7): to pass over permissions


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Capabilities(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Take from everybody, and from this thread of root's, the right to write below a folder."""
    paths = [folder, *folder.rglob("*")]
    modes = {path: path.stat().st_mode for path in paths}
    for path in paths:
        path.chmod(modes[path] & ~0o222)
    libc, header = ctypes.CDLL(None, use_errno=True), _Header(_VERSION_3, 0)
    own, less = ((_Capabilities * 2)() for _ in range(2))
    if os.geteuid() == 0:
        for each in (own, less):
            assert libc.capget(ctypes.byref(header), each) == 0
        less[0].effective &= ~_DAC_OVERRIDE
        assert libc.capset(ctypes.byref(header), less) == 0
    try:
        yield
    finally:
        if os.geteuid() == 0:
            assert libc.capset(ctypes.byref(header), own) == 0
        for path, mode in modes.items():
            path.chmod(mode)
