"""Tell a corpus by the content of its files: a copy is the same corpus, one changed byte makes another."""

import errno
import hashlib
import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from glosstune.spaces.errors import CorpusError, FolderError
from glosstune.spaces.files.atomic import write_text
from glosstune.spaces.files.bounded import open_regular
from glosstune.spaces.files.cache import cache_folder
from glosstune.spaces.files.locks import Held, held

FORMAT = 1
_THREADS = 8
_PATIENCE_S = 3600.0
# A file may change again within the tick of its clock (2 s on FAT), and its times would be the same.
_SETTLED_S = 2.0
# Bytes that are read within a minute whatever they are, how far no features can be compressed, and what st_blocks
# counts in.
_LONG, _SPARSE, _BLOCK = 10_000_000_000, 100, 512

State = tuple[int, int, int]  # bytes, and when content and entry changed last, in ns
Known = dict[str, tuple[State, str]]


def content_hash(files: Mapping[str, Path], root: Path) -> str:
    """A hash of what files are called in a corpus and of what they hold; not of where they lie, nor since when.

    What a file holds is remembered in the user's cache folder for as long as its size and times stay the same, so that
    another look costs no reading.

    Args:
        files: by the names that they keep wherever the corpus lies.
        root: of the corpus; what is remembered of its files is kept together.

    Raises:
        CorpusError: a file is not there, or cannot be read.
    """
    digests = content_digests(files, root)
    return hashlib.sha256(json.dumps([[name, digests[name]] for name in sorted(files)]).encode()).hexdigest()


def content_digests(files: Mapping[str, Path], root: Path) -> dict[str, str]:
    """The SHA-256 of each file, by its name; arguments, errors and memory as for ``content_hash``."""
    paths = {name: path.absolute() for name, path in files.items()}
    digests = _digests(list(paths.values()), _memory(root.absolute()))
    return {name: digests[str(path)] for name, path in paths.items()}


def _memory(root: Path) -> Path:
    """The file that remembers what the files of a folder hold; one each, so that nobody waits for another corpus."""
    return cache_folder() / "contents" / f"{hashlib.sha256(os.fsencode(root)).hexdigest()[:16]}.json"


def _digests(paths: list[Path], memory: Path) -> dict[str, str]:
    """SHA-256 of each file, by its path."""
    states = {str(path): _state(path) for path in paths}
    found = _remembered(states, _recall(memory))
    if len(found) == len(states):
        return found
    with _alone(memory):
        known = _recall(memory)  # as another process may have read them meanwhile
        found = _remembered(states, known)
        left = [path for path in states if path not in found]
        with ThreadPoolExecutor(_THREADS) as pool:
            found |= zip(left, pool.map(_digest, left), strict=True)
        learned = {path: (states[path], found[path]) for path in left if _stays(path, states[path])}
        if learned:
            _remember(memory, known | learned)
    return found


def _state(path: Path | str) -> State:
    try:
        stat = os.stat(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _stays(path: str, before: State) -> bool:
    """Whether a file is as it was before it was read, and has been for so long that its times will tell a change."""
    now_ns = time.time_ns()
    settled = all(abs(now_ns - changed_ns) > _SETTLED_S * 1e9 for changed_ns in before[1:])
    return settled and _state(path) == before


def _digest(path: str) -> str:
    try:
        with open_regular(path) as file:
            _check_held(os.fstat(file.fileno()))
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error


def _check_held(found: os.stat_result) -> None:
    """Require that a file which says that it is long holds more than nothing, which takes hours to read; else OSError.

    On a file system that compresses it may hold somewhat less; Windows does not tell.
    """
    held = getattr(found, "st_blocks", math.inf) * _BLOCK
    if found.st_size > _LONG and held * _SPARSE < found.st_size:
        told = f"says that it holds {found.st_size / 1e9:,.1f} GB, and holds {held / 1e9:,.1f} GB: copy it again"
        raise OSError(errno.EFBIG, told)


def _unreadable(path: Path | str, error: OSError) -> CorpusError:
    planted = error.errno in (errno.EINVAL, errno.EFBIG)  # a pipe, or a terabyte of nothing
    way_out = "" if planted else "; is it on a disk that is not there, or being written still?"
    return CorpusError(f"{path}: cannot be read ({error.strerror or error}){way_out}")


def _remembered(states: Mapping[str, State], known: Known) -> dict[str, str]:
    return {path: known[path][1] for path, state in states.items() if path in known and known[path][0] == state}


def _recall(memory: Path) -> Known:
    """What is remembered; nothing where the file is not there or damaged."""
    try:
        kept = json.loads(memory.read_bytes())
        if kept["format"] != FORMAT:
            return {}
        return {
            path: ((size, changed, moved), digest) for path, (size, changed, moved, digest) in kept["files"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _remember(memory: Path, known: Known) -> None:
    """Write down what files hold, those apart that are gone; without a cache to write to they are read each time."""
    files = {path: [*state, digest] for path, (state, digest) in known.items() if os.path.exists(path)}
    text = json.dumps({"format": FORMAT, "files": files})
    with suppress(FolderError):
        write_text(memory, text)


@contextmanager
def _alone(memory: Path) -> Iterator[None]:
    """One process reads the files of a folder, others wait for what it remembers; where that cannot be, all read."""
    with ExitStack() as stack:
        with suppress(OSError, Held):
            memory.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(memory.with_suffix(".lock"), _PATIENCE_S))
        yield
