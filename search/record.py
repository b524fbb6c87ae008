"""The append-only record of a sweep: one JSON object a line, each on the disk before the sweep goes on."""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from glosstune.spaces.errors import FolderError


@dataclass(frozen=True)
class Record:
    """Writes ``record.jsonl``; holds no open file, since Ray pickles whoever holds the record."""

    path: Path

    def sweep(self, *, samples: int, epochs: int, metric: str, target: float) -> None:
        """The sweep starts."""
        self._append("sweep", samples=samples, epochs=epochs, metric=metric, target=target)

    def trial(self, trial: int, configuration: Mapping[str, Any]) -> None:
        """A trial starts."""
        self._append("trial", trial=trial, configuration=dict(configuration))

    def report(self, trial: int, epoch: int, metrics: Mapping[str, float]) -> None:
        """A trial has done an epoch; what is not finite is written as null."""
        finite = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        self._append("report", trial=trial, epoch=epoch, metrics=finite)

    def end(self, trial: int, *, status: str, reason: str, error: str | None = None) -> None:
        """A trial is over: finished, stopped or failed, and why."""
        self._append("end", trial=trial, status=status, reason=reason, error=error)

    def _append(self, event: str, **fields: Any) -> None:
        line = json.dumps({"event": event, "time": datetime.now(UTC).isoformat(timespec="milliseconds"), **fields})
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise FolderError(f"{self.path}: cannot be written: {error}") from error
