import json
import math
from pathlib import Path

import pytest

from glosstune.search.record import Record
from glosstune.spaces import FolderError


def test_record_appends_one_json_object_a_line(tmp_path: Path) -> None:
    record = Record(tmp_path / "record.jsonl")
    record.sweep(samples=2, epochs=3, metric="wer", target=0.3)
    record.trial(0, {"learning_rate": 1e-3})
    record.report(0, 1, {"wer": 1.2, "train_loss": math.nan, "dev_loss": math.inf})
    record.end(0, status="failed", reason="error", error="boom")
    lines = [json.loads(line) for line in (tmp_path / "record.jsonl").read_text().splitlines()]
    assert [line.pop("event") for line in lines] == ["sweep", "trial", "report", "end"]
    assert all(line.pop("time").endswith("+00:00") for line in lines)
    assert lines[1:] == [
        {"trial": 0, "configuration": {"learning_rate": 0.001}},
        {"trial": 0, "epoch": 1, "metrics": {"wer": 1.2, "train_loss": None, "dev_loss": None}},
        {"trial": 0, "status": "failed", "reason": "error", "error": "boom"},
    ]


def test_a_record_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="cannot be written"):
        Record(tmp_path / "nowhere" / "record.jsonl").trial(0, {})
