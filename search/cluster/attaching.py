"""Attach a driver to a Ray cluster that runs already: ship the package to its nodes, and look at them first."""

import logging
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

from glosstune.search.cluster.judging import Node, ask_about, judge, read_requirements
from glosstune.search.cluster.probe import ask_nodes
from glosstune.search.cluster.staging import stage_package
from glosstune.search.sweep import Sweep
from glosstune.spaces.errors import SettingError


def attach(address: str) -> None:
    """Connect this process to a cluster, whose trials then run the package as it is here.

    Args:
        address: ``HOST:PORT`` of the head, or ``auto`` for the cluster that this machine belongs to.

    Raises:
        SettingError: no cluster answers, or not to this machine.
    """
    check_address(address)
    import ray

    if ray.is_initialized():
        return
    with tempfile.TemporaryDirectory(prefix="glosstune-") as folder:
        modules = {"py_modules": [str(stage_package(Path(folder)))]}
        try:
            check_answers(address)
            ray.init(address=address, runtime_env=modules, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            reason = str(error).strip().splitlines()[0]
            rule = f"no Ray cluster answers at {address} ({reason}); start one, or correct the address or the token"
            raise SettingError(rule, key="--address") from error


def check_address(address: str) -> None:
    """Raise SettingError where a driver cannot attach to an address of this kind."""
    if "://" in address:
        rule = (
            "would run the driver, its lock, display and record, on the head; run the command on a node of the cluster"
        )
        raise SettingError(f"{rule} with HOST:PORT or auto, or use glosstune submit; got {address}", key="--address")


def check_answers(address: str) -> None:
    """Raise OSError where nothing listens at ``HOST:PORT``: Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    if port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=10).close()


def check_nodes(sweep: Sweep, place: str, say: Callable[..., object]) -> None:
    """Look at every node of the cluster that this process is connected to, if it is more than this machine.

    Raises:
        SettingError: see ``judging.judge``.
    """
    import ray

    nodes = ray.nodes()  # type: ignore[no-untyped-call]  # Ray leaves it bare
    if sum(node["Alive"] for node in nodes) < 2:
        return
    say("cluster: looking at its nodes")
    try:
        requirements = read_requirements(sweep, place)
    except SettingError:  # sent with a job, which has looked at what is installed before
        requirements = []
    answer = ask_nodes(ask_about(sweep, place, requirements))
    judge([Node(**node) for node in answer["nodes"]], sweep, requirements).tell(say, "cluster")
