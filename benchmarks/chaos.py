"""Sweeps through random faults: python benchmarks/chaos.py [--faults N] [--seed S] [--workers 1|2] [--s3] [--real]

Sweeps of replayed trials run on a Ray of two nodes. Driver, trial, node, raylet, GCS or all of a Ray are killed, driver
and trial stopped for a while; the driver finds its disk full or broken and its clock set by hours; the last line of the
record is torn at any byte. With --s3 they lie on a server of S3 that refuses requests and loses answers. With --real
they are small sweeps that train, by the command line, of which drivers and Rays are killed and stopped.

Each fault is a line. At the end of each sweep every sample has to be there, every epoch once and in order, and with one
worker the trials, curves and best WER of an undisturbed sweep. Sweep k draws by seed S + k; --seed draws the same
again, though not to the moment. tests/test_chaos.py repeats exactly, without Ray.

--json FILE writes the faults and what failed; --short has two faults, to show that it runs.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))
from s3_server import KEY, LOST, RESET, SECRET, S3Server, serve_s3

SAMPLES = 14
REAL_SAMPLES = 3
# Of one sweep.
MOST_FAULTS = 12
DRIVER_S = 300.0
REAL = ("model.width=0.25", "corpus.sentences=24", "training.epochs=3", "resources.concurrent=1")

SHARED = ["driver killed", "trial killed", "driver stopped", "trial stopped", "node killed", "record torn"]
# Of a Ray that a driver has started for itself.
OWN = {"GCS killed": "gcs_server", "raylet killed": "raylet", "Ray killed": ""}


@dataclass
class Log:
    """What was done, and what came of it."""

    faults: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    sweeps: int = 0

    def note(self, seed: int, fault: str, reports: int) -> None:
        self.faults.append({"seed": seed, "fault": fault, "after_epochs": reports})
        print(f"seed {seed}: after {reports} epochs: {fault}", flush=True)


class Nodes:
    """A Ray of a head and another node, on which trials run."""

    def __init__(self) -> None:
        from driver_load.running import own_cluster

        self._cluster = own_cluster(num_cpus=1)
        self._node = self._cluster.add_node(num_cpus=1)
        self.address: str = self._cluster.address

    def lose(self) -> None:
        """Lose a node; another one joins."""
        self._cluster.remove_node(self._node, allow_graceful=False)
        self._node = self._cluster.add_node(num_cpus=1)

    def close(self) -> None:
        self._cluster.shutdown()


class Replayed:
    """A sweep of replayed trials in a folder of its own, through what its seed draws."""

    def __init__(
        self, context: ForkServerContext, folder: Path, seed: int, workers: int, nodes: Nodes, server: S3Server | None
    ) -> None:
        self._context, self._folder, self._seed, self._workers, self._nodes = context, folder, seed, workers, nodes
        self._uri = None if server is None else server.uri(f"chaos-{seed}")
        self._generator = random.Random(seed)

    def run(self, log: Log, most: int) -> None:
        """Raises AssertionError where something is wrong at the end."""
        from replay import crash_plan
        from victim import check_record, check_same, read_reports

        from glosstune.results.reading.remote import as_local

        driver, own, begun = None, False, len(log.faults)
        while len(log.faults) - begun < most:
            if driver is None:
                own = self._generator.random() < 0.2
                driver = self._start(own=own, planted=self._generator.random() < 0.3)
            told = self._count_planted()
            reports = read_reports(driver.folder)
            alive = driver.wait_for(len(reports) + self._generator.randint(1, 3))
            for line in self._planted()[told:]:
                log.note(self._seed, line, len(reports))
            if not alive:
                driver.process.join()
                if driver.process.exitcode == 0:
                    break
                driver = None
                continue
            fault = self._generator.choice([*OWN, "driver killed"] if own else SHARED)
            log.note(self._seed, fault, len(read_reports(driver.folder)))
            driver = self._inflict(fault, driver)
        if driver is not None and driver.process.is_alive():
            driver.kill("driver", self._generator)
        last = self._start(own=False, planted=False)
        last.process.join(timeout=DRIVER_S)
        assert last.process.exitcode == 0, last.log.read_text()[-2000:]
        folder, plan = as_local(self._uri or self._folder), crash_plan(SAMPLES)
        check_record(folder, plan)
        if self._workers == 1:
            check_same(folder, plan)

    def _start(self, *, own: bool, planted: bool) -> Any:
        from victim import Victim

        seed = self._generator.randrange(10**6) if planted else None
        address = None if own else self._nodes.address
        return Victim(self._context, self._folder, SAMPLES, self._workers, address, uri=self._uri, planted=seed)

    def _inflict(self, fault: str, driver: Any) -> Any:
        """The driver, where it lives on."""
        what, _, how = fault.partition(" ")
        if how == "stopped":
            driver.halt(what, self._generator.uniform(0.2, 3.0))
        elif what == "node":
            self._nodes.lose()
        elif fault in OWN:
            group = driver.process.pid
            for pid in _of_group(group, OWN[fault]):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            driver.process.join(timeout=DRIVER_S)
            assert not driver.process.is_alive(), "the driver lives on without its Ray"
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
            return None
        elif what == "trial":
            driver.kill(what, self._generator)
        else:
            driver.kill("driver", self._generator)
            if what == "record":
                _tear(driver.folder / "record.jsonl", self._generator)
            return None
        return driver

    def _planted(self) -> list[str]:
        path = self._folder / "faults.log"
        return path.read_text().splitlines() if path.exists() else []

    def _count_planted(self) -> int:
        return len(self._planted())


class Trained:
    """A small sweep that trains, by the command line, with one worker."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._seed = folder, seed
        self._generator = random.Random(seed)
        self._command = Path(sys.executable).with_name("glosstune")

    def run(self, log: Log, most: int) -> None:
        """Raises AssertionError where something is wrong at the end."""
        from victim import read_reports

        from glosstune.results import load_results

        quiet, disturbed = self._folder / "quiet", self._folder / "disturbed"
        driver = self._start(disturbed)
        for _ in range(most):
            wanted, ends = len(read_reports(disturbed)) + 1, time.monotonic() + DRIVER_S
            while driver.poll() is None and len(read_reports(disturbed)) < wanted and time.monotonic() < ends:
                time.sleep(0.1)
            if driver.poll() is not None:
                break
            time.sleep(self._generator.random())
            fault = self._generator.choice(["driver killed", "driver stopped", "Ray killed"])
            log.note(self._seed, fault, len(read_reports(disturbed)))
            if fault == "driver stopped":
                driver.send_signal(signal.SIGSTOP)
                time.sleep(self._generator.uniform(0.2, 3.0))
                driver.send_signal(signal.SIGCONT)
            else:
                _end(driver, whole=fault == "Ray killed")
                driver = self._start(disturbed)
        _end(driver, whole=True)
        for folder in (disturbed, quiet):
            driver = self._start(folder)
            assert driver.wait(timeout=3 * DRIVER_S) == 0, (self._folder / "log").read_text()[-2000:]
        ends_ = [load_results(folder) for folder in (quiet, disturbed)]
        for results in ends_:
            assert len(results.trials) == REAL_SAMPLES and set(results.trials["status"]) <= {"finished", "stopped"}
        reports = read_reports(disturbed)
        assert len(reports) == len(set(reports))
        first, second = (results.epochs[["trial", "epoch", "wer", "train_loss"]] for results in ends_)
        assert first.equals(second), "not the curves of an undisturbed sweep"

    def _start(self, folder: Path) -> "subprocess.Popen[bytes]":
        sweep = ["sweep", "student", *REAL, f"search.samples={REAL_SAMPLES}", "--out", str(folder), "--resume"]
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                [str(self._command), *sweep], stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )


