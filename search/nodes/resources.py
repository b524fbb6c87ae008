"""Connect to Ray, and count what its machines have."""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import ray
import torch
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from glosstune.search.config.errors import Say
from glosstune.search.config.settings import ResourceSettings
from glosstune.search.config.sweep import Sweep
from glosstune.search.nodes.gpu_share import fit_in_memory
from glosstune.search.nodes.internals.private_ray import end_remains, keep_words_back, only_what_is_used
from glosstune.search.nodes.probe import can_write
from glosstune.spaces import SettingError
from glosstune.spaces.files.machine import describe_cpus, usable_cpus, usable_memory

# Ray gives its agents 15 s to begin, of which a slow disk or a busy machine may take more; a second start finds their
# files in memory.
_STARTS = 3
_LOOK_S = 60.0
_REGISTERS_S = 5.0
# No notes of tasks for a dashboard that does not run, which the head would keep: a kB an epoch, up to 100,000 of them.
OWN_RAY = {"task_events_report_interval_ms": 0}
# Of 107 bytes that a socket's path may have, 103 on macOS, Ray takes the rest.
_LONGEST_FOLDER = 103 - len("/ray/session_2026-11-29_20-39-19_123456_4194304/sockets/plasma_store")
_Started = TypeVar("_Started")


def start_ray(say: Say = print) -> None:
    """Connect to the cluster that RAY_ADDRESS names, else start Ray here; a connection that is there stays.

    A Ray that starts here gets the CPUs that this process may use, of which it looks for itself in some places only.

    Args:
        say: hears where it uses less than all CPUs, or another folder than TMPDIR, or is started again.

    Raises:
        SettingError: Ray cannot start, or takes no driver from here.
    """
    keep_words_back()
    if ray.is_initialized():
        return
    address = os.environ.get("RAY_ADDRESS")
    named = address not in (None, "", "local")
    if not named:
        find_socket_room(say)
    if named:
        try:
            _connect()
        except Exception as error:
            rule = f"the Ray cluster at {address} takes no driver from here ({_why(error)})"
            raise SettingError(rule, key="RAY_ADDRESS") from error
    else:
        try_to_start(partial(_start_here, say), say)
    ends = time.monotonic() + _REGISTERS_S
    while not any(machine.get("CPU") for machine in _machines()) and time.monotonic() < ends:
        time.sleep(0.2)  # a node that has just started on a busy machine may be there before what it has


def try_to_start(start: Callable[[], _Started], say: Say = print) -> _Started:
    """What a function returns that starts a Ray, which is called again where that does not come up in time.

    It starts no more processes than a sweep uses, and none is left of one that did not come up.

    Raises:
        SettingError: Ray cannot start.
    """
    starts = 0
    while True:
        starts += 1
        try:
            with only_what_is_used():
                return start()
        except Exception as error:
            why = _why(error)
            # Of a process of its own that ends while it starts Ray raises a bare one, or of its head this text.
            late = type(error) is Exception or why.startswith("Failed to start GCS")
            if not late or starts == _STARTS:
                way_out = f"; tried {_STARTS} times; the same command tries again" if late else ""
                raise SettingError(f"Ray cannot start here ({why}){way_out}") from error
            end_remains(error)
            say("Ray did not come up here in time, and is started again")


def _why(error: Exception) -> str:
    return " ".join(str(error).split())


def _connect() -> None:
    ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)


def _start_here(say: Say) -> None:
    """Start Ray, or connect to one that has been started on this machine before, which has said what it has."""
    try:
        ray.init(
            num_cpus=usable_cpus(),
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _system_config=OWN_RAY,
        )
    except ValueError as error:
        if "existing cluster" not in str(error):
            raise
        _connect()
        return
    if usable_cpus() < (os.cpu_count() or 1):
        say(f"resources: trials share {describe_cpus()}")


def find_socket_room(say: Say) -> None:
    """Have Ray keep its sockets where their paths are short enough for the system, whatever TMPDIR is.

    Raises:
        SettingError: RAY_TMPDIR, which is meant for Ray alone, is too long.
    """
    if sys.platform == "win32":  # which has none
        return
    own, folder = os.environ.get("RAY_TMPDIR"), os.environ.get("TMPDIR", "")
    if own is not None:
        if len(os.fsencode(own)) > _LONGEST_FOLDER:
            rule = f"is {len(os.fsencode(own))} bytes long, and Ray's sockets in it allow for {_LONGEST_FOLDER}"
            raise SettingError(f"{rule}; set it to a short folder, such as /tmp", key="RAY_TMPDIR")
    elif len(os.fsencode(folder)) > _LONGEST_FOLDER:
        short = next((each for each in ("/tmp", "/var/tmp", "/dev/shm") if can_write(Path(each))), None)
        if short is None:
            rule = f"is {len(os.fsencode(folder))} bytes long, and Ray's sockets in it allow for {_LONGEST_FOLDER}"
            raise SettingError(f"{rule}; set RAY_TMPDIR to a short folder that you may write to", key="TMPDIR")
        os.environ["RAY_TMPDIR"] = short
        say(f"TMPDIR is too long for Ray's sockets; Ray keeps its files in {short} (RAY_TMPDIR names another)")


