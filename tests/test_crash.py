"""A sweep whose driver, trials and Ray are killed at random moments comes to what it would have come to."""

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
import ray
from replay import Tape, check_decisions, crash_plan, drive, learning

from glosstune.results import load_results
from glosstune.search import Sweep
from glosstune.search.conductor import Conductor

HELPERS = Path(__file__).parent / "helpers"
# By all drivers together. Not Ray: its random numbers would be the same in all of them.
PRELOADED = ["replay", "glosstune.search.driving", "glosstune.trainables.session"]
SAMPLES = 14
# Of the whole sweep with one worker; with two the order differs, and a few more or fewer.
REPORTS = 56
# Of all kills with one worker: most hit the driver, some a trial, one all of Ray.
VICTIMS = ["driver", "driver", "trial", "driver", "ray", "driver", "trial", "driver", "driver", "driver", "driver"]


class Victim:
    """A driver in a process group of its own, on the shared cluster or with a Ray that dies with it."""

    def __init__(self, context: ForkServerContext, folder: Path, workers: int, *, own_ray: bool) -> None:
        self.folder = folder
        address = None if own_ray else ray.get_runtime_context().gcs_address
        self.process = context.Process(target=crash_driver.run, args=(folder, SAMPLES, workers, address))
        self.process.start()

    def wait_for(self, reports: int) -> bool:
        """Whether the driver still lived when its record held so many reports."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if not self.process.is_alive():
                return False
            if len(_reports(self.folder)) >= reports:
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


def _events(folder: Path) -> list[dict[str, Any]]:
    path = folder / "record.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def _reports(folder: Path) -> list[tuple[int, int]]:
    return [(event["trial"], event["epoch"]) for event in _events(folder) if event["event"] == "report"]


def _plan() -> Sweep:
    return crash_plan(SAMPLES)


def _torture(context: ForkServerContext, folder: Path, workers: int, victims: list[str], seed: int) -> int:
    """Kill the sweep once for each of ``victims``, then let it end; the number of kills that hit a living one."""
    generator, kills = random.Random(seed), 0
    # Spread over the first two thirds of the sweep, so that a quick machine does not end it before the last kill.
    moments = sorted(generator.sample(range(1, 2 * REPORTS // 3), len(victims)))
    for what, moment in zip(victims, moments, strict=True):
        driver = Victim(context, folder, workers, own_ray=what == "ray")
        if not driver.wait_for(max(moment, len(_reports(folder)) + 1)):
            break
        driver.kill(what, generator)
        kills += 1
        if what == "trial":  # the driver lives and goes on; the next to be killed is the driver itself
            if not driver.wait_for(len(_reports(folder)) + 2):
                break
            driver.kill("driver", generator)
            kills += 1
    last = Victim(context, folder, workers, own_ray=False)
    last.process.join(timeout=180)
    assert last.process.exitcode == 0, (folder / "driver.log").read_text()[-2000:]
    return kills


def _check(folder: Path, plan: Sweep) -> None:
    """What must hold however often a sweep was killed."""
    events = _events(folder)
    reports = _reports(folder)
    assert len(reports) == len(set(reports))
    begun = {event["trial"]: event["configuration"] for event in events if event["event"] == "trial"}
    assert sorted(begun) == list(range(SAMPLES))
    for number, configuration in begun.items():
        epochs = [event["epoch"] for event in events if event["event"] == "report" and event["trial"] == number]
        assert epochs == list(range(1, len(epochs) + 1))
        wers = [event["metrics"]["wer"] for event in events if event["event"] == "report" and event["trial"] == number]
        assert wers == [learning(configuration, epoch)["wer"] for epoch in epochs]
    check_decisions([event for event in events if event["event"] not in ("sweep", "resume")], plan)
    trials = load_results(folder).trials
    assert set(trials["status"]) <= {"finished", "stopped"}


@pytest.fixture(scope="module")
def drivers() -> ForkServerContext:
    """Starts processes that have imported already what takes a driver most of its life here."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(HELPERS))
        # The tests' own Ray must not be taken for the driver's.
        patch.delenv("RAY_ADDRESS", raising=False)
        forkserver.ensure_running()
    return context


@pytest.mark.slow
def test_with_one_worker_the_same_trials_curves_and_best(
    ray_cluster: None, drivers: ForkServerContext, tmp_path: Path
) -> None:
    kills = _torture(drivers, tmp_path, 1, VICTIMS, seed=1)
    _check(tmp_path, _plan())
    tape = Tape()
    whole = Conductor(_plan(), tape.append)
    drive(whole)
    assert len(tape.named("report")) == REPORTS
    resumed = Conductor(_plan(), Tape().append, events=_events(tmp_path))
    assert {n: (t.configuration, t.curve) for n, t in _shown(resumed).items()} == {
        n: (t.configuration, t.curve) for n, t in _shown(whole).items()
    }
    assert resumed.state.best_wer == whole.state.best_wer
    assert kills == 13


def _shown(conductor: Conductor) -> dict[int, Any]:
    """Trials with only those metrics that a made-up curve has."""
    for trial in conductor.state.trials.values():
        trial.curve = [{name: m[name] for name in ("wer", "train_loss", "loss_below_floor")} for m in trial.curve]
    return conductor.state.trials


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_with_two_workers_every_sample_and_every_epoch_once(
    ray_cluster: None, drivers: ForkServerContext, tmp_path: Path, seed: int
) -> None:
    kills = _torture(drivers, tmp_path, 2, ["driver", "trial", "driver", "driver"], seed)
    _check(tmp_path, _plan())
    assert kills == 5
