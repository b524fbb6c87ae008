"""Whatever happens to a sweep, at whatever moment: nothing that was reported is lost, nothing counts twice.

Faults are drawn wherever a driver or a trial touches disk, storage or clock, in one process without Ray (``chaos``);
their seed draws the same ones again. Those that need processes are in ``test_crash.py``, ``test_nodes.py`` and below;
``benchmarks/chaos.py`` goes on for as long as one likes.
"""

import os
import random
import shutil
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
import ray
from chaos import survive
from faults import Faults
from replay import crash_plan
from s3_server import S3Server
from victim import Victim, check_record, check_same, read_events, read_reports

from glosstune.results.reading.record import read_record
from glosstune.results.reading.remote import as_local
from glosstune.search import Sweep
from glosstune.search.storage.lock import Driven, owned
from glosstune.search.storage.record import Record

# A clock that is set by days must not use it up.
BUDGET = "search.time_budget_min=600"
# Touches apart at most, and faults that this makes at least.
DENSE, AT_LEAST = 60, 8
SPARSE, AT_LEAST_OF_S3 = 200, 4


def _plan(samples: int, workers: int = 1) -> Sweep:
    return crash_plan(samples, BUDGET, f"resources.concurrent={workers}")


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("workers", [1, 2])
def test_a_folder_survives_any_fault_of_disk_process_and_clock(tmp_path: Path, workers: int, seed: int) -> None:
    faults, plan = Faults(random.Random(seed), tmp_path, DENSE), _plan(6, workers)
    survive(tmp_path, plan, workers, faults)
    assert len(faults.told) >= AT_LEAST
    check_record(tmp_path, plan)
    if workers == 1:
        check_same(tmp_path, plan)


@pytest.mark.slow
def test_drivers_and_trials_that_stand_still_for_a_while_go_on_and_no_other_driver_comes_between(
    ray_cluster: None, drivers: ForkServerContext, tmp_path: Path
) -> None:
    generator, plan = random.Random(0), _plan(8)
    driver = Victim(drivers, tmp_path, 8, 1, ray.get_runtime_context().gcs_address)
    for what in ("trial", "driver", "trial", "driver"):
        assert driver.wait_for(len(read_reports(tmp_path)) + generator.randint(1, 4))
        driver.halt(what, generator.uniform(0.2, 1.0))
        with pytest.raises(Driven), owned(tmp_path):
            pass
    driver.process.join(timeout=180)
    assert driver.process.exitcode == 0, driver.log.read_text()[-2000:]
    assert not [event for event in read_events(tmp_path) if event["event"] in ("resume", "retry")]
    check_record(tmp_path, plan)
    check_same(tmp_path, plan)


@pytest.mark.parametrize(("workers", "seed"), [(1, 0), (2, 1)])
def test_an_address_survives_any_fault_of_storage_machine_and_clock(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, seed: int
) -> None:
    monkeypatch.setenv("GLOSSTUNE_CACHE", str(tmp_path))
    faults, plan, uri = Faults(random.Random(seed), tmp_path, SPARSE), _plan(5, workers), s3.uri(f"chaos-{seed}")
    survive(uri, plan, workers, faults, s3)
    assert len(faults.told) >= AT_LEAST_OF_S3
    check_record(as_local(uri), plan)
    if workers == 1:
        check_same(as_local(uri), plan)


def test_a_seed_repeats_its_faults_and_what_they_come_to(tmp_path: Path) -> None:
    told, left = [], []
    for name in ("once", "again"):
        faults, folder = Faults(random.Random(3), tmp_path / name, DENSE), tmp_path / name
        survive(folder, _plan(6, 2), 2, faults)
        told.append(faults.told)
        left.append([{**event, "reason": None} for event in read_events(folder)])  # folder in it
    assert told[0] == told[1] and left[0] == left[1]


def test_a_record_that_is_torn_at_any_byte_of_its_last_line_loses_that_event_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every kind of event once, at every byte; and the sweep comes to what it would have come to."""
    monkeypatch.setattr(os, "fsync", lambda number: None)  # 2,000 of them would take longest
    whole, plan = tmp_path / "whole", _plan(4)
    survive(whole, plan, 1, Faults(random.Random(0), whole, 10**9))
    lines = (whole / "record.jsonl").read_bytes().splitlines(keepends=True)
    kinds = [event["event"] for event in read_events(whole)]
    torn = tmp_path / "torn"
    torn.mkdir()
    record = Record(torn / "record.jsonl")
    for place in sorted(map(kinds.index, set(kinds[1:]))):
        before, last = b"".join(lines[:place]), lines[place]
        for cut in range(len(last) + 1):
            record.path.write_bytes(before + last[:cut])
            record.repair()
            # What a reader may have seen without its end is written anew.
            assert record.path.read_bytes() == (before + last if cut == len(last) else before)
        for cut in (1, len(last) // 2, len(last) - 1):
            shutil.copytree(whole, torn, dirs_exist_ok=True)
            record.path.write_bytes(before + last[:cut])
            events = read_record(torn).events
            assert len(events) == place + (cut == len(last) - 1)
            survive(torn, plan, 1, Faults(random.Random(0), torn, 10**9))
            check_record(torn, plan)
            check_same(torn, plan)
