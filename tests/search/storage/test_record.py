import errno
import json
import time
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glosstune.results.reading.record import read_record
from glosstune.search.storage import record as record_module
from glosstune.search.storage.record import Record, Unwritten
from glosstune.search.storage.sweep_folder import SweepFolder
from glosstune.spaces import FolderError
from glosstune.spaces.files import locks


def test_record_appends_one_json_object_a_line_and_returns_it_as_read(tmp_path: Path) -> None:
    record = Record(tmp_path / "record.jsonl")
    written = [
        record.append("sweep", format=1, id="1", samples=2, target=0.3),
        record.append("trial", trial=0, configuration={"learning_rate": 1e-3, "tuple": (1, 2)}),
        record.append("end", trial=0, status="failed", reason="error", error="boom"),
    ]
    lines = [json.loads(line) for line in (tmp_path / "record.jsonl").read_text().splitlines()]
    assert lines == written
    assert [line["event"] for line in lines] == ["sweep", "trial", "end"]
    assert all(line["time"].endswith("+00:00") for line in lines)
    assert lines[1]["configuration"] == {"learning_rate": 0.001, "tuple": [1, 2]}


@pytest.mark.parametrize("jump", [timedelta(days=-400), timedelta(days=400)])
def test_a_clock_that_jumps_moves_no_event(tmp_path: Path, jump: timedelta, monkeypatch: pytest.MonkeyPatch) -> None:
    class Jumped(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Jumped":
            return cls.fromtimestamp((datetime.now(tz) + jump).timestamp(), tz)

    record = Record(tmp_path / "record.jsonl")
    before = record.append("trial", trial=0, configuration={})
    monkeypatch.setattr(record_module, "datetime", Jumped)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    after = record.append("trial", trial=1, configuration={})
    passed = datetime.fromisoformat(after["time"]) - datetime.fromisoformat(before["time"])
    assert timedelta(0) <= passed < timedelta(days=1)


def test_a_record_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="cannot be written"):
        Record(tmp_path / "nowhere" / "record.jsonl").append("trial", trial=0)


def test_a_driver_that_stood_still_for_long_writes_nothing_once_another_has_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file system without flock, where a lock is held by signs of life."""

    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(pytest.importorskip("fcntl"), "flock", refuse)
    monkeypatch.setattr(locks, "BEAT_S", 3600.0)  # its clock stands
    still, other = SweepFolder(tmp_path), SweepFolder(tmp_path)
    with still.owned():
        record = still.record
        record.append("sweep", format=1, id="1", samples=1, epochs=2, metric="wer", target=0.3)
        monkeypatch.setattr(locks, "SILENCE_S", 0.0)
        with other.owned():
            other.record.append("resume", changes={})
            rule = rf"^{tmp_path}: process \d+ on .* has taken the sweep over; this one has ended, and nothing is lost$"
            for _ in range(2):
                with pytest.raises(Unwritten, match=rule):
                    record.append("trial", trial=0, configuration={})
            other.record.append("visit")
    assert [event.name for event in read_record(tmp_path).events] == ["sweep", "resume", "visit"]


def test_nothing_is_written_behind_half_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills in the middle of a line, and has room again at once."""
    record, write = Record(tmp_path / "record.jsonl"), Record._write
    record.append("sweep", format=1, id="1", samples=1, epochs=2, metric="wer", target=0.3)

    def fill(self: Record, line: bytes) -> None:
        write(self, line[:20])
        raise FolderError("no space left on the disk")

    with monkeypatch.context() as patch:
        patch.setattr(Record, "_write", fill)
        with pytest.raises(FolderError, match="no space left"):
            record.append("trial", trial=0, configuration={}, source="tpe")
    with pytest.raises(FolderError, match="no space left"):
        record.append("trial", trial=1, configuration={}, source="tpe")
    again = Record(record.path)
    again.repair()
    again.append("trial", trial=0, configuration={}, source="tpe")
    assert list(read_record(tmp_path).trials) == [0]


@given(st.integers(0, 200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_record_that_is_torn_anywhere_in_its_last_line_goes_on_whole(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "record.jsonl"
    path.unlink(missing_ok=True)
    record = Record(path)
    record.append("sweep", format=1, id="1", samples=1, epochs=2, metric="wer", target=0.3)
    first = path.read_bytes()
    record.append("trial", trial=0, configuration={"text": "ü" * 20}, source="tpe")
    path.write_bytes(path.read_bytes()[: max(len(first), len(first) + keep)])
    whole = path.read_bytes().endswith(b"\n")
    record.repair()
    record.append("trial", trial=1, configuration={}, source="tpe")
    assert sorted(read_record(tmp_path).trials) == ([0, 1] if whole and keep else [1])
