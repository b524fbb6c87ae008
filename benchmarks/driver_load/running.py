"""Run a sweep in a process of its own, on a cluster of several nodes of this machine."""

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray._common.utils import reset_ray_address
from ray.cluster_utils import Cluster
from rich.console import Console

from glosstune.results.reading.events import FORMAT, SweepBegun, SweepResumed, write_event
from glosstune.results.reading.record import read_record
from glosstune.search import Sweep
from glosstune.search.driver.driving import drive
from glosstune.search.storage.sweep_folder import SweepFolder, write_sweep


def run(folder: Path, sweep: Sweep, trainable: Any = None) -> None:
    """Begin the sweep in a folder, or go on with it, without a terminal."""
    work = SweepFolder(folder)
    if work.begun:
        events = [*read_record(folder).events, write_event(work.record.append, SweepResumed(changes={}))]
    else:
        write_sweep(sweep, work)
        search, epochs = sweep.search, sweep.training.epochs
        begun = SweepBegun(
            format=FORMAT, id="1", samples=search.samples, epochs=epochs, metric=search.metric, target=search.target
        )
        events = [write_event(work.record.append, begun)]
    with (folder / "log").open("a") as log:
        drive(sweep, work, events, Console(file=log), lambda line: None, trainable=trainable)


def apart(measure: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns in a process of its own, whose memory nothing else has used."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(measure, arguments)


def own_cluster(num_cpus: int) -> Cluster:
    """A head, to which nothing else attaches that starts a Ray on this machine."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": num_cpus, "include_dashboard": False})
    reset_ray_address()
    return cluster


@contextmanager
def ray_of(nodes: int, cpus: int = 1) -> Iterator[Cluster]:
    """A head that runs no trials and nodes that do, every one with processes of its own."""
    cluster = own_cluster(num_cpus=0)
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=cpus)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


def show(*cells: Any) -> None:
    """Print a row of a table."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)