def _end(driver: "subprocess.Popen[bytes]", *, whole: bool) -> None:
    """Kill a driver, and with ``whole`` at the same moment its Ray, which else ends by itself."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(driver.pid, signal.SIGKILL) if whole else driver.kill()
    driver.wait()


def _of_group(group: int, name: str) -> list[int]:
    """Processes of a group whose program is called so, all but its leader without a name."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ProcessLookupError):
            pid = int(path.name)
            program = (path / "cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
            if os.getpgid(pid) == group and (Path(program).name == name if name else pid != group):
                found.append(pid)
    return found


def _tear(path: Path, generator: random.Random) -> None:
    """Cut the last line at any byte."""
    content = path.read_bytes()
    start = content.rstrip(b"\n").rfind(b"\n") + 1
    path.write_bytes(content[: generator.randint(start, max(start, len(content) - 1))])


@contextmanager
def _s3(seed: int) -> Iterator[S3Server]:
    """A server of S3 that fails at every twelfth request."""
    kinds = ["503 Slow Down", "500 Internal Error", RESET, LOST, 0.5]
    generator = random.Random(seed)
    with serve_s3() as server:
        server.fault = lambda method, path: generator.choice(kinds) if generator.random() < 1 / 12 else None
        yield server


def _replay(options: argparse.Namespace, log: Log, work: Path) -> None:
    from forked_workers import forked_workers
    from victim import start_drivers

    context = start_drivers()
    with forked_workers(work) as forks, forks.used(), _s3(options.seed) if options.s3 else nullcontext() as server:
        nodes = Nodes()
        try:
            _go_on(
                options, log, work, lambda folder, seed: Replayed(context, folder, seed, options.workers, nodes, server)
            )
        finally:
            nodes.close()


def _go_on(options: argparse.Namespace, log: Log, work: Path, sweep: Any) -> None:
    while len(log.faults) < options.faults:
        seed = options.seed + log.sweeps
        folder = work / str(seed)
        folder.mkdir()
        log.sweeps += 1
        begun = len(log.faults)
        try:
            sweep(folder, seed).run(log, min(MOST_FAULTS, options.faults - begun))
        except Exception as error:
            log.failures.append({"seed": seed, "error": f"{type(error).__name__}: {error}"})
            print(f"seed {seed}: FAILED: {type(error).__name__}: {error}; its folder is kept: {folder}", flush=True)
            if len(log.faults) == begun:
                return  # the next one would not even begin either
            continue
        print(f"seed {seed}: whole after {len(log.faults) - begun} faults", flush=True)
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=100, metavar="N", help="at least so many, over all sweeps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, choices=(1, 2), default=1, help="trials at a time")
    parser.add_argument("--s3", action="store_true", help="on a server of S3 that fails; needs moto")
    parser.add_argument("--real", action="store_true", help="sweeps that train")
    parser.add_argument("--short", action="store_true", help="two faults, to show that it runs")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    options.faults = 2 if options.short else options.faults
    os.environ |= {"RAY_AUTH_MODE": "disabled", "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    log, work, begun = Log(), Path(tempfile.mkdtemp(prefix="chaos-")), time.monotonic()
    os.environ.setdefault("GLOSSTUNE_CACHE", str(work / "cache"))
    if options.real:
        _go_on(options, log, work, Trained)
    else:
        _replay(options, log, work)
    for fault, count in Counter(each["fault"] for each in log.faults).most_common():
        print(f"{count:5} {fault}")
    took = f"{time.monotonic() - begun:.0f} s"
    print(f"{len(log.faults)} faults in {log.sweeps} sweeps in {took}: {len(log.failures)} of them failed")
    if options.json is not None:
        told = {"faults": log.faults, "sweeps": log.sweeps, "failures": log.failures}
        options.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    if log.failures:
        sys.exit(1)
    shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
