"""Ray whose workers are forked from a process that has imported already what takes them seconds (``worker_fork``)."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import worker_fork
from ray._private import services


@contextmanager
def forked_workers(folder: Path) -> Iterator[None]:
    """Any Ray that this process starts in here has forked workers; ``folder`` is for the socket."""
    path = str(folder / "forks")
    start_raylet = services.start_raylet

    def with_forks(*arguments: object, **named: object) -> object:
        swapped = (worker_fork.__file__ if str(each).endswith(worker_fork.SETUP) else each for each in arguments)
        return start_raylet(*swapped, **named)

    command = [sys.executable, worker_fork.__file__, "serve", path]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        assert server.stdin is not None and server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        patch.setenv(worker_fork.SOCKET, path)
        patch.setattr(services, "start_raylet", with_forks)
        yield
        server.stdin.close()
