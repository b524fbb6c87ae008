import io
import json
import os
import platform
from pathlib import Path

import pytest
from filelock import FileLock
from replay import learning, sweep
from rich.console import Console

from glosstune.results.reading.events import FORMAT, SweepBegun, write_event
from glosstune.results.reading.names import LOCK, OWNER, RECORD, SWEEP
from glosstune.results.reading.record import read_record
from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.search.storage.record import Record
from glosstune.search.tracking.watching import Watched, watch
from glosstune.spaces.errors import FolderError
from glosstune.spaces.files.yaml_data import write_yaml


class Driver:
    """Runs a sweep of made-up curves into a folder, a few epochs at a time."""

    def __init__(self, folder: Path, *, lives: bool = True) -> None:
        self.folder, self.plan = folder, sweep("search.samples=3", "training.epochs=4", "halving.min_epochs=1")
        folder.mkdir()
        (folder / SWEEP).write_text(write_yaml(self.plan.resolved()))
        (folder / OWNER).write_text(json.dumps({"pid": os.getpid(), "host": platform.node()}))
        self.lock = FileLock(folder / LOCK)
        if lives:
            self.lock.acquire()
        record = Record(folder / RECORD)
        begun = SweepBegun(format=FORMAT, id="1", samples=3, epochs=4, metric="wer", target=0.3, gpu=0, scoring="plain")
        events = [write_event(record.append, begun)]
        self.scheduler = Scheduler(self.plan, record.append, events=events)

    def train(self, segments: int) -> None:
        for _ in range(segments):
            number = self.scheduler.next_trial()
            if number is None:
                break
            trial = self.scheduler.state.trials[number]
            while self.scheduler.report(number, trial.epoch + 1, learning(trial.configuration, trial.epoch + 1)):
                pass
        if self.scheduler.done:
            self.scheduler.close()
            self.lock.release()


def test_a_sweep_that_runs_elsewhere_is_shown_until_it_ends(tmp_path: Path) -> None:
    driver = Driver(tmp_path / "a")
    driver.train(1)
    text, looks = io.StringIO(), []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        driver.train(2)

    watch(str(tmp_path / "a"), Console(file=text, width=100), sleep)
    assert looks
    lines = text.getvalue().splitlines()
    assert lines[-1].startswith(f"{tmp_path / 'a'}: ended; student: ")
    assert "best WER" in lines[0] and "to come" in lines[0]


def test_a_line_says_who_runs_it_or_what_goes_on_with_it(tmp_path: Path) -> None:
    driver = Driver(tmp_path / "a b")
    driver.train(1)
    assert f"runs as process {os.getpid()} on {platform.node()}" in Watched(str(driver.folder)).line()
    driver.lock.release()
    assert Watched(str(driver.folder)).line().endswith(f"go on with: glosstune resume '{driver.folder}'")


def test_what_nobody_runs_is_told_at_once(tmp_path: Path) -> None:
    driver = Driver(tmp_path / "a", lives=False)
    driver.train(1)
    text = io.StringIO()
    watch(str(driver.folder), Console(file=text, width=100), lambda seconds: pytest.fail("it waited"))
    assert len(text.getvalue().splitlines()) == 1 and "nobody runs it" in text.getvalue()


def test_nothing_of_the_folder_changes(tmp_path: Path) -> None:
    driver = Driver(tmp_path / "a")
    driver.train(2)
    before = {path.name: path.read_bytes() for path in driver.folder.iterdir()}
    Watched(str(driver.folder)).line()
    assert {path.name: path.read_bytes() for path in driver.folder.iterdir()} == before
    assert read_record(driver.folder).trials


def test_a_record_that_is_empty_says_so(tmp_path: Path) -> None:
    driver = Driver(tmp_path / "a")
    (driver.folder / RECORD).write_bytes(b"")
    with pytest.raises(FolderError, match="its record is empty"):
        Watched(str(driver.folder))


def test_a_driver_elsewhere_lives_as_long_as_it_writes(tmp_path: Path) -> None:
    driver = Driver(tmp_path / "a", lives=False)
    (driver.folder / OWNER).write_text(json.dumps({"pid": 1, "host": "elsewhere"}))
    driver.train(1)
    assert Watched(str(driver.folder)).runs
    driver.scheduler.interrupt("interrupted by SIGINT")
    driver.scheduler.close()
    assert not Watched(str(driver.folder)).runs
