"""Show that every benchmark runs: PYTHONPATH=benchmarks python -m suite.short

Each runs with --short in a fork of this process, which has imported already what takes them seconds, and as many at a
time as there are cores; Ray's workers and the processes of pools are forked likewise. What a benchmark wrote is shown
when it has ended.
"""

import importlib
import multiprocessing
import os
import runpy
import shutil
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile, mkdtemp
from typing import BinaryIO

BENCHMARKS = Path(__file__).parents[1]
HELPERS = BENCHMARKS.parent / "tests" / "helpers"
# Not Ray, which reads its settings when it is imported: benchmarks set them before.
PRELOADED = ["glosstune.search.driver.launching", "glosstune.trainables.training.session"]


@dataclass(frozen=True)
class Run:
    """A benchmark that runs, what it writes, and since when, in s."""

    name: str
    written: BinaryIO
    begun: float


def _become(script: Path, written: BinaryIO) -> None:
    """Run a script in this process, as if Python had been started with it."""
    os.dup2(written.fileno(), 1)
    os.dup2(written.fileno(), 2)
    find_context = multiprocessing.get_context
    multiprocessing.get_context = lambda method=None: find_context("fork" if method == "spawn" else method)
    sys.argv = [str(script), "--short"]
    sys.path[0] = str(script.parent)
    runpy.run_path(str(script), run_name="__main__")


def main() -> None:
    for module in PRELOADED:
        importlib.import_module(module)
    sys.path[:0] = [str(HELPERS), str(HELPERS / "forking")]
    from forked_workers import forked_workers

    me, folder = os.getpid(), Path(mkdtemp(prefix="short-"))
    with forked_workers(folder) as forks:
        forks.install()
        _run_all()
    if os.getpid() == me:  # a fork leaves here too, and the others need it still
        shutil.rmtree(folder)


def _run_all() -> None:
    waiting = sorted(BENCHMARKS.glob("*.py"), reverse=True)  # "walk" takes longest
    running: dict[int, Run] = {}
    failed = []
    with ExitStack() as files:
        while waiting or running:
            while waiting and len(running) < (os.cpu_count() or 1):
                script = waiting.pop(0)
                run = Run(script.name, files.enter_context(TemporaryFile()), time.monotonic())
                pid = os.fork()
                if pid == 0:
                    _become(script, run.written)
                    return
                running[pid] = run
            pid, status = os.wait()
            run = running.pop(pid)
            run.written.seek(0)
            code, seconds = os.waitstatus_to_exitcode(status), time.monotonic() - run.begun
            print(run.written.read().decode(errors="replace"), end="")
            print(f"{run.name}: status {code} after {seconds:.0f} s\n", flush=True)  # or forks would print it too
            failed += [run.name] * bool(status)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
