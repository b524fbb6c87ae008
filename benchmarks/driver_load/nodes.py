"""Trials an hour of a whole sweep, with Ray and all, as nodes are added."""

import statistics
import tempfile
from pathlib import Path

from driver_load.made_up import replay_of, sweep_of
from driver_load.marks import in_step, marking, rate
from driver_load.running import apart, ray_of, run, show


def trials_per_h(nodes: int, trials: int, epochs: int, epoch_s: float) -> float:
    """Trials an hour of a sweep whose nodes run one each."""
    sweep = sweep_of(trials * nodes, f"training.epochs={epochs}", "halving.kind=none")
    with tempfile.TemporaryDirectory() as folder, ray_of(nodes), marking() as marks:
        run(Path(folder), sweep, replay_of(Path(folder), epoch_s, nodes))
    return rate(in_step(marks, nodes)) / epochs * 3600


def measure_nodes(short: bool) -> dict[int, list[float]]:
    """Trials an hour by number of nodes, in turn."""
    counts, rounds = ((1,), 1) if short else ((1, 2, 4), 3)
    trials, epochs, epoch_s = (3, 2, 0.1) if short else (8, 5, 1.0)
    paces: dict[int, list[float]] = {nodes: [] for nodes in counts}
    for _ in range(rounds):
        for nodes in counts:
            paces[nodes].append(apart(trials_per_h, nodes, trials, epochs, epoch_s))
    print(f"{rounds} rounds of {trials} trials a node, {epochs} epochs of {epoch_s:g} s each")
    show("nodes", "trials an hour", "times one node")
    for nodes, measured in paces.items():
        ratios = [pace / alone for pace, alone in zip(measured, paces[1], strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        show(nodes, f"{statistics.median(measured):.0f}", spread)
    return paces
