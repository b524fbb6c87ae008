"""Ray whose workers are forked from a process that has imported already what takes them seconds (``worker_fork``)."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import worker_fork

from glosstune.search.nodes.internals.private_ray import Part

RAYLET = Part(worker_fork.SERVICES, "start_raylet", "lets tests fork their workers")


@dataclass(frozen=True)
class Forks:
    """Where processes are asked to fork."""

    socket: Path

    @contextmanager
    def used(self) -> Iterator[None]:
        """Every raylet that this process starts in here has forked workers."""
        start_raylet = RAYLET.need()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(worker_fork.SOCKET, str(self.socket))
            patch.setattr(f"{RAYLET.module}.{RAYLET.name}", worker_fork.with_forks(start_raylet))
            yield

    @property
    def environment(self) -> dict[str, str]:
        """For a Python, and all that it starts, whose raylets are to have forked workers."""
        paths = [str(Path(worker_fork.__file__).parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        return {worker_fork.SOCKET: str(self.socket), "PYTHONPATH": os.pathsep.join(filter(None, paths))}

    def install(self) -> None:
        """The same for this process, which has not imported Ray yet, and all that it starts or forks."""
        os.environ |= self.environment
        worker_fork.install()

    def of(self, raylet: int) -> set[int]:
        """The living workers of a raylet, which are not its children."""
        begun = {int(path.suffix[1:]): path for path in self.socket.parent.glob(f"{raylet}.*")}
        return {pid for pid, path in begun.items() if path.read_text() == worker_fork.began(pid) != ""}


@contextmanager
def forked_workers(folder: Path) -> Iterator[Forks]:
    """Have forks in here; the folder is for their socket and for what tells whose they are."""
    socket = folder / "socket"
    command = [sys.executable, worker_fork.__file__, "serve", str(socket)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None and server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        yield Forks(socket)
        server.stdin.close()
