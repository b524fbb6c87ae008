"""What the trials of a sweep reported, with the moment at which each report reached the record."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True)
class Report:
    """An epoch of a trial; ``time`` is in seconds since 1970."""

    trial: int
    time: float
    metrics: Mapping[str, float]


def read_reports(sweep: Path) -> list[Report]:
    """Of a sweep's folder, in the order in which they came."""
    events = [json.loads(line) for line in (sweep / "record.jsonl").read_text(encoding="utf-8").splitlines()]
    return [
        Report(event["trial"], datetime.fromisoformat(event["time"]).timestamp(), event["metrics"])
        for event in events
        if event["event"] == "report"
    ]
