"""What users ask of a running driver when that cannot write it down."""

from pathlib import Path
from typing import Any

import pytest
from replay import crash_plan

from glosstune.results.reading.events import parse_event
from glosstune.search.config.loading import load_sweep
from glosstune.search.driver.requests import Requests, send, take
from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.search.storage.record import Record
from glosstune.search.storage.sweep_folder import SweepFolder, write_sweep
from glosstune.spaces import FolderError


@pytest.mark.parametrize("asked", [{"stop": 0}, {"changes": {}, "samples": "+7", "queue": []}])
def test_what_is_asked_for_while_the_record_cannot_be_written_waits_for_the_next_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any]
) -> None:
    plan, work = crash_plan(4), SweepFolder(tmp_path)
    write_sweep(plan, work)
    begun = work.record.append("sweep", format=1, id="1", samples=4, epochs=18, metric="wer", target=0.3)
    scheduler = Scheduler(plan, work.record.append, events=[parse_event(begun)])
    scheduler.next_trial()
    send(work, asked)

    def refuse(record: Record, line: bytes) -> None:
        raise FolderError("no space left on the disk")

    monkeypatch.setattr(Record, "_write", refuse)
    with pytest.raises(FolderError, match="no space left"):
        Requests(scheduler, work, lambda note: None).obey()
    assert load_sweep(tmp_path / "sweep.yaml").search.samples == 4
    assert list(take(work)) == [asked]
