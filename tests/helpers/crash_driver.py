"""A driver to be killed."""

import json
import os
import random
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import ray
from faults import Faults
from player import SlowPlayer, SteadyPlayer, play
from replay import crash_plan
from rich.console import Console

from glosstune.results.reading.events import parse_event
from glosstune.results.reading.record import read_record
from glosstune.search.driver.driving import drive
from glosstune.search.nodes import head_watch
from glosstune.search.nodes.head_watch import watch_ray
from glosstune.search.nodes.resources import own_node, try_to_start
from glosstune.search.storage.sweep_folder import SweepFolder, write_sweep

# What a driver touches between two faults of its own, at most.
FAR = 60


def run(
    folder: Path,
    samples: int,
    workers: int | None,
    address: str | None,
    steady: bool = False,
    uri: str | None = None,
    planted: int | None = None,
) -> None:
    """Begin the sweep in a folder, or at an address, or go on with it, on a cluster or a Ray of its own.

    To be called in a process of its own; it leads a group of processes, which its Ray belongs to. ``planted`` is the
    seed of faults of its own, which ``faults.log`` tells.
    """
    os.setsid()
    head_watch.GONE_S = 6.0
    os.chdir(folder)
    with (folder / "driver.log").open("ab") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    plan = crash_plan(samples, f"resources.concurrent={json.dumps(workers)}")
    own: dict[str, Any] = {"address": "local", "num_cpus": 2, "include_dashboard": False}
    asked = {"address": address} if address else own
    try_to_start(lambda: ray.init(log_to_driver=False, logging_level="ERROR", **asked))
    work = SweepFolder.at(uri or folder)
    watched = watch_ray(ray.get_runtime_context().gcs_address, own_node(), print)
    with watched, _planted(planted, folder, work), work.owned():
        record = work.record
        events = []
        if work.begun:
            record.repair()
            events = read_record(work.folder).events
        if events:
            events.append(parse_event(record.append("resume", changes={})))
        else:
            write_sweep(plan, work)
            begun = {"format": 1, "id": "crash", "samples": samples, "epochs": 18, "metric": "wer", "target": 0.3}
            events = [parse_event(record.append("sweep", **begun))]
        drive(
            plan,
            work,
            events,
            Console(stderr=True),
            print,
            trainable=play(work.folder, SteadyPlayer if steady else SlowPlayer, uri),
        )
    ray.shutdown()


def _planted(seed: int | None, folder: Path, work: SweepFolder) -> AbstractContextManager[None]:
    if seed is None:
        return nullcontext()

    def log(line: str) -> None:
        with open(folder / "faults.log", "a") as told:
            told.write(f"{line}\n")

    faults = Faults(random.Random(seed), work.folder, FAR, log=log, real=True)
    return faults.planted()
