"""A sweep whose driver, trials and Ray are killed at random moments comes to what it would have come to."""

import random
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
import ray
from replay import Tape, crash_plan, drive
from victim import Victim, check_checkpoints, check_record, check_same, read_reports

from glosstune.search import Sweep
from glosstune.search.scheduler.scheduler import Scheduler

SAMPLES = 14
# Of the whole sweep with one worker; with two the order differs, and a few more or fewer.
REPORTS = 56
# Of all kills with one worker: most hit the driver, some a trial, one all of Ray.
VICTIMS = ["driver", "driver", "trial", "driver", "ray", "driver", "trial", "driver", "driver", "driver", "driver"]


def _plan() -> Sweep:
    return crash_plan(SAMPLES)


def _torture(context: ForkServerContext, folder: Path, workers: int, victims: list[str], seed: int) -> int:
    """Kill the sweep once for each of ``victims``, then let it end; the number of kills that hit a living one."""
    generator, kills = random.Random(seed), 0
    shared = ray.get_runtime_context().gcs_address
    # Spread over the first two thirds of the sweep, so that a quick machine does not end it before the last kill.
    moments = sorted(generator.sample(range(1, 2 * REPORTS // 3), len(victims)))
    for what, moment in zip(victims, moments, strict=True):
        driver = Victim(context, folder, SAMPLES, workers, None if what == "ray" else shared)
        if not driver.wait_for(max(moment, len(read_reports(folder)) + 1)):
            break
        driver.kill(what, generator)
        kills += 1
        if what == "trial":  # the driver lives and goes on; the next to be killed is the driver itself
            if not driver.wait_for(len(read_reports(folder)) + 2):
                break
            driver.kill("driver", generator)
            kills += 1
    last = Victim(context, folder, SAMPLES, workers, shared)
    last.process.join(timeout=180)
    assert last.process.exitcode == 0, (folder / "driver.log").read_text()[-2000:]
    return kills


@pytest.mark.slow
def test_with_one_worker_the_same_trials_curves_and_best(
    ray_cluster: None, drivers: ForkServerContext, tmp_path: Path
) -> None:
    kills = _torture(drivers, tmp_path, 1, VICTIMS, seed=1)
    check_record(tmp_path, _plan())
    tape = Tape()
    drive(Scheduler(_plan(), tape.append))
    assert len(tape.named("report")) == REPORTS
    check_same(tmp_path, _plan())
    assert kills == 13


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_with_two_workers_every_sample_and_every_epoch_once(
    ray_cluster: None, drivers: ForkServerContext, tmp_path: Path, seed: int
) -> None:
    kills = _torture(drivers, tmp_path, 2, ["driver", "trial", "driver", "driver"], seed)
    check_record(tmp_path, _plan())
    check_checkpoints(tmp_path, _plan())
    assert kills == 5


@pytest.mark.slow
def test_a_driver_whose_ray_is_stopped_says_so_and_what_goes_on(drivers: ForkServerContext, tmp_path: Path) -> None:
    """As ``ray stop`` does, at which Ray ends a driver without a word that has lost objects of its own."""
    driver = Victim(drivers, tmp_path, SAMPLES, 2, None)
    assert driver.wait_for(4)
    driver.stop_ray()
    driver.process.join(timeout=60)
    told = driver.log.read_text()
    assert driver.process.exitcode == 2, told[-2000:]
    assert "Ray's process on this machine (raylet) at " in told
    assert f"go on with: glosstune resume {tmp_path}" in told
