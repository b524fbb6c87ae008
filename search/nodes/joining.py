"""Wait for a cluster that starts together with its driver, as that of a SLURM job does."""

import os
import time

from glosstune.search.config.errors import Say
from glosstune.search.nodes.head_watch import listens
from glosstune.search.nodes.internals.private_ray import runs_here
from glosstune.spaces.errors import SettingError

# Says of how many nodes the cluster is to be; set by whoever starts it (see jobs.slurm_script).
VARIABLE = "GLOSSTUNE_NODES"
# Nodes whose Python lies on a slow disk take minutes.
JOIN_WITHIN_S = 300.0
_LOOK_S = 1.0


def joining_nodes() -> int:
    """How many nodes a cluster is to have that starts together with this driver; 0 for one that has started before.

    Raises:
        SettingError: the variable is no number.
    """
    told = os.environ.get(VARIABLE, "0")
    if not told.isdecimal():
        raise SettingError(f"must be the number of nodes to wait for; got {told!r}", key=VARIABLE)
    return int(told)


def wait_for_head(address: str, within_s: float = JOIN_WITHIN_S) -> None:
    """Return once a head listens at ``HOST:PORT`` and Ray runs on this machine, or in vain.

    Whether they take this driver, and belong together, is for ``heads.check_head`` and Ray to find out.
    """
    ends = time.monotonic() + within_s
    while time.monotonic() < ends:
        if listens(address) and runs_here():
            return
        time.sleep(_LOOK_S)


def wait_for_nodes(count: int, say: Say, within_s: float = JOIN_WITHIN_S) -> None:
    """Return once the cluster that this process is connected to has so many nodes; say so where they do not come."""
    import ray

    ends = time.monotonic() + within_s
    while (there := sum(node["Alive"] for node in ray.nodes())) < count:  # type: ignore[no-untyped-call]  # Ray leaves it bare
        if time.monotonic() >= ends:
            late = f"{there} of {count} nodes have joined in {within_s:g} s"
            say(f"cluster: {late}; the sweep begins, and the others get trials when they join")
            return
        time.sleep(_LOOK_S)
