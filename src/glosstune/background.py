"""A sweep in a process of its own, which goes on when the notebook that started it is closed."""

import math
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from glosstune.results import Results, load_results
from glosstune.results.reading.names import DRIVER_LOG, RECORD, SWEEP
from glosstune.results.reading.record import SweepRecord, read_record
from glosstune.results.reading.remote import as_local
from glosstune.results.text import printable
from glosstune.search.config.sweep import Sweep
from glosstune.search.storage.sweep_folder import SweepFolder, write_sweep
from glosstune.search.tracking.watching import Watched
from glosstune.spaces.errors import FolderError, GlosstuneError

State = Literal["preparing", "running", "ended", "interrupted", "failed"]
# What start_new_session does elsewhere.
if sys.platform == "win32":
    _NEW_GROUP = subprocess.CREATE_NEW_PROCESS_GROUP
else:
    _NEW_GROUP = 0
_LINE_BYTES = 4096  # at the end of a log, in which its last line is looked for


@dataclass(frozen=True, repr=False)
class Progress:
    """How a sweep stands.

    Attributes:
        state: ``preparing`` is packing, pretraining and starting Ray.
        best_wer: the lowest so far, a fraction; None before the first.
        line: all of it in words, with what to do where it failed.
    """

    state: State
    best_wer: float | None
    line: str

    def __repr__(self) -> str:
        return self.line


class BackgroundSweep:
    """A sweep that another process runs.

    Attributes:
        place: its folder, or its ``s3://`` address.
        log: the file that its process writes to.
    """

    def __init__(self, work: SweepFolder, arguments: Sequence[str], earlier_runs: int = 0) -> None:
        """Start the process; its folder is there, where so many drivers have run before."""
        self.place = work.place
        self.log = work.folder / DRIVER_LOG
        self._folder = work.folder
        self._stopped = False
        self._watched: Watched | None = None
        self._earlier_runs = earlier_runs
        # Parts of one's own are found there as here. With a session of its own it hears no Ctrl-C that is for others.
        path = os.pathsep.join(filter(None, sys.path))
        with self.log.open("ab") as log:
            self._said_before = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "glosstune.search", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
                start_new_session=True,
                creationflags=_NEW_GROUP,
            )

    def __repr__(self) -> str:
        return self.poll().line

    @property
    def results(self) -> Results:
        """What its trials have reached so far.

        Raises:
            FolderError: it has not begun.
        """
        if not self._record().runs:
            raise FolderError(self.poll().line)
        return load_results(self.place)

    def poll(self) -> Progress:
        """How it stands now."""
        code = self._process.poll()
        watched, trouble = self._watch()
        # Of a folder in which nothing but the record can be read it still tells who has begun.
        runs = len(self._record().runs) if watched is None else watched.drivers
        begun = runs > self._earlier_runs
        if code is None:
            state: State = "running" if begun else "preparing"
        elif code == 0:
            state = "ended"
        else:
            state = "interrupted" if self._stopped or code < 0 or code > 128 else "failed"
        best_wer = None if watched is None or math.isinf(watched.progress.best_wer) else watched.progress.best_wer
        if state == "failed":
            line = f"{self.place}: {'; '.join(filter(None, [state, self._last_line(), f'see {self.log}']))}"
        elif state == "preparing" or (state == "ended" and not begun):  # handed to another driver
            line = f"{self.place}: {'; '.join(filter(None, [state, self._last_line()]))}"
        elif not runs:
            line = f"{self.place}: {state} before it began"
        elif watched is None or trouble:
            line = f"{self.place}: {state}; {trouble}"
        else:
            line = watched.line()
        return Progress(state, best_wer, line)

    def wait(self, timeout_s: float | None = None) -> Results:
        """Wait for its end and return what it came to, also where it was interrupted.

        Raises:
            FolderError: it failed; the message has its last word, and the log all of them.
            TimeoutError: it has not ended in that time, and goes on.
        """
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError(self.poll().line) from None
        progress = self.poll()
        if progress.state == "failed":
            raise FolderError(progress.line)
        return self.results

    def stop(self, timeout_s: float | None = 60.0) -> Progress:
        """Interrupt it, so that ``resume`` can go on, and wait for its end; what was reported is kept.

        Raises:
            TimeoutError: it has not ended in that time; it still will.
        """
        self._stopped = self._stopped or self._process.poll() is None
        if sys.platform == "win32":
            # To terminate is to kill there, and a group of its own ignores Ctrl-C.
            self._process.send_signal(signal.CTRL_BREAK_EVENT)
        else:
            self._process.terminate()  # SIGINT would be ignored below a shell script's background job
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError(self.poll().line) from None
        return self.poll()

    def _record(self) -> SweepRecord:
        """As far as this machine has it, where its driver runs."""
        try:
            return read_record(self._folder)
        except FolderError:  # none yet
            return SweepRecord()

    def _watch(self) -> tuple[Watched | None, str]:
        """The same as others see it, as it was last whole, None before; and what keeps it from being read now."""
        try:
            if self._watched is None:
                self._watched = Watched(self.place, self._folder)
            else:
                self._watched.look()
        except GlosstuneError as error:
            return self._watched, printable("; ".join(str(error).splitlines()))
        return self._watched, ""

    def _last_line(self) -> str:
        """The last line of its log that is no row of a table."""
        with self.log.open("rb") as log:
            log.seek(max(self._said_before, log.seek(0, os.SEEK_END) - _LINE_BYTES))
            lines = log.read().decode(errors="replace").split("\n")
        return next((printable(line) for line in reversed(lines) if line.strip() and line[0] != " "), "")


def start_in_background(sweep: Sweep, out: Path | str | None, address: str | None) -> BackgroundSweep:
    """Start a sweep in a process of its own.

    Raises:
        FolderError: the place is taken or cannot be written.
    """
    from glosstune.search.driver.launching import dated_place

    work = SweepFolder.at(dated_place(sweep) if out is None else out)
    work.check_free()
    try:
        work.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FolderError(f"{work.folder}: cannot be made: {error}; choose another folder") from error
    (work.folder / RECORD).unlink(missing_ok=True)  # of an earlier sweep at this address, which is gone there
    (work.folder / DRIVER_LOG).write_bytes(b"")
    write_sweep(sweep, SweepFolder(work.folder))
    return BackgroundSweep(work, ["sweep", str(work.folder / SWEEP), "--out", work.place, *_attached(address)])


def resume_in_background(
    place: Path | str, overrides: Sequence[str], samples: str | None, address: str | None
) -> BackgroundSweep:
    """Go on with a sweep in a process of its own.

    Raises:
        FolderError, SettingError: as ``search.resume``, as far as its folder tells.
    """
    from glosstune.search.driver.resuming import read_changes

    read_changes(place, overrides, samples)
    work = SweepFolder.at(place, key="FOLDER")
    work.folder.mkdir(parents=True, exist_ok=True)
    more = [] if samples is None else ["--samples", samples]
    runs = len(read_record(as_local(place)).runs)
    return BackgroundSweep(work, ["resume", work.place, *overrides, *more, *_attached(address)], runs)


def _attached(address: str | None) -> list[str]:
    return [] if address is None else ["--address", address]
