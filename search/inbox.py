"""Requests to a running driver, one small JSON file each: only the driver writes the record."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from glosstune.trainables.files import write_whole

INBOX = "inbox"


def send(folder: Path, request: dict[str, Any]) -> None:
    """Leave a request for whoever drives the sweep."""
    path = folder / INBOX / f"{uuid.uuid4().hex}.json"
    write_whole(path, lambda partial: partial.write_text(json.dumps(request), encoding="utf-8"))


def take(folder: Path) -> Iterator[dict[str, Any]]:
    """Every request that waits, oldest first; each is gone once the next is asked for."""
    paths = [path for path in (folder / INBOX).glob("*.json") if path.is_file()]
    for path in sorted(paths, key=lambda path: path.stat().st_mtime_ns):
        try:
            request = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            request = None
        if isinstance(request, dict):
            yield request
        path.unlink(missing_ok=True)
