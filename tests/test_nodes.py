"""A sweep uses a node that joins late, and survives its loss, its standing still, and the loss of the head."""

import contextlib
import os
import signal
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
from forked_workers import Forks
from ray._common.utils import reset_ray_address
from ray.cluster_utils import Cluster
from replay import crash_plan
from victim import Victim, check_record, read_events, read_reports

from glosstune.search.nodes.resources import try_to_start

pytestmark = pytest.mark.slow
SAMPLES = 24
# How soon a head gives up a node, which on a busy machine may be silent for seconds though it lives, most of all when
# it starts. One that is killed refuses the connection, so it is noticed in three seconds whatever the timeout is.
KILLED = {"health_check_period_ms": 1000, "health_check_timeout_ms": 10_000, "health_check_failure_threshold": 3}
# One that stands still is noticed after both timeouts, sooner than with those of docs/cluster.md.
FROZEN = {"health_check_period_ms": 1000, "health_check_timeout_ms": 3000, "health_check_failure_threshold": 2}


@pytest.fixture
def health() -> dict[str, int]:
    """What the head is started with."""
    return KILLED


@pytest.fixture
def cluster(forks: Forks, health: dict[str, int]) -> Iterator[Cluster]:
    """A head without trials and a node for one trial, each with processes of its own."""
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": health}
    with forks.used():
        cluster = try_to_start(lambda: Cluster(initialize_head=True, head_node_args=head))
        reset_ray_address()  # or whatever else starts a Ray here would attach to this one
        try:
            try_to_start(lambda: cluster.add_node(num_cpus=1))
            yield cluster
        finally:
            for node in cluster.worker_nodes:
                _signal(node, forks, signal.SIGCONT)
            cluster.shutdown()


def _signal(node: Any, forks: Forks, number: signal.Signals) -> None:
    """Signal a node's raylet and its agents, and with it all trials of the node."""
    raylet = node.all_processes["raylet"][0].process.pid
    listed = Path(f"/proc/{raylet}/task/{raylet}/children")
    children = listed.read_text().split() if listed.exists() else []
    workers = forks.of(raylet)
    assert workers or number == signal.SIGCONT
    for pid in (raylet, *map(int, children), *workers):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _busy_nodes(folder: Path) -> set[str]:
    return {node for path in folder.glob("trials/*/nodes") for node in path.read_text().split()}


def test_a_driver_whose_head_is_killed_ends_with_what_goes_on_and_a_new_head_goes_on(
    cluster: Cluster, drivers: ForkServerContext, tmp_path: Path
) -> None:
    first = Victim(drivers, tmp_path, SAMPLES, None, cluster.address)
    assert first.wait_for(4)
    # Its raylet and its trials live on, as on another machine.
    os.kill(cluster.head_node.all_processes["gcs_server"][0].process.pid, signal.SIGKILL)
    first.process.join(timeout=120)
    told = (tmp_path / "driver.log").read_text()
    assert first.process.exitcode == 2, told[-2000:]
    *_, gone, _, line = told.strip().splitlines()
    assert f"the head of the Ray cluster at {cluster.address} is gone: somebody stopped it" in gone
    assert line.endswith(f"go on with: glosstune resume {tmp_path}")
    reported = read_reports(tmp_path)
    second = Victim(drivers, tmp_path, SAMPLES, 2, None)
    second.process.join(timeout=240)
    assert second.process.exitcode == 0, (tmp_path / "driver.log").read_text()[-2000:]
    check_record(tmp_path, crash_plan(SAMPLES))
    assert read_reports(tmp_path)[: len(reported)] == reported


@pytest.mark.parametrize(
    ("fault", "health"), [(signal.SIGKILL, KILLED), (signal.SIGSTOP, FROZEN)], ids=["killed", "frozen"]
)
def test_a_late_node_is_used_and_its_loss_costs_an_epoch(
    cluster: Cluster, forks: Forks, drivers: ForkServerContext, tmp_path: Path, fault: signal.Signals
) -> None:
    (tmp_path / "steady").touch()
    driver = Victim(drivers, tmp_path, SAMPLES, None, cluster.address, steady=True)
    assert driver.wait_for(2)
    late = try_to_start(lambda: cluster.add_node(num_cpus=1))
    while late.node_id not in _busy_nodes(tmp_path):
        assert driver.wait_for(len(read_reports(tmp_path)) + 1)
    _signal(late, forks, fault)
    (tmp_path / "steady").unlink()
    driver.process.join(timeout=240)
    assert driver.process.exitcode == 0, (tmp_path / "driver.log").read_text()[-2000:]
    check_record(tmp_path, crash_plan(SAMPLES))
    retries = [event for event in read_events(tmp_path) if event["event"] == "retry"]
    assert len(retries) <= 1  # none where it had just come to a rung
    assert all("its node is gone" in event["reason"] or "its process ended" in event["reason"] for event in retries)
