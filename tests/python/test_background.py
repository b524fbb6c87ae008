"""A sweep in a process of its own, here a program that says and does what a test asks of it."""

import os
import platform
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sweep_folder import SweepFolder

import glosstune
from glosstune import background
from glosstune.results.reading import record
from glosstune.search.storage.lock import owned
from glosstune.search.tracking import watching
from glosstune.search.tracking.watching import Watched
from glosstune.spaces import FolderError, SettingError

PROGRAM = """#!{python}
import json, os, sys, time
from pathlib import Path

here = Path({here!r})
(here / "asked.json").write_text(json.dumps({{"arguments": sys.argv[1:], "path": os.environ["PYTHONPATH"]}}))
print("corpus: packing", flush=True)
print("  a row of a table", flush=True)
while not (here / "exit").exists():
    time.sleep(0.01)
code, line = (here / "exit").read_text().split(maxsplit=1)
print(line)
sys.exit(int(code))
"""


class Driver:
    """What runs in place of the command, until it is told to end."""

    def __init__(self, here: Path) -> None:
        self.here = here
        self.program = here / "python"
        self.program.write_text(PROGRAM.format(python=sys.executable, here=str(here)))
        self.program.chmod(self.program.stat().st_mode | stat.S_IXUSR)

    @property
    def asked(self) -> str:
        return (self.here / "asked.json").read_text()

    def end(self, code: int, line: str) -> None:
        (self.here / "partial").write_text(f"{code} {line}")
        (self.here / "partial").rename(self.here / "exit")


