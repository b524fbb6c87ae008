"""Requests to a running driver, one small JSON file or object each: only the driver writes the record."""

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

from glosstune.search.storage.sweep_folder import SweepFolder
from glosstune.spaces.files.atomic import write_whole

REQUESTS = "requests"


def send(work: SweepFolder, request: dict[str, Any]) -> None:
    """Leave a request for whoever drives the sweep."""
    name, text = f"{REQUESTS}/{time.time_ns()}-{uuid.uuid4().hex}.json", json.dumps(request)
    if work.storage is not None:
        work.storage.write(name, text.encode())
    else:
        write_whole(work.folder / name, lambda partial: partial.write_text(text, encoding="utf-8"))


def take(work: SweepFolder) -> Iterator[dict[str, Any]]:
    """Every request that waits, oldest first; each is gone once the next is asked for."""
    if work.storage is not None:
        waiting = sorted(work.storage.names(f"{REQUESTS}/"))
    else:
        waiting = sorted(
            f"{REQUESTS}/{path.name}" for path in (work.folder / REQUESTS).glob("*.json") if path.is_file()
        )
    for name in waiting:
        try:
            content = (work.folder / name).read_bytes() if work.storage is None else work.storage.read(name)
            request = json.loads(content or b"null")
        except (ValueError, RecursionError):
            request = None
        if isinstance(request, dict):
            yield request
        if work.storage is not None:
            work.storage.remove(name)
        else:
            (work.folder / name).unlink(missing_ok=True)
