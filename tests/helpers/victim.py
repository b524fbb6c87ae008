"""A driver of a sweep in a process of its own, to be killed; and what must hold however often it was."""

import contextlib
import json
import multiprocessing
import os
import random
import signal
import time
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import crash_driver
import pytest
from replay import Tape, check_decisions, drive, learning

from glosstune.results import load_results
from glosstune.results.reading.events import parse_event
from glosstune.search import Sweep
from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.spaces.files.addresses import local_folder

# By all drivers together.
PRELOADED = [
    "forkable_ray",
    "crash_driver",
    "glosstune.search.driver.ray_tune",
    "glosstune.trainables.training.session",
]


class Victim:
    """A driver in a process group of its own, on a cluster or, without an address, with a Ray that dies with it."""

    def __init__(
        self,
        context: ForkServerContext,
        folder: Path,
        samples: int,
        workers: int | None,
        address: str | None,
        **more: Any,
    ) -> None:
        """Start it; ``more`` is as for ``crash_driver.run``."""
        self.folder = local_folder(more["uri"], "sweeps") if more.get("uri") else folder
        self.log = folder / "driver.log"
        arguments = (folder, samples, workers, address)
        self.process = context.Process(target=crash_driver.run, args=arguments, kwargs=more)
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
        raise AssertionError(self.log.read_text()[-2000:])

    def kill(self, what: str, generator: random.Random) -> None:
        time.sleep(generator.random() * 0.2)
        if what == "trial":
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._trial(), signal.SIGKILL)
            return
        if what == "ray":
            assert self.process.pid is not None
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.join()

    def stop_ray(self) -> None:
        """End the process of Ray's on this machine as ``ray stop`` does."""
        assert self.process.pid is not None
        for command in Path("/proc").glob("[0-9]*/comm"):
            pid = int(command.parent.name)
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if command.read_text() == "raylet\n" and os.getpgid(pid) == self.process.pid:
                    os.kill(pid, signal.SIGTERM)

    def halt(self, what: str, seconds: float) -> None:
        """Stop the driver or a trial for a while, as Ctrl-Z or a machine without memory does."""
        pid = self.process.pid if what == "driver" else self._trial()
        assert pid is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            try:
                time.sleep(seconds)
            finally:
                os.kill(pid, signal.SIGCONT)

    def _trial(self) -> int:
        """The process of a trial."""
        # Older ones may be of processes that ended, and their numbers may be another's by now.
        newest = max(self.folder.glob("trials/*/pid"), key=lambda path: path.stat().st_mtime)
        return int(newest.read_text())


def start_drivers() -> ForkServerContext:
    """Starts processes that have imported already what takes a driver most of its life here."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with pytest.MonkeyPatch.context() as patch:
        for helpers in (Path(__file__).parent, Path(__file__).parent / "forking"):
            patch.setenv("PYTHONPATH", str(helpers), prepend=os.pathsep)
        # What Ray reads when it is imported.
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_AIR_NEW_OUTPUT", "0")
        # A Ray that runs here must not be taken for the driver's.
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.delenv("GLOSSTUNE_TESTS_FORKS", raising=False)  # nor have all drivers' own Rays forked workers
        forkserver.ensure_running()
    return context


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


def check_checkpoints(folder: Path, plan: Sweep) -> None:
    """The best trials have theirs, and nobody else has."""
    trials = load_results(folder).trials
    best = trials.sort_values(["wer_best", "trial"]).head(plan.search.keep_checkpoints)
    assert set(trials[trials["last_checkpoint"].notna()]["trial"]) == set(best["trial"])


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
