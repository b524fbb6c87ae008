"""What grows while a sweep runs: memory, open files, the disk."""

import os
import statistics
import tempfile
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import ray
from footprint.watching import tree

from driver_load.made_up import replay_of, sweep_of
from driver_load.marks import marking
from driver_load.memory import memory_mb
from driver_load.running import run, show
from glosstune.results.reading.names import RAY, TRIALS
from glosstune.search.nodes.resources import OWN_RAY
from glosstune.trainables.corpora import pack_corpus

TOGETHER, PARTS = 2, 50
SMALL = ("model.width=0.25", "corpus.sentences=24", "corpus.signers=[ase, gsg, psr]")
# By what stands in their command lines, the first of them that does; a trial's process is called after its method.
KINDS = {
    "a trial's process": ("ray::Replay", "ray::CTCTrainable", "ray::ResourceTrainable"),
    "gcs_server": ("gcs_server",),
    "raylet": ("raylet/raylet",),
    "Ray's agents": ("DashboardAgent", "RuntimeEnvAgent"),
}

Sizes = dict[str, float]


def measure_growth(trials: int, epoch_s: float, *, real: bool) -> list[Sizes]:
    """Run a sweep and say what grew; with ``real`` its trials train, whatever ``epoch_s`` says."""
    noted: list[Sizes] = []
    part = max(1, trials // PARTS)
    with tempfile.TemporaryDirectory() as place:
        folder, began = Path(place), time.monotonic()
        small = [*SMALL, f"corpus.cache={folder / 'cache'}"] if real else []
        sweep = sweep_of(trials, "search.time_budget_min=null", f"resources.concurrent={TOGETHER}", *small)
        if real:
            pack_corpus(sweep.corpus)

        def note(begun: int) -> None:
            if begun % part == 0:
                noted.append({"trials": begun, "h": (time.monotonic() - began) / 3600, **_sizes(folder)})

        ray.init(
            "local",
            num_cpus=TOGETHER,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            _system_config=OWN_RAY,
        )
        try:
            with marking(on_trial=note) as marks:
                run(folder, sweep, None if real else replay_of(folder, epoch_s, 1))
            begun = sum(mark.event == "trial" for mark in marks)
            noted.append({"trials": begun, "h": (time.monotonic() - began) / 3600, **_sizes(folder)})
        finally:
            ray.shutdown()
    print(f"{begun} trials, {TOGETHER} at a time, in {noted[-1]['h']:.2f} h")
    show("", *(f"after {at['trials']:.0f} trials" for at in _told(noted)), "by a thousand trials")
    for name in dict.fromkeys(name for each in noted for name in each if name not in ("trials", "h")):
        show(name, *(f"{at[name]:.1f}" if name in at else "" for at in _told(noted)), _slope(noted, name))
    return noted


def _told(noted: list[Sizes]) -> list[Sizes]:
    return [noted[len(noted) // 10], noted[len(noted) // 2], noted[-1]]


def _slope(noted: list[Sizes], name: str) -> str:
    """By a thousand trials, over the second half."""
    half = [(each["trials"], each[name]) for each in noted[len(noted) // 2 :] if name in each]
    if len(half) < 2:
        return ""
    return f"{1000 * statistics.linear_regression(*zip(*half, strict=True)).slope:+.2f}"


def _sizes(folder: Path) -> Sizes:
    """All in MB but what is counted."""
    sizes = {"driver, MB": memory_mb("self", "Rss"), "driver, open files": _open_files("self")}
    found = defaultdict(list)
    for pid in tree(os.getpid()):
        with suppress(OSError, StopIteration):  # it has ended
            found[_kind_of(pid)].append((memory_mb(pid, "Rss"), _open_files(pid)))
    for kind in KINDS:
        if found[kind]:
            memory, files = zip(*found[kind], strict=True)
            # The most of any: one that has just begun is no measure.
            sizes |= {f"{kind}, MB": max(memory), f"{kind}, open files": max(files)}
    sizes["driver has written, MB"] = _written_mb()
    for name, path in (("sweep", folder), (f"{TRIALS}/", folder / TRIALS), (f"{RAY}/", folder / RAY)):
        sizes[f"{name} on the disk, MB"] = _disk_mb(path)
    sizes["Ray's session on the disk, MB"] = _disk_mb(
        Path(ray._private.worker.global_worker.node.get_session_dir_path())
    )
    sizes["files"] = float(sum(1 for path in folder.rglob("*") if path.is_file()))
    return sizes


def _kind_of(pid: int) -> str:
    command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return next((kind for kind, parts in KINDS.items() if any(part in command for part in parts)), "other")


def _open_files(pid: int | str) -> float:
    return float(len(os.listdir(f"/proc/{pid}/fd")))


def _written_mb() -> float:
    """What this process has written to files and sockets since it began."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["wchar"]) / 1e6


def _disk_mb(folder: Path) -> float:
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # gone meanwhile
                total += os.lstat(os.path.join(path, name)).st_blocks * 512
    return total / 1e6
