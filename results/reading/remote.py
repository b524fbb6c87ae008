"""Copy a sweep from object storage to this machine: its record and files, but no checkpoint unless it is asked for."""

import json
import os
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

from glosstune.results.reading.names import CONFIRM, EVENTS, INPUTS, LOCK, ORIGIN, OWNER, RECORD, REQUESTS, THOUSANDS
from glosstune.spaces.errors import FolderError
from glosstune.spaces.files.addresses import check_uri, is_uri, join, local_folder
from glosstune.spaces.files.atomic import write_text, write_whole
from glosstune.spaces.files.bounded import parse_json, read_text
from glosstune.spaces.files.object_storage import PROBE, ObjectFolder
from glosstune.spaces.files.s3_client import CONNECTIONS

COMPACTED = 1000  # events in one object of ``THOUSANDS``
# What lies in storage and is of no use to a reader; a confirmation is made of sweeps of their own.
_LEFT_THERE = re.compile(
    rf".*\.pt|({INPUTS}|{REQUESTS}|{EVENTS}|{THOUSANDS}|{CONFIRM}/[^/]+)/.*|"
    rf"{re.escape(OWNER)}|{re.escape(LOCK)}|{re.escape(PROBE)}.*"
)
_PATIENCE_S = 60.0


def as_local(place: Path | str) -> Path:
    """The folder of a sweep on this machine: itself, or a fresh copy of what lies on object storage.

    Raises:
        FolderError: no sweep lies there, or the storage cannot be read.
    """
    if not is_uri(place):
        return local_path(place).absolute()
    uri = check_uri(str(place), "FOLDER")
    storage = ObjectFolder(uri, local_folder(uri, "copies"), patience_s=_PATIENCE_S)
    mirror(storage)
    return storage.here


def local_path(place: Path | str) -> Path:
    """A path as it was given, with the user's own folder for ``~``.

    Raises:
        FolderError: it is empty, as an unset variable of a shell is.
    """
    if place == "":
        raise FolderError("FOLDER: is empty; name the folder of a sweep, or . for this one")
    return Path(os.path.expanduser(place))


def mirror(storage: ObjectFolder) -> None:
    """Bring what this machine has of a sweep on object storage in line with it; checkpoints stay there.

    Raises:
        FolderError: no sweep lies there, an event of it is missing, or the storage cannot be read.
    """
    folder = storage.here
    folder.mkdir(parents=True, exist_ok=True)
    names, prefixes = storage.parts()
    for prefix in prefixes:
        if not _LEFT_THERE.fullmatch(prefix):
            names |= storage.names(prefix)
    record = _read_record(storage)
    had = _read_origin(folder).get("objects", {})
    wanted = [name for name in names if not _LEFT_THERE.fullmatch(name) and _stays_below(name)]
    stale = [name for name in wanted if had.get(name) != names[name] or not (folder / name).exists()]
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(storage.fetch, stale))
    write_whole(folder / RECORD, lambda partial: partial.write_bytes(record))
    origin = json.dumps({"uri": storage.place, "objects": names})
    write_text(folder / ORIGIN, origin)


def origin(folder: Path) -> str:
    """The place of a sweep as users call it, which is a URI where the folder is a copy."""
    return str(_read_origin(folder).get("uri", folder))


def find_file(folder: Path, name: str) -> str | None:
    """Path of a file of a sweep, or its URI where it has stayed on object storage; None if there is none."""
    if (folder / name).is_file():
        return str(folder / name)
    known = _read_origin(folder)
    return join(known["uri"], name) if name in known.get("objects", ()) else None


def fetch_file(place: str) -> Path:
    """A file of a sweep as a path on this machine; ``place`` is what ``find_file`` gave."""
    if not is_uri(place):
        return Path(place)
    address, mark, query = place.partition("?")
    parent, _, name = address.rpartition("/")
    path = ObjectFolder(f"{parent}{mark}{query}", local_folder(place, "files"), patience_s=_PATIENCE_S).fetch(name)
    if path is None:
        raise FolderError(f"{place}: is not there any more")
    return path


def number_events(names: Iterable[str]) -> list[str]:
    """The objects that hold every event once, in order.

    Raises:
        FolderError: some events are in none of them.
    """
    spans = sorted(map(_span, names), key=lambda span: (span[0], -span[1]))
    chosen, next_event = [], 0
    for start, end, name in spans:
        if end <= next_event:
            continue  # a single one of a thousand
        if start != next_event:
            raise FolderError(f"event {next_event} is missing; the next one is {start}")
        chosen.append(name)
        next_event = end
    return chosen


def _stays_below(name: str) -> bool:
    """Whether a file of this name lies in the folder: whoever wrote the objects may have meant another one."""
    return not {"..", ""} & set(name.split("/")) and "\\" not in name and ":" not in name


def _span(name: str) -> tuple[int, int, str]:
    """First event of an object, the one after its last, and its name."""
    found = re.fullmatch(rf"(?:{EVENTS}|{THOUSANDS})/(\d{{8}})(?:-(\d{{8}}))?\.json", name)
    if found is None:
        raise FolderError(f"{name}: is no event")
    start = int(found[1])
    return start, int(found[2] or start) + 1, name


def _read_record(storage: ObjectFolder) -> bytes:
    try:
        names = number_events(_event_names(storage))
    except FolderError as error:
        raise FolderError(f"{storage.place}: {error}") from None
    if not names:
        raise FolderError(f"{storage.place}: not the folder of a sweep: there is no record")
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return b"".join(content or b"" for content in pool.map(storage.read, names))


def _event_names(storage: ObjectFolder) -> list[str]:
    """The objects that hold the record: thousands, and the single events from the first on that is in none of them."""
    thousands, end = sorted(storage.names(f"{THOUSANDS}/")), 0
    for first, after_last, _ in map(_span, thousands):
        if first != end:  # a driver ended before it had copied this thousand
            break
        end = after_last
    return [*thousands, *storage.names(f"{EVENTS}/", after=f"{EVENTS}/{end - 1:08d}.json" if end else "")]


def _read_origin(folder: Path) -> dict[str, Any]:
    path = folder / ORIGIN
    try:
        known = _parse_origin(path, path.stat().st_mtime_ns)
        # Anybody's folder may hold such a file: what it named would be asked, and written to, in this user's name.
        own = [local_folder(known["uri"], kind) for kind in ("copies", "sweeps")]
        return known if folder.absolute() in own else {}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


@lru_cache(maxsize=8)
def _parse_origin(path: Path, mtime_ns: int) -> dict[str, Any]:
    known: dict[str, Any] = parse_json(read_text(path))
    return known
