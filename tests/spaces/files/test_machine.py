"""As much is counted as may be used: affinity, and the limits of control groups of either version."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from glosstune.spaces.files import machine
from glosstune.spaces.files.machine import describe_cpus, limit_threads, usable_cpus, usable_memory

COUNT = "import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
COUNT += "from glosstune.spaces.files.machine import usable_cpus\nprint(usable_cpus())"


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 64 CPUs."""
    monkeypatch.setattr(machine, "_bound_to", lambda: 64)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


CGROUP = "proc/self/cgroup"
V1 = "sys/fs/cgroup/cpu,cpuacct"


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({}, 64),
        ({CGROUP: "0::/"}, 64),
        ({CGROUP: "0::/", "sys/fs/cgroup/cpu.max": "max 100000"}, 64),
        ({CGROUP: "0::/", "sys/fs/cgroup/cpu.max": "400000 100000"}, 4),
        ({CGROUP: "0::/", "sys/fs/cgroup/cpu.max": "50000 100000"}, 1),
        ({CGROUP: "0::/", "sys/fs/cgroup/cpu.max": "250000 100000"}, 2),
        ({CGROUP: "0::/a/b", "sys/fs/cgroup/a/cpu.max": "300000 100000", "sys/fs/cgroup/a/b/cpu.max": "max 100000"}, 3),
        ({CGROUP: "0::/a/b", "sys/fs/cgroup/a/cpu.max": "800000 100000", "sys/fs/cgroup/a/b/cpu.max": "5000 1000"}, 5),
        ({CGROUP: "0::/host/docker-1", "sys/fs/cgroup/cpu.max": "200000 100000"}, 2),
        ({CGROUP: "0::/../other", "sys/fs/cgroup/cpu.max": "200000 100000"}, 2),
        ({CGROUP: "4:cpu,cpuacct:/j", f"{V1}/j/cpu.cfs_quota_us": "-1", f"{V1}/j/cpu.cfs_period_us": "100000"}, 64),
        ({CGROUP: "4:cpu,cpuacct:/j", f"{V1}/j/cpu.cfs_quota_us": "600000", f"{V1}/j/cpu.cfs_period_us": "100000"}, 6),
        ({CGROUP: "1:cpu:/", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "7", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "1"}, 7),
        ({CGROUP: "0::/x", "sys/fs/cgroup/unified/x/cpu.max": "900000 100000"}, 9),
        ({CGROUP: "torn", "sys/fs/cgroup/cpu.max": "what"}, 64),
    ],
)
def test_a_control_group_limits_what_is_counted(tmp_path: Path, files: dict[str, str], cpus: int) -> None:
    assert usable_cpus(write(tmp_path, files)) == cpus


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({CGROUP: "0::/"}, None),
        ({CGROUP: "0::/a", "sys/fs/cgroup/memory.max": "max", "sys/fs/cgroup/a/memory.max": "max"}, None),
        (
            {CGROUP: "0::/a/b", "sys/fs/cgroup/a/memory.max": "1000000", "sys/fs/cgroup/a/b/memory.max": "max"},
            1_000_000,
        ),
        ({CGROUP: "5:memory:/j", "sys/fs/cgroup/memory/j/memory.limit_in_bytes": "2000000"}, 2_000_000),
        ({CGROUP: "5:memory:/j", "sys/fs/cgroup/memory/j/memory.limit_in_bytes": "9223372036854771712"}, None),
    ],
)
def test_a_control_group_limits_the_memory(tmp_path: Path, files: dict[str, str], limit: int | None) -> None:
    assert usable_memory(write(tmp_path, files)) == (limit or usable_memory(tmp_path / "nothing"))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes are bound to CPUs on Linux alone")
def test_a_process_that_is_bound_to_one_cpu_counts_one() -> None:
    counted = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    assert counted.stdout == "1\n"


@pytest.mark.usefixtures("many")
def test_what_may_be_used_is_told_beside_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_limits", lambda root, controller: iter([]))
    assert describe_cpus() == "64 CPUs"
    monkeypatch.setattr(machine, "_limits", lambda root, controller: iter([[400_000.0, 100_000.0]]))
    assert describe_cpus() == "4 of 64 CPUs (CPU affinity or a cgroup's limit)"


@pytest.mark.usefixtures("many")
def test_a_control_group_limits_threads_unless_the_user_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_limits", lambda root, controller: iter([[400_000.0, 100_000.0]]))
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    limit_threads()
    assert os.environ["OMP_NUM_THREADS"] == "2"
    monkeypatch.delenv("OMP_NUM_THREADS")
    limit_threads()
    assert os.environ["OMP_NUM_THREADS"] == "4"


def test_on_windows_memory_is_what_its_own_library_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def tell(kilobytes: Any) -> int:
        kilobytes._obj.value = 3 << 20
        return 1

    monkeypatch.setattr(sys, "platform", "win32")
    kernel = SimpleNamespace(GetPhysicallyInstalledSystemMemory=tell)
    monkeypatch.setattr(ctypes, "windll", SimpleNamespace(kernel32=kernel), raising=False)
    assert usable_memory(tmp_path) == 3 << 30
