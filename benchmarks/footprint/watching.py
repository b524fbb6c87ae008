"""Run a command and see what it takes: time, memory of its processes, disk. Linux only: it reads /proc."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

MEMORY_EVERY_S, DISK_EVERY_S = 0.05, 1.0
LONGEST_REASON = 300  # characters


class Failed(Exception):
    """A command ended with another exit status than 0."""


@dataclass(frozen=True)
class Watched:
    """A command that has ended well.

    Attributes:
        lines: what it said on either stream, and after how many seconds.
    """

    seconds: float
    own_mb: float
    rss_mb: float
    disk_mb: float
    lines: Sequence[tuple[float, str]]


def watch(
    command: Sequence[str], folder: Path, say: Callable[[str], None], environment: Mapping[str, str] | None = None
) -> Watched:
    """Run a command to its end.

    Args:
        folder: in which it writes.
        say: told each of its lines as it comes.
        environment: changes of this process's own.

    Raises:
        Failed: with its last line.
    """
    lines: list[tuple[float, str]] = []
    started = time.perf_counter()
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
    ) as process:
        peak = _Peak(process.pid, folder)
        peak.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append((time.perf_counter() - started, line.rstrip()))
                say(line.rstrip())
        except BaseException:
            process.kill()
            raise
        finally:
            process.wait()
            seconds = time.perf_counter() - started
            peak.finish()
    if process.returncode:
        last = next((line.strip() for _, line in reversed(lines) if line.strip()), "it said nothing")
        raise Failed(f"exit status {process.returncode}, {last[:LONGEST_REASON]}")
    return Watched(seconds, peak.own_mb, peak.rss_mb, peak.disk_mb, lines)


class _Peak(Thread):
    """The most that a process and all below it have in memory at a time, and that a folder has grown by."""

    def __init__(self, pid: int, folder: Path) -> None:
        super().__init__(daemon=True)
        self.own_mb = self.rss_mb = self.disk_mb = 0.0
        self._pid, self._folder = pid, folder
        self._before = folder_mb(folder)
        self._ended = Event()

    def run(self) -> None:
        looked = -DISK_EVERY_S
        while not self._ended.wait(MEMORY_EVERY_S):
            rss, own = map(sum, zip(*map(memory_mb, tree(self._pid)), strict=True))
            self.rss_mb, self.own_mb = max(self.rss_mb, rss), max(self.own_mb, own)
            if time.perf_counter() > looked + DISK_EVERY_S:
                self._look_at_disk()
                looked = time.perf_counter()

    def finish(self) -> None:
        """Look a last time."""
        self._ended.set()
        self.join()
        self._look_at_disk()

    def _look_at_disk(self) -> None:
        self.disk_mb = max(self.disk_mb, folder_mb(self._folder) - self._before)


def tree(pid: int) -> Iterator[int]:
    """A process and all that it and its children have started, as far as they are there."""
    yield pid
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").glob("*/children"):
            with suppress(OSError):
                for child in thread.read_text().split():
                    yield from tree(int(child))


def memory_mb(pid: int) -> tuple[float, float]:
    """Resident memory of a process, and its own without what it maps of files; 0 of one that has ended."""
    with suppress(OSError):
        known = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        if "VmRSS" in known:
            rss, own = (int(known[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "RssAnon"))
            return rss, own
    return 0.0, 0.0


def folder_mb(folder: Path) -> float:
    """What the files of a folder hold, those that are no links."""
    size = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # gone since
                path = Path(parent) / name
                size += 0 if path.is_symlink() else path.stat().st_size
    return size / 1e6
