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
from replay import check_decisions, learning

from glosstune.results import load_results
from glosstune.search import Sweep
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
    best = trials.sort_values(["wer_best", "trial"]).head(plan.search.keep_checkpoints)
    assert set(trials[trials["last_checkpoint"].notna()]["trial"]) == set(best["trial"])
