"""Attach a driver to a Ray cluster that runs already: ship the package to its nodes, and look at them first."""

import logging
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from glosstune.search.config.sweep import Sweep
from glosstune.search.nodes.judging import Node, ask_about, judge, read_requirements
from glosstune.search.nodes.package import stage_package, stage_parts
from glosstune.search.nodes.probe import ask_nodes
from glosstune.spaces.errors import SettingError


def attach(address: str, parts: Sequence[str] = ()) -> None:
    """Connect this process to a cluster, whose trials then run the package as it is here.

    Args:
        address: ``HOST:PORT`` of the head, or ``auto`` for the cluster that this machine belongs to (see
            ``heads.check_head``).
        parts: names of parts of the user's own, which go with it.

    Raises:
        SettingError: the cluster takes no driver from this machine.
    """
    import ray

    if ray.is_initialized():
        return
    with tempfile.TemporaryDirectory(prefix="glosstune-") as folder:
        sent = [stage_package(Path(folder)), *stage_parts(parts, Path(folder))]
        modules = {"py_modules": [str(path) for path in sent]}
        try:
            ray.init(address=address, runtime_env=modules, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # a bare one where a process of Ray's ends meanwhile
            rule = f"the Ray cluster at {address} takes no driver from here ({' '.join(str(error).split())})"
            raise SettingError(rule, key="--address") from error


def check_nodes(sweep: Sweep, place: str, say: Callable[..., object]) -> None:
    """Look at every node of the cluster that this process is connected to, if it is more than this machine.

    Raises:
        SettingError: see ``judging.judge``.
    """
    import ray

    if sum(node["Alive"] for node in ray.nodes()) < 2:  # type: ignore[no-untyped-call]  # Ray leaves it bare
        return
    say("cluster: looking at its nodes")
    try:
        requirements = read_requirements(sweep, place)
    except SettingError:  # sent with a job, which has looked at what is installed before
        requirements = []
    answer = ask_nodes(ask_about(sweep, place, requirements))
    nodes = [Node(**node) for node in answer["nodes"]]
    judge(nodes, sweep, requirements, may_join=True).tell(say, "cluster")  # see resources.check_resources