def check_resources(sweep: Sweep, say: Say | None = None) -> None:
    """Raise SettingError where no machine has what a trial asks for: Ray would wait for it for ever.

    Args:
        say: hears of it instead, where nodes may join.
    """

    def fall_short(key: str, rule: str, way_out: str) -> None:
        if say is None:
            raise SettingError(f"{rule}{way_out}", key=key)
        say(f"{key}: {rule}; trials begin when a node joins that has it")

    machines = _machines()
    together = count_slots(sweep.resources.model_copy(update={"concurrent": None}))
    enough = True
    for key, resource in {"cpu": "CPU", "gpu": "GPU"}.items():
        asked, most = getattr(sweep.resources, key) or 0.0, max(machine.get(resource, 0.0) for machine in machines)
        if asked > most:
            rule, enough = f"a trial asks for {asked:g}, but the largest machine has {most:g}", False
            fall_short(f"resources.{key}", rule, f"; set it to at most {most:g}")
    if enough and not together:
        fall_short("resources", "no machine has both the CPUs and the GPUs that a trial asks for", "")


def count_slots(resources: ResourceSettings) -> int:
    """How many trials can run at a time on the machines that there are now."""
    if resources.concurrent is not None:
        return resources.concurrent
    machines = _machines()
    slots = _count_shares(resources, machines)
    return slots if len(machines) > 1 else min(slots, fit_in_memory())


def tell_slots(resources: ResourceSettings, say: Say) -> None:
    """Say where memory lets fewer trials run at a time than there are CPUs and GPUs for."""
    slots, shares = count_slots(resources), _count_shares(resources, _machines())
    if resources.concurrent is None and slots < shares:
        room = f"{usable_memory() / 1e9:.1f} GB of memory have no room for {shares} processes"
        say(f"resources.concurrent: {slots}, for {room}; set it to have more or fewer trials at a time")


def _count_shares(resources: ResourceSettings, machines: Iterable[Mapping[str, float]]) -> int:
    asked = {"CPU": resources.cpu, "GPU": resources.gpu or 0.0}
    return sum(
        # A thousandth, because ten shares of 0.1 must fit into 1.
        min(int(machine.get(name, 0.0) / amount + 1e-3) for name, amount in asked.items() if amount)
        for machine in machines
    )


def gpu_memory_gb() -> float | None:
    """Memory of the smallest GPU that trials may get; None where the cluster has none.

    Raises:
        SettingError: they are taken, so none can be looked at.
    """
    nodes = ray.nodes()  # type: ignore[no-untyped-call]  # Ray leaves it bare
    having = [node["NodeID"] for node in nodes if node["Alive"] and node["Resources"].get("GPU")]
    where = (NodeAffinitySchedulingStrategy(node, soft=False) for node in having)
    asked = [_smallest_gpu_gb.options(scheduling_strategy=each).remote() for each in where]
    ready, waiting = ray.wait(asked, num_returns=len(asked), timeout=_LOOK_S) if asked else ([], [])
    if waiting:
        rule = "cannot be found, because all GPUs of a node are taken; wait, or say for what share, such as 0.25"
        raise SettingError(rule, key="resources.gpu")
    return min(ray.get(ready), default=None)


@ray.remote(num_cpus=0, num_gpus=0.01)
def _smallest_gpu_gb() -> float:
    # Without a driver that answers, one trial takes a whole one.
    return torch.cuda.get_device_properties(0).total_memory / 1e9 if torch.cuda.is_available() else 0.0


def own_node() -> str | None:
    """``HOST:PORT`` of Ray's process on this machine (raylet)."""
    own = ray.get_runtime_context().get_node_id()
    for node in ray.nodes():  # type: ignore[no-untyped-call]  # Ray leaves it bare
        if node["NodeID"] == own and node["Alive"]:
            return f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}"
    return None


def _machines() -> list[dict[str, float]]:
    nodes = ray.nodes()  # type: ignore[no-untyped-call]  # Ray leaves it bare
    return [node["Resources"] for node in nodes if node["Alive"]]
