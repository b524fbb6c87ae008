"""Read files of anybody: regular ones alone, and none that is, says of itself, or unfolds to more than fits."""

import errno
import json
import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from io import BufferedReader
from pathlib import Path
from typing import Any

from glosstune.spaces.files.machine import usable_memory

# Of JSON and YAML that is read as a whole, and of one line of a file that is read line by line.
LARGEST_TEXT = 64_000_000
LONGEST_LINE = 16_000_000
# Of a table of recordings, millions of rows.
LARGEST_TABLE = 512_000_000
DEEPEST = 100
_NOT_REGULAR = "is no regular file"
_TOO_DEEP = f"is nested in more than {DEEPEST} levels"


@cache
def largest_array() -> int:
    """Bytes that one file may say, or unfold to: half of the memory of this machine, or of its container."""
    return usable_memory() // 2


def check_fits(nbytes: int) -> None:
    """Require that so many bytes, which a file says that it holds, fit into half of the memory; else OSError."""
    if nbytes > largest_array():
        told = f"says that it holds {nbytes / 1e9:,.1f} GB, more than half of the memory here"
        raise OSError(errno.EFBIG, told)


def check_size(path: Path | str) -> None:
    """Require a regular file that fits; else OSError."""
    told = os.stat(path)
    if not stat.S_ISREG(told.st_mode):
        raise OSError(errno.EINVAL, _NOT_REGULAR)
    check_fits(told.st_size)


def check_zip(path: Path | str) -> None:
    """Require that what a zip archive unfolds to fits; else OSError, or BadZipFile. Other files are left alone."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            check_fits(sum(each.file_size for each in archive.infolist()))


def open_regular(path: Path | str) -> BufferedReader:
    """A file opened for reading; OSError for a pipe or a device, which may never end, and where it does not fit."""
    held = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(held).st_mode):
        os.close(held)
        raise OSError(errno.EINVAL, _NOT_REGULAR)
    return os.fdopen(held, "rb")


def read_bytes(path: Path | str, most: int = LARGEST_TEXT) -> bytes:
    """The content of a regular file of at most so many bytes; else OSError."""
    with open_regular(path) as file:
        content = file.read(most + 1) if os.fstat(file.fileno()).st_size <= most else None
    if content is None or len(content) > most:
        raise OSError(errno.EFBIG, f"is larger than {most / 1e6:,.0f} MB")
    return content


def read_text(path: Path | str, most: int = LARGEST_TEXT, *, errors: str = "strict", ends: bool = False) -> str:
    """The same as text in UTF-8, whose lines end in LF, or with ``ends`` as they do in the file."""
    text = read_bytes(path, most).decode("utf-8", errors)
    return text if ends else text.replace("\r\n", "\n").replace("\r", "\n")


def read_lines(path: Path | str) -> Iterator[bytes]:
    """Each line of a regular file with its end; OSError where one is longer than ``LONGEST_LINE``."""
    with open_regular(path) as file:
        while line := file.readline(LONGEST_LINE + 1):
            if len(line) > LONGEST_LINE:
                raise OSError(errno.EFBIG, f"has a line of more than {LONGEST_LINE / 1e6:,.0f} MB")
            yield line


def parse_json(text: str | bytes, parse_int: Callable[[str], float] | None = None) -> Any:
    """JSON as plain data that can be written again; ValueError for anything else, also for what is nested too deeply.

    Half a surrogate pair, which JSON can spell and no file or terminal can hold, becomes the sign for that.

    Args:
        parse_int: reads integers, of which Python refuses the longest.
    """
    if isinstance(text, bytes):
        text = text.decode()
    try:
        value = json.loads(text, parse_int=parse_int)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if "\\u" not in text and text.count("[") + text.count("{") <= DEEPEST:  # as nearly all lines of a record
        return value
    return _whole(value)


def _whole(value: Any, depth: int = 0) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if depth >= DEEPEST and isinstance(value, dict | list):
        raise ValueError(_TOO_DEEP)
    if isinstance(value, dict):
        return {_whole(key): _whole(item, depth + 1) for key, item in value.items()}
    return [_whole(item, depth + 1) for item in value] if isinstance(value, list) else value
