"""What of this machine a process may use: a job or a container has less than there is."""

import os
from collections.abc import Iterator
from pathlib import Path


def usable_cpus(root: Path = Path("/")) -> int:
    """CPUs that this process may use: those that it may run on, and no more than its control groups let it have.

    Args:
        root: where ``proc`` and ``sys`` lie.
    """
    return max(1, min([_bound_to(), *(int(quota + 1e-3) for quota in _quotas(root))]))


def limit_threads() -> None:
    """Have libraries that are imported later start no more threads than CPUs; by themselves they know no cgroup."""
    cpus = usable_cpus()
    if cpus < _bound_to():
        os.environ.setdefault("OMP_NUM_THREADS", str(cpus))


def describe_cpus() -> str:
    """How many there are, and how many of them may be used where that is less."""
    usable, there = usable_cpus(), os.cpu_count() or 1
    return f"{there} CPUs" if usable >= there else f"{usable} of {there} CPUs (CPU affinity or a cgroup's limit)"


def _bound_to() -> int:
    """CPUs that the system runs this process on (taskset, SLURM); macOS and Windows bind none to some of them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _quotas(root: Path) -> Iterator[float]:
    """CPUs' worth of time that each control group of this process, or one around it, may take (cgroups(7))."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):  # no Linux
        return
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if not controllers:
            for mount in ("sys/fs/cgroup", "sys/fs/cgroup/unified"):
                yield from _found(root / mount, path, "cpu.max")
        elif "cpu" in controllers.split(","):
            for mount in {controllers, "cpu"}:
                yield from _found(root / "sys/fs/cgroup" / mount, path, "cpu.cfs_quota_us", "cpu.cfs_period_us")


def _found(mount: Path, path: str, *names: str) -> Iterator[float]:
    # A container may see its own group at the mount itself, whatever its path is called outside.
    group = mount / path.strip("/") if ".." not in path else mount
    for folder in (group, *group.parents):
        if not folder.is_relative_to(mount):
            return
        try:
            quota, period = " ".join((folder / name).read_text(encoding="utf-8") for name in names).split()
            if float(quota) > 0 and float(period) > 0:
                yield float(quota) / float(period)
        except (OSError, ValueError):  # not there, or "max"
            continue
