"""Look at a sweep that another process runs, from its record alone."""

import platform
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from rich.console import Console

from glosstune.results.reading.events import ARRIVALS, INTERRUPT, RUNNING, Event
from glosstune.results.reading.names import LOCK, RECORD, SWEEP
from glosstune.results.reading.record import SILENT_S, read_record
from glosstune.results.reading.remote import as_local
from glosstune.results.text import escaped, lines_to
from glosstune.search.config.loading import load_sweep
from glosstune.search.scheduler.state import SweepState
from glosstune.search.storage.lock import read_owner
from glosstune.search.tracking.display import Display
from glosstune.search.tracking.progress import SweepProgress
from glosstune.spaces.errors import FolderError, quoted
from glosstune.spaces.files.addresses import is_uri
from glosstune.spaces.files.locks import is_free, lives

LOOK_S = 1.0
LOOK_AT_STORAGE_S = 15.0


class Watched:
    """A sweep as its record has it, read again whenever it has grown.

    Attributes:
        drivers: how many have begun or gone on with it.

    Args:
        place: folder of the sweep, or its address on object storage.
        folder: that of its driver on this machine; default the place, or a fresh copy of what lies on object storage.

    Raises:
        FolderError: no sweep lies there, or its record cannot be read.
    """

    def __init__(self, place: str, folder: Path | None = None) -> None:
        self.place = place
        self._folder = as_local(place) if folder is None and not is_uri(place) else folder
        self._seen: tuple[int, int] | None = None
        self.look()

    def look(self) -> bool:
        """Read what is new; whether anything was."""
        folder = self._folder or as_local(self.place)
        state = (folder / RECORD).stat() if (folder / RECORD).is_file() else None
        known = None if state is None else (state.st_size, state.st_mtime_ns)
        if known is not None and known == self._seen:
            return False
        record = read_record(folder)
        events = record.events
        if not events:
            raise FolderError(f"{self.place}: its record is empty; nothing has begun there yet")
        self.drivers = len(record.runs)
        self.owner = read_owner(self._folder or self.place)
        self._follow(folder, events)
        self._seen = known  # else what could not be followed would be taken for old
        return True

    @property
    def silent_s(self) -> float:
        """Seconds since the newest event."""
        return max(0.0, time.time() - self._last)

    @property
    def runs(self) -> bool:
        """Whether somebody drives it, as far as can be told from here: only on its machine for sure."""
        if self.progress.ended or self._interrupted or self.owner is None:
            return False
        pid, host = self.owner
        here = host == platform.node()
        if self._folder is not None and (is_free(self._folder / LOCK) or (here and not (self._folder / LOCK).exists())):
            return False
        found = lives(pid) if here else None
        return self.silent_s < SILENT_S if found is None else found

    def line(self) -> str:
        """How it stands, on a line."""
        return escaped(self._line()).replace("\n", " ")

    def _line(self) -> str:
        told = Display(self.progress, Console()).line(timing=self.runs)
        if self.progress.ended:
            return f"{self.place}: ended; {told}"
        if self.runs and self.owner is not None:
            return f"{self.place}: runs as process {self.owner[0]} on {self.owner[1]}; {told}"
        again = f"go on with: glosstune resume {quoted(self.place)}"
        return f"{self.place}: nobody runs it; {told.replace(' running', ' cut off')}; {again}"

    def _follow(self, folder: Path, events: list[Event]) -> None:
        # Anew each time: whoever drives it may have changed its settings.
        state = SweepState(load_sweep(folder / SWEEP))
        begun = max(place for place, event in enumerate(events) if isinstance(event, ARRIVALS))
        state.replay(events[: begun + 1], folder / RECORD)
        self._last, started = _stamp(events[-1]), _stamp(events[begun])
        self.progress = SweepProgress(state, lambda: state.used_s, self._clock, started)
        state.replay(events[begun + 1 :], folder / RECORD)
        running = any(trial.status == RUNNING for trial in state.trials.values())
        self._interrupted = state.over is not None and state.over.rule == INTERRUPT and not running

    def _clock(self) -> float:
        """Now, or when a sweep that nobody runs was last heard of."""
        return time.time() if self.silent_s < SILENT_S and not self.progress.ended else self._last


def _stamp(event: Event) -> float:
    """When an event was written down; 0 where it does not say so in a way that anybody reads."""
    try:
        return datetime.fromisoformat(event.time).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def watch(place: str, console: Console, sleep: Callable[[float], None] = time.sleep) -> None:
    """Show a sweep until it has ended or nobody runs it.

    Raises:
        FolderError: no sweep lies there, or its record cannot be read.
    """
    watched = Watched(place)
    if not watched.runs:
        lines_to(console)(watched.line())
        return
    pause_s = LOOK_AT_STORAGE_S if is_uri(place) else LOOK_S
    with Display(watched.progress, console) as display:
        display.refresh()
        while watched.runs:
            sleep(pause_s)
            begun = time.monotonic()
            if watched.look():
                display.progress = watched.progress
                display.refresh()
            # A record of thousands of trials takes its time; most of it is to be left to others.
            pause_s = max(pause_s, 4 * (time.monotonic() - begun))
    lines_to(console)(watched.line())
