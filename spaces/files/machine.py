"""What of this machine a process may use: a job or a container has less than there is."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# Where the system does not tell how much memory there is.
_USUAL_MEMORY = 8 << 30


def usable_cpus(root: Path = Path("/")) -> int:
    """CPUs that this process may use: those that it may run on, and no more than its control groups let it have.

    Args:
        root: where ``proc`` and ``sys`` lie.
    """
    shares = (quota / period for quota, period in _limits(root, "cpu") if quota > 0 and period > 0)
    return max(1, min([_bound_to(), *(int(share + 1e-3) for share in shares)]))


def usable_memory(root: Path = Path("/")) -> int:
    """Bytes of memory that this process may use: all that there is, and no more than its control groups let it have."""
    there = _USUAL_MEMORY
    with suppress(ValueError, OSError):
        if sys.platform == "win32":
            import ctypes

            kilobytes = ctypes.c_ulonglong()
            if ctypes.windll.kernel32.GetPhysicallyInstalledSystemMemory(ctypes.byref(kilobytes)):
                there = kilobytes.value * 1024
        else:
            there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([there, *(int(limit) for limit, *_ in _limits(root, "memory") if limit > 0)])


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


# Of a controller, the files of version 2 and of version 1 that say its limit.
_FILES = {
    "cpu": (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")),
    "memory": (("memory.max",), ("memory.limit_in_bytes",)),
}


def _limits(root: Path, controller: str) -> Iterator[list[float]]:
    """What the control groups of this process, and those around them, say; see cgroups(7)."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):  # no Linux
        return
    second, first = _FILES[controller]
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if not controllers:
            for mount in ("sys/fs/cgroup", "sys/fs/cgroup/unified"):
                yield from _found(root / mount, path, second)
        elif controller in controllers.split(","):
            for mount in {controllers, controller}:
                yield from _found(root / "sys/fs/cgroup" / mount, path, first)


def _found(mount: Path, path: str, names: tuple[str, ...]) -> Iterator[list[float]]:
    # A container may see its own group at the mount itself, whatever its path is called outside.
    group = mount / path.strip("/") if ".." not in path else mount
    for folder in (group, *group.parents):
        if not folder.is_relative_to(mount):
            return
        with suppress(OSError, ValueError):  # not there, or "max"
            yield [float(word) for name in names for word in (folder / name).read_text(encoding="utf-8").split()]
