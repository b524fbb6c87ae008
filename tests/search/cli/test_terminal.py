"""Commands in a terminal as people have one, of several widths."""

import fcntl
import json
import os
import platform
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from replay import Tape, learning, sweep
from terminal import Terminal, check_screen

from glosstune.results.reading.names import LOCK, OWNER, RECORD, SWEEP
from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.spaces.files.yaml_data import write_yaml

SCREENS = Path(__file__).parent / "screens"
PATIENCE_S = 60.0
# Which rich takes before the size of the terminal; pytest's workers are given them.
_SIZES = {"COLUMNS", "LINES"}


class Window:
    """A terminal of so many columns in which a command runs."""

    def __init__(self, width: int, *command: str) -> None:
        self.terminal = Terminal(width, height=30)
        self._master, slave = pty.openpty()
        self._set(width)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "glosstune.search", *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**{name: value for name, value in os.environ.items() if name not in _SIZES}, "TERM": "xterm-256color"},
        )
        os.close(slave)

    def resize(self, width: int) -> None:
        while self._read(0.0, alive=False):  # what was drawn for the window as it was
            pass
        self._set(width)
        self.terminal.resize(width)

    def _set(self, width: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", 30, width, 0, 0))

    def wait_for(self, part: str) -> str:
        """The screen once it holds a text; at the end of the command as it is then."""
        ends = time.monotonic() + PATIENCE_S
        while part not in self.terminal.text:
            assert time.monotonic() < ends, self.terminal.text
            if not self._read(0.5):
                break
        return self.terminal.text

    def settle(self) -> str:
        """The screen once it stays the same, while it is drawn anew four times a second."""
        ends, before, same = time.monotonic() + PATIENCE_S, "", 0
        while same < 4 and time.monotonic() < ends:
            drawn = time.monotonic() + 0.3
            while time.monotonic() < drawn:
                self._read(0.1)
            same = same + 1 if self.terminal.text == before else 0
            before = self.terminal.text
        return before

    def interrupt(self) -> int:
        """Ctrl-C, and the exit status."""
        self._process.send_signal(signal.SIGINT)
        self.end()
        return self._process.wait(PATIENCE_S)

    def end(self) -> str:
        """The screen when the command has ended."""
        while self._read(0.5):
            pass
        self._process.wait(PATIENCE_S)
        os.close(self._master)
        return self.terminal.text

    def _read(self, within_s: float, *, alive: bool = True) -> bool:
        if not select.select([self._master], [], [], within_s)[0]:
            return alive and self._process.poll() is None
        try:
            self.terminal.feed(os.read(self._master, 65536).decode())
        except OSError:  # nobody writes to it any more
            return False
        return True


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Path]:
    """The folder of a sweep that this process seems to drive: one trial has ended, one waits, one trains."""
    folder, plan, tape = tmp_path / "runs", sweep("search.samples=5", "training.epochs=8"), Tape()
    known = {"samples": 5, "epochs": 8, "metric": "wer", "target": 0.3}
    tape.append("sweep", format=1, id="1", **known)
    scheduler = Scheduler(plan, tape.append, slots=lambda: 2, events=tape.told)
    for epochs in (3, 3, 2):
        number = scheduler.next_trial()
        assert number is not None
        configuration = scheduler.state.trials[number].configuration
        for epoch in range(1, epochs + 1):
            scheduler.report(number, epoch, learning(configuration, epoch))
    folder.mkdir()
    (folder / SWEEP).write_text(write_yaml(plan.resolved()))
    (folder / OWNER).write_text(json.dumps({"pid": os.getpid(), "host": platform.node()}))
    (folder / RECORD).write_text("".join(f"{json.dumps(line)}\n" for line in tape.events))
    with FileLock(folder / LOCK):
        yield folder


@pytest.mark.parametrize("width", [80, 100, 160])
def test_a_sweep_is_watched_in_a_terminal_of_any_width(running: Path, width: int) -> None:
    window = Window(width, "watch", str(running))
    window.wait_for("next ")
    check_screen(window.settle(), SCREENS / f"watch-{width}.txt")
    assert window.interrupt() == 0


def test_a_window_that_becomes_narrower_and_wider_holds_one_picture(running: Path) -> None:
    window = Window(120, "watch", str(running))
    window.wait_for("next ")
    for width in (80, 60, 140):
        window.resize(width)
        text = window.settle()
        assert len(re.findall(r"^next ", text, re.MULTILINE)) == len(re.findall(r"^trial ", text, re.MULTILINE)) == 1
    assert window.interrupt() == 0


def test_results_stay_within_a_terminal_and_chosen_columns_are_wrapped_whole(running: Path) -> None:
    text = Window(80, "results", str(running), "--top", "2").end()
    assert "stop reason" in text.partition("no room for: ")[2]
    wanted = ["trial", "status", "stop_reason", "wer_best", "wer_last", "train_seconds", "best_checkpoint"]
    text = Window(80, "results", str(running), "--columns", ",".join(wanted)).end()
    assert "best_checkpoint" in text.replace("\n", "")
