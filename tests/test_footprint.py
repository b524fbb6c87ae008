"""What benchmarks/walk.py says of time, memory and disk, and of what fails."""

import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

# Twice 40 MB at a time, in a process and one that it starts, and 3 MB on disk that do not stay.
GREEDY = """
import pathlib, subprocess, sys, time
mine = b"x" * 40_000_000
file = pathlib.Path(sys.argv[1], "large")
file.write_bytes(b"x" * 3_000_000)
print("first", flush=True)
subprocess.run([sys.executable, "-c", "import time; yours = b'x' * 40_000_000; time.sleep(0.6)"], check=True)
time.sleep(0.6)
file.unlink()
print("last")
"""


@pytest.fixture
def watching(benchmark_module: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_module("footprint.watching")


@pytest.fixture
def rows(watching: ModuleType) -> ModuleType:
    return importlib.import_module("footprint.rows")


@pytest.fixture
def walk(watching: ModuleType) -> ModuleType:
    return importlib.import_module("walk")


@pytest.fixture
def place(watching: ModuleType, tmp_path: Path):
    said: list[str] = []
    commands = importlib.import_module("footprint.commands")
    return commands.Walk(tmp_path, tmp_path, ["model.width=0.25"], True, said.append), said


def test_memory_is_that_of_all_processes_at_a_time_and_disk_what_was_held(watching, tmp_path):
    said: list[str] = []
    watched = watching.watch([sys.executable, "-c", GREEDY, str(tmp_path)], tmp_path, said.append)
    assert watched.own_mb > 80 and watched.rss_mb > watched.own_mb
    assert 3 <= watched.disk_mb < 4 and list(tmp_path.iterdir()) == []
    assert said == ["first", "last"] == [line for _, line in watched.lines]
    first, last = (seconds for seconds, _ in watched.lines)
    assert 0 < first < last - 1 < watched.seconds


def test_a_command_that_fails_says_so_with_its_last_line(watching, tmp_path):
    command = [
        sys.executable,
        "-c",
        "import sys; print('far'); print('no room', file=sys.stderr); print(); sys.exit(2)",
    ]
    with pytest.raises(watching.Failed, match=r"exit status 2, (no room|far)"):
        watching.watch(command, tmp_path, lambda line: None)


def test_links_count_nothing_and_a_process_that_has_ended_has_no_memory(watching, tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 1000)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert watching.folder_mb(tmp_path) == pytest.approx(0.001)
    assert watching.memory_mb(2**22 + 1) == (0.0, 0.0)
    assert next(watching.tree(os.getpid())) == os.getpid()


def test_a_row_that_fails_stops_no_other_and_says_why(walk, rows, place):
    where, said = place

    def fail(_: object) -> object:
        raise RuntimeError("a | b")

    good = rows.Row("", 12.0, 100.0, 2000.0, 0.0, "measured")
    found = walk.walk_through(where, [("one", fail), ("two", lambda _: good)])
    assert [(row.name, row.failed) for row in found] == [("one", "a | b"), ("two", "")]
    assert rows.table(found).splitlines()[2:] == [
        "| one | - | - | - | - | failed: a \\| b |",
        "| two | 12 s | 100 MB | 2 GB | 0 MB | measured |",
    ]
    assert said[0] == "[1/2] one" and said[2] == "[2/2] two"


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "-"), (0.123, "0.12 s"), (12.3, "12 s"), (126, "2.1 min"), (7200, "2 h")]
)
def test_times_are_short(rows, seconds, text):
    assert rows.shown_time(seconds) == text


def test_pretraining_is_told_from_the_steps_between_its_first_and_last_line(rows, place, monkeypatch):
    commands = importlib.import_module("footprint.commands")
    where, _ = place
    lines = [(5.0, "pretraining the teacher"), (6.0, "step 1 of 9: loss 3"), (14.0, "step 9 of 9: loss 2"), (15.0, "x")]
    watched = importlib.import_module("footprint.watching").Watched(15.0, 1.0, 2.0, 3.0, lines)
    row = rows.Row("`glosstune pretrain`", 15.0, 1.0, 2.0, 3.0, "measured")
    monkeypatch.setattr(commands.Walk, "command", lambda *_: (row, watched))
    where = replace(where, overrides=["pretraining.steps=809"])
    told = commands.pretrain(where)
    assert told.seconds == pytest.approx(15 + 800)
    assert told.how == f"8 steps {rows.TIMES} 101, 1 s each, and its start"


def test_every_strategy_of_both_models_is_there_and_intervals_come_after_what_they_are_of(walk):
    names = [name for name, _ in walk.steps()]
    assert len(names) == len(set(names)) == 18
    assert [name for name in names if "student" in name and "epoch" in name] == [
        f"an epoch of the student, {strategy}" for strategy in walk.STRATEGIES
    ]
    assert names[-2].endswith("scoring") and names[-1].endswith("intervals")
