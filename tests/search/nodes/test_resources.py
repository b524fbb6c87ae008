"""Ray starts wherever TMPDIR leads, with the CPUs that may be used."""

import contextlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from glosstune.search.config.settings import ResourceSettings
from glosstune.search.nodes import gpu_share, resources
from glosstune.search.nodes.resources import count_slots, find_socket_room, start_ray, tell_slots
from glosstune.spaces.errors import SettingError

LONG = "/net/people/somebody/slurm_jobdir/1355700/tmp.t0016"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = os.environ.copy()
    for name in ("TMPDIR", "RAY_TMPDIR", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    yield
    os.environ.pop("RAY_TMPDIR", None)
    os.environ.update(before)


@pytest.mark.parametrize("folder", [None, "/tmp", "/scratch/job/1355700"])
def test_a_short_folder_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch, folder: str | None) -> None:
    if folder is not None:
        monkeypatch.setenv("TMPDIR", folder)
    said: list[str] = []
    find_socket_room(said.append)
    assert "RAY_TMPDIR" not in os.environ and not said


def test_a_short_folder_is_taken_where_tmpdir_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", LONG)
    said: list[str] = []
    find_socket_room(said.append)
    assert os.environ["RAY_TMPDIR"] == "/tmp"
    assert said == ["TMPDIR is too long for Ray's sockets; Ray keeps its files in /tmp (RAY_TMPDIR names another)"]


def test_what_the_user_has_chosen_for_ray_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", LONG)
    monkeypatch.setenv("RAY_TMPDIR", "/scratch")
    find_socket_room(print)
    assert os.environ["RAY_TMPDIR"] == "/scratch"
    monkeypatch.setenv("RAY_TMPDIR", LONG)
    with pytest.raises(SettingError, match=r"RAY_TMPDIR: is 51 bytes long.* set it to a short folder, such as /tmp"):
        find_socket_room(print)


def test_where_no_short_folder_can_be_written_the_user_is_asked_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", LONG)
    monkeypatch.setattr(resources, "can_write", lambda path: False)
    with pytest.raises(SettingError, match=r"TMPDIR: is 51 bytes long.* set RAY_TMPDIR to a short folder"):
        find_socket_room(print)


class _Ray:
    """What ``start_ray`` asks of Ray."""

    def __init__(self, error: Exception | None = None, times: int = 99) -> None:
        self.error, self.times = error, times
        self.asked: list[dict[str, Any]] = []

    def is_initialized(self) -> bool:
        return False

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": {"CPU": 1.0}}]

    def init(self, **asked: Any) -> None:
        self.asked.append(asked)
        if self.error is not None and "num_cpus" in asked and len(self.asked) <= self.times:
            raise self.error


@pytest.mark.parametrize("address", [None, "", "local"])
def test_ray_is_told_of_the_cpus_that_may_be_used(monkeypatch: pytest.MonkeyPatch, address: str | None) -> None:
    if address is not None:
        monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setattr(resources, "usable_cpus", lambda: 3)
    monkeypatch.setattr(resources, "describe_cpus", lambda: "3 of 64 CPUs")
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(resources, "ray", ray := _Ray())
    said: list[str] = []
    start_ray(said.append)
    assert [asked["num_cpus"] for asked in ray.asked] == [3]
    assert said == ["resources: trials share 3 of 64 CPUs"]


def test_a_cluster_that_runs_already_says_itself_what_it_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    error = ValueError("When connecting to an existing cluster, num_cpus and num_gpus must not be provided.")
    monkeypatch.setattr(resources, "ray", ray := _Ray(error))
    start_ray(print)
    assert [asked.get("num_cpus") is None for asked in ray.asked] == [False, True]
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    monkeypatch.setattr(resources, "ray", ray := _Ray(error))
    start_ray(print)
    assert [asked.get("num_cpus") for asked in ray.asked] == [None]


LATE = [
    Exception("The current node timed out during startup."),
    RuntimeError("Failed to start GCS. Last 0 lines of error files: ."),
]
OTHER = [
    RuntimeError("Version mismatch: The cluster was started with: Ray: 2.9.3"),
    ModuleNotFoundError("No module named 'grpc'"),
    AttributeError("'NoneType' object has no attribute 'address'"),
]
AGAIN = "Ray did not come up here in time, and is started again"


@pytest.mark.parametrize("error", LATE, ids=str)
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_ray_that_came_too_late_is_ended_and_started_again(
    monkeypatch: pytest.MonkeyPatch, error: Exception, times: int
) -> None:
    ended: list[BaseException] = []
    monkeypatch.setattr(resources, "ray", ray := _Ray(error, times))
    monkeypatch.setattr(resources, "end_remains", ended.append)
    said: list[str] = []
    if times < 3:
        start_ray(said.append)
    else:
        with pytest.raises(SettingError) as told:
            start_ray(said.append)
        assert str(told.value) == f"Ray cannot start here ({error}); tried 3 times; the same command tries again"
    assert len(ray.asked) == min(times + 1, 3)
    assert said == [AGAIN] * len(ended) and ended == [error] * min(times, 2)


@pytest.mark.parametrize("error", OTHER, ids=str)
def test_what_another_start_would_not_mend_is_told_at_once(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(resources, "ray", ray := _Ray(error))
    with pytest.raises(SettingError) as told:
        start_ray(print)
    assert str(told.value) == f"Ray cannot start here ({error})"
    assert len(ray.asked) == 1


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="asks Linux for the processes")
def test_a_ray_that_is_started_here_runs_nothing_that_no_sweep_uses(ray_cluster: None) -> None:
    commands = ""
    for thread in Path("/proc/self/task").glob("*/children"):
        for pid in thread.read_text().split():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                commands += Path(f"/proc/{pid}/cmdline").read_text()
    assert "raylet" in commands
    assert not any(program in commands for program in ("monitor.py", "dashboard.py"))
    session = re.search("--session-dir=([^ \0]+)", commands)
    assert session is not None
    log = Path(session[1]) / "logs" / "dashboard_agent.log"
    ends = time.monotonic() + 60
    while "Loaded 0 modules." not in (log.read_text() if log.exists() else ""):
        assert time.monotonic() < ends, log
        time.sleep(0.1)


@pytest.mark.parametrize(("memory_gb", "machines", "slots"), [(64, 1, 8), (5, 1, 3), (1, 1, 1), (1, 2, 16)], ids=str)
def test_no_more_trials_run_at_a_time_than_a_machine_has_memory_for(
    monkeypatch: pytest.MonkeyPatch, memory_gb: float, machines: int, slots: int
) -> None:
    """That of other machines is not known here."""
    monkeypatch.setattr(resources, "_machines", lambda: [{"CPU": 8.0}] * machines)
    for module in (resources, gpu_share):
        monkeypatch.setattr(module, "usable_memory", lambda: int(memory_gb * 1e9))
    assert count_slots(ResourceSettings()) == slots
    assert count_slots(ResourceSettings(concurrent=5)) == 5
    said: list[str] = []
    tell_slots(ResourceSettings(), said.append)
    tell_slots(ResourceSettings(concurrent=5), said.append)
    room = f"{memory_gb:.1f} GB of memory have no room for 8 processes; set it to have more or fewer trials at a time"
    assert said == ([f"resources.concurrent: {slots}, for {room}"] if slots < 8 else [])
