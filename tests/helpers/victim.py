"""A driver of a sweep in a process of its own, to be killed; and what must hold however often it was."""

import contextlib
import json
import os
import random
import signal
import time
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import crash_driver
from replay import Tape, check_decisions, drive, learning

from glosstune.results import load_results
from glosstune.results.reading.events import parse_event
from glosstune.search import Sweep
from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.spaces.files.addresses import local_folder


class Victim:
    """A driver in a process group of its own, on a cluster or, without an address, with a Ray that dies with it."""

    def __init__(
        self,
        context: ForkServerContext,
        folder: Path,
        samples: int,
        workers: int | None,
        address: str | None,
        *,
        steady: bool = False,
        uri: str | None = None,
    ) -> None:
        self.folder = folder if uri is None else local_folder(uri, "sweeps")
        arguments = (folder, samples, workers, address, steady, uri)
        self.process = context.Process(target=crash_driver.run, args=arguments)
        self.process.start()

    def wait_for(self, reports: int) -> bool:
        """Whether the driver still lived when its record held so many reports."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if not self.process.is_alive():
                return False
            if len(read_reports(self.folder)) >= reports:
                return True
            time.sleep(0.01)
        raise AssertionError((self.folder / "driver.log").read_text()[-2000:])

    def kill(self, what: str, generator: random.Random) -> None:
        time.sleep(generator.random() * 0.2)
        if what == "trial":
            # Older ones may be of processes that ended, and their numbers may be another's by now.
            newest = max(self.folder.glob("trials/*/pid"), key=lambda path: path.stat().st_mtime)
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(newest.read_text()), signal.SIGKILL)
            return
        if what == "ray":
            assert self.process.pid is not None
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.join()


def read_events(folder: Path) -> list[dict[str, Any]]:
    path = folder / "record.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def read_reports(folder: Path) -> list[tuple[int, int]]:
    return [(event["trial"], event["epoch"]) for event in read_events(folder) if event["event"] == "report"]


def check_record(folder: Path, plan: Sweep) -> None:
    """What must hold however often a sweep was killed."""
    events = read_events(folder)
    reports = read_reports(folder)
    assert len(reports) == len(set(reports))
    begun = {event["trial"]: event["configuration"] for event in events if event["event"] == "trial"}
    assert sorted(begun) == list(range(plan.search.samples))
    for number, configuration in begun.items():
        epochs = [event["epoch"] for event in events if event["event"] == "report" and event["trial"] == number]
        assert epochs == list(range(1, len(epochs) + 1))
        wers = [event["metrics"]["wer"] for event in events if event["event"] == "report" and event["trial"] == number]
        assert wers == [learning(configuration, epoch)["wer"] for epoch in epochs]
    check_decisions([event for event in events if event["event"] not in ("sweep", "resume")], plan)
    trials = load_results(folder).trials
    assert set(trials["status"]) <= {"finished", "stopped"}


def check_same(folder: Path, plan: Sweep) -> None:
    """What must hold besides where one trial ran at a time: the trials, curves and best of an undisturbed sweep."""
    whole = Scheduler(plan, Tape().append)
    drive(whole)
    disturbed = Scheduler(plan, Tape().append, events=map(parse_event, read_events(folder)))
    assert _shown(disturbed) == _shown(whole)
    assert disturbed.state.best_wer == whole.state.best_wer


def _shown(scheduler: Scheduler) -> dict[int, Any]:
    """Trials with only those metrics that a made-up curve has."""
    names = ("wer", "train_loss", "loss_below_floor")
    trials = scheduler.state.trials.values()
    return {t.number: (t.configuration, [{name: m[name] for name in names} for m in t.curve]) for t in trials}
