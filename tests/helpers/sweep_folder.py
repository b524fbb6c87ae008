"""The folder of a sweep, written line by line as a sweep writes it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

BEGUN = datetime(2026, 11, 21, 22, 44, 49, tzinfo=UTC)
TIME = BEGUN.isoformat()


def at(seconds: float) -> str:
    """A time, counted from the beginning of the sweep."""
    return (BEGUN + timedelta(seconds=seconds)).isoformat()


class SweepFolder:
    """Writes the record and the files of a sweep into ``path``."""

    def __init__(self, path: Path, **begun: Any) -> None:
        self.path = path
        self.record = path / "record.jsonl"
        path.mkdir()
        (path / "sweep.yaml").write_text("name: demo\n")
        known = {"format": 1, "id": "1", "samples": 4, "epochs": 6, "metric": "wer", "target": 0.3, **begun}
        self.append(event="sweep", time=TIME, **known)

    def append(self, **event: Any) -> None:
        self.append_text(json.dumps(event) + "\n")

    def append_text(self, text: str) -> None:
        with self.record.open("a", encoding="utf-8") as record:
            record.write(text)

    def start(self, trial: int, /, **configuration: Any) -> None:
        self.append(event="trial", trial=trial, time=TIME, configuration=configuration, source="tpe")

    def report(
        self, trial: int, epoch: int, second: float = 0, costs: dict[str, float] | None = None, **metrics: Any
    ) -> None:
        told = {"metrics": metrics, **({} if costs is None else {"costs": costs})}
        self.append(event="report", trial=trial, epoch=epoch, time=at(second), node="box", **told)

    def decide(self, event: str, trial: int, rung: int, second: float = 0, **fields: Any) -> None:
        self.append(
            event=event, trial=trial, rung=rung, time=at(second), reason=f"halving: {event} at rung {rung}", **fields
        )

    def settle(self, text: str) -> None:
        """Write the file of the sweep."""
        (self.path / "sweep.yaml").write_text(text)

    def end(self, trial: int, status: str, reason: str, error: str | None = None) -> None:
        self.append(event="end", trial=trial, time=TIME, status=status, rule=reason, reason=reason, error=error)

    def add_file(self, trial: int, name: str, content: bytes = b"") -> Path:
        folder = self.path / "trials" / f"{trial:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        return folder / name