@pytest.fixture
def driver(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Driver:
    driver = Driver(tmp_path_factory.mktemp("driver"))
    monkeypatch.setattr(sys, "executable", str(driver.program))
    return driver


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_it_is_told_from_its_first_line_to_its_end(driver: Driver, drawn: SweepFolder, tmp_path: Path) -> None:
    out = tmp_path / "runs" / "a"
    running = glosstune.sweep("student", "search.samples=3", out=out, background=True)
    assert (running.place, running.log) == (str(out), out / "driver.log")
    until(lambda: repr(running) == f"{out}: preparing; corpus: packing")
    with pytest.raises(FolderError, match="preparing"):
        _ = running.results

    shutil.copy(drawn.record, out)
    with owned(out):
        assert str(running.poll()).startswith(
            f"{out}: runs as process {os.getpid()} on {platform.node()}; student: 1 finished, 1 running, 1 to come; "
            "best WER 20.0% (trial 0, epoch 2), target 30% reached; "
        )
        assert (running.poll().state, running.poll().best_wer) == ("running", 0.2)
        assert list(running.results.trials["status"]) == ["finished", "running"]
        with pytest.raises(TimeoutError, match="runs as process"):
            running.wait(timeout_s=0)

    driver.end(0, "trials 1 finished")
    assert running.wait().best["trial"] == 0
    assert running.poll().state == "ended"


def test_its_process_is_given_the_checked_sweep_and_the_path_of_this_one(driver: Driver, tmp_path: Path) -> None:
    out = tmp_path / "a"
    running = glosstune.sweep("search.samples=3", "corpus.root=/data", out=out, address="auto", background=True)
    until(lambda: (driver.here / "asked.json").exists() and driver.asked.endswith("}"))
    running.stop()
    for word in ("-m", "glosstune.search", "sweep", str(out / "sweep.yaml"), "--out", str(out), "--address", "auto"):
        assert f'"{word}"' in driver.asked
    assert all(entry in driver.asked for entry in sys.path)
    sweep = glosstune.load_sweep(out / "sweep.yaml")
    assert sweep == glosstune.load_sweep(None, ["search.samples=3", "corpus.root=/data"])
    assert sweep.name == "teacher-own"


def test_what_failed_says_its_last_word_and_leaves_the_place_free(driver: Driver, tmp_path: Path) -> None:
    out = tmp_path / "a"
    running = glosstune.sweep("student", out=out, background=True)
    driver.end(2, "glosstune: corpus.root: no such folder")
    with pytest.raises(FolderError, match=r"a: failed; glosstune: corpus\.root: no such folder; see .*driver\.log"):
        running.wait()
    assert running.stop().state == "failed"
    again = glosstune.sweep("student", out=out, background=True)
    with pytest.raises(FolderError, match="failed"):
        again.wait()
    assert out.joinpath("driver.log").read_text().count("corpus.root") == 1


def test_a_stopped_one_can_be_resumed(driver: Driver, drawn: SweepFolder, tmp_path: Path) -> None:
    out = tmp_path / "a"
    running = glosstune.sweep("student", out=out, background=True)
    until(lambda: running.poll().line.endswith("corpus: packing"))
    assert running.stop().line == f"{out}: interrupted before it began"

    shutil.copy(drawn.record, out)
    resumed = glosstune.resume(out, samples="+2", background=True)
    assert (resumed.poll().state, resumed.poll().best_wer) == ("preparing", 0.2)
    until(lambda: driver.asked.endswith("}") and f'"resume", "{out}", "--samples", "+2"' in driver.asked)
    stopped = resumed.stop()
    assert stopped.state == "interrupted" and stopped.line == Watched(str(out)).line()
    assert stopped.line.endswith(
        f"1 cut off, 14 to come; best WER 20.0% (trial 0, epoch 2), target 30% reached; "
        f"go on with: glosstune resume {out}"
    )
    assert resumed.wait().best["trial"] == 0


def test_a_torn_sweep_file_hides_nothing_that_was_known(driver: Driver, drawn: SweepFolder, tmp_path: Path) -> None:
    out = tmp_path / "a"
    running = glosstune.sweep("student", out=out, background=True)
    shutil.copy(drawn.record, out)
    settings = (out / "sweep.yaml").read_text()
    (out / "sweep.yaml").write_text("search: {")
    torn = running.poll()
    assert (torn.state, torn.best_wer) == ("running", None)
    assert torn.line.startswith(f"{out}: running; ") and "sweep.yaml" in torn.line

    (out / "sweep.yaml").write_text(settings)
    assert (running.poll().state, running.poll().best_wer) == ("running", 0.2)
    (out / "sweep.yaml").write_text("search: {")
    drawn.report(1, 9, wer=0.15)
    shutil.copy(drawn.record, out)
    assert (running.poll().state, running.poll().best_wer) == ("running", 0.2)
    driver.end(0, "trials 1 finished")
    until(lambda: running.poll().state == "ended")
    assert running.poll().line.startswith(f"{out}: ended; ") and "sweep.yaml" in running.poll().line


def test_a_look_reads_the_record_once(
    driver: Driver, drawn: SweepFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = glosstune.sweep("student", out=tmp_path / "a", background=True)
    shutil.copy(drawn.record, tmp_path / "a")
    reads: list[Path] = []
    read = record.read_record
    for module in (background, watching):
        monkeypatch.setattr(module, "read_record", lambda folder: (reads.append(folder), read(folder))[1])
    assert [running.poll().state for _ in range(3)] == ["running"] * 3
    assert reads == [tmp_path / "a"]
    running.stop()


def test_changes_for_another_driver_are_handed_to_it(driver: Driver, drawn: SweepFolder) -> None:
    drawn.settle((Path(glosstune.search.__file__).parent / "config/sweeps/student.yaml").read_text())
    handed = glosstune.resume(drawn.path, samples=9, background=True)
    driver.end(0, "drawn: handed to the driver that runs it")
    handed.wait()
    assert handed.poll().line == f"{drawn.path}: ended; drawn: handed to the driver that runs it"


def test_a_mistake_is_told_before_a_process_starts(
    drawn: SweepFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", start)
    drawn.settle((Path(glosstune.search.__file__).parent / "config/sweeps/student.yaml").read_text())
    with pytest.raises(SettingError, match=r"search\.sample: unknown key; did you mean 'samples'\?"):
        glosstune.sweep("student", "search.sample=2", out=tmp_path / "a", background=True)
    with pytest.raises(FolderError, match="holds a sweep already"):
        glosstune.sweep("student", out=drawn.path, background=True)
    with pytest.raises(SettingError, match="cannot change while a sweep goes on"):
        glosstune.resume(drawn.path, "model.width=2", background=True)
    with pytest.raises(FolderError, match="no such folder"):
        glosstune.resume(tmp_path / "a", background=True)
    assert not (tmp_path / "a").exists()


def test_a_place_that_cannot_be_made_is_refused_by_name() -> None:
    with pytest.raises(FolderError, match=r"^/proc/nowhere: cannot be made"):
        glosstune.sweep("student", out="/proc/nowhere", background=True)
