"""The append-only record of a sweep: one JSON object a line, each on the disk before the sweep goes on."""

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from glosstune.spaces.errors import FolderError


@dataclass(frozen=True)
class Record:
    """Writes ``record.jsonl``; one driver at a time does."""

    path: Path

    def append(self, event: str, **fields: Any) -> dict[str, Any]:
        """Write an event and return it as a reader will see it."""
        line = json.dumps({"event": event, "time": datetime.now(UTC).isoformat(timespec="milliseconds"), **fields})
        try:
            with self.path.open("ab") as file:
                file.write(line.encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise FolderError(f"{self.path}: cannot be written: {error}") from error
        return dict(json.loads(line))

    def repair(self) -> None:
        """Cut off a last line that a reader would forgive, so that what is appended does not stand behind it."""
        try:
            with self.path.open("r+b") as file:
                content = file.read()
                whole = content.rfind(b"\n") + 1
                start = content.rfind(b"\n", 0, max(whole - 1, 0)) + 1
                try:
                    json.loads(content[start:whole] or b"{}")
                except ValueError:
                    whole = start
                if whole < len(content):
                    file.truncate(whole)
                    os.fsync(file.fileno())
        except OSError as error:
            raise FolderError(f"{self.path}: cannot be written: {error}") from error
