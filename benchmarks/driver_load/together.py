"""The load of a driver whose trials run in processes of their own, a hundred at a time."""

import tempfile
import time
from pathlib import Path
from typing import Any

from driver_load.made_up import replay_of, sweep_of
from driver_load.marks import in_step, marking, rate, timing
from driver_load.memory import available_mb, ray_memory_mb
from driver_load.running import apart, ray_of, run, show

# Of an actor that has loaded torch, and what is left to everybody else.
ACTOR_MB, RESERVE_MB = 260, 3000


def hundred(together: int, epochs: int, epoch_s: float) -> dict[str, Any]:
    """What a driver takes in from trials that run at a time in processes of their own."""
    rules = ["halving.kind=none", "resources.cpu=0.01", f"resources.concurrent={together}"]
    sweep, sizes = sweep_of(together, f"training.epochs={epochs}", *rules), {}
    with tempfile.TemporaryDirectory() as folder, ray_of(1, cpus=2) as cluster:
        started = time.perf_counter()
        with marking(lambda: sizes.update(ray_memory_mb(cluster))) as marks, timing() as spent:
            run(Path(folder), sweep, replay_of(Path(folder), epoch_s, together))
    spent["record"] = sum(mark.took_s for mark in marks)
    reports = in_step(marks, together)
    return {
        "trials": together,
        "start_s": reports[0].at_s - started,
        "reports_per_s": rate(reports),
        "possible_per_s": together / epoch_s,
        "cpu_ms": 1000 * (reports[-1].cpu_s - reports[0].cpu_s) / (len(reports) - 1),
        "step_ms": {name: 1000 * s / (together * epochs) for name, s in spent.items()},
        "mb": sizes,
    }


def measure_driver(short: bool) -> dict[str, Any]:
    """The load of a hundred trials at a time, or as many as there is memory for."""
    wanted, epochs, epoch_s = (2, 8, 0.2) if short else (100, 40, 2.0)
    together = min(wanted, int((available_mb() - RESERVE_MB) / ACTOR_MB))
    if together < wanted:
        print(f"{available_mb():.0f} MB of memory are free: {together} trials at a time instead of {wanted}")
    seen = apart(hundred, together, epochs, epoch_s)
    print(f"{together} trials at a time, {epochs} epochs of {epoch_s:g} s; all ran after {seen['start_s']:.0f} s")
    show("reports a second", "without any driver", "ms of the driver's processor a report", *seen["step_ms"])
    steps = (f"{ms:.2f} ms" for ms in seen["step_ms"].values())
    show(f"{seen['reports_per_s']:.1f}", f"{seen['possible_per_s']:.1f}", f"{seen['cpu_ms']:.1f}", *steps)
    show(*seen["mb"])
    show(*(f"{size:.0f}" if name == "actors" else f"{size:.0f} MB" for name, size in seen["mb"].items()))
    return seen
