"""How early standings tell how trials end: python benchmarks/standings.py [--short]

On the recorded tasks: the rank correlation (Spearman) of trials' order after a few epochs, by WER, by the loss below
the CTC floor and by the search's own score, with the lowest WER that they come to, as the mean over tasks; and which
trials the rules for stuck ones would stop. Nothing is trained.
"""

import argparse

import numpy as np
from replay.tasks import TASKS, Task
from scipy.stats import spearmanr

from glosstune.search.config.settings import StoppingSettings
from glosstune.search.scheduler.halving import Halving
from glosstune.search.scheduler.ranking import Metrics, score_curve
from glosstune.search.scheduler.stopping import judge_trial

EPOCHS = (1, 2, 3, 4, 6, 9)
# Below the first every trial ranks by its loss, below the last every one by its WER.
LEVELS = {"loss alone": 0.0, "WER below 50 %": 0.5, "below 90 %": 0.9, "below 97 %": 0.97, "WER alone": 99.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="the same: it takes seconds")
    parser.parse_args()
    tasks = [Task.read(path) for path in sorted(TASKS.glob("*.parquet"))]
    told = np.array([_correlations(task) for task in tasks]).mean(axis=0)
    print(f"rank correlation with the lowest WER, mean of {len(tasks)} tasks")
    print(f"| epoch | {' | '.join(LEVELS)} |\n{'|---' * (len(LEVELS) + 1)}|")
    for epoch, row in zip(EPOCHS, told, strict=True):
        print(f"| {epoch} | {' | '.join(f'{cell:.2f}' for cell in row)} |")
    for task in tasks:
        _show_stopped(task)


def _curves(task: Task) -> list[list[Metrics]]:
    return [rows.to_dict("records") for _, rows in task.table.groupby("configuration")]


def _lowest(curve: list[Metrics]) -> float:
    return min(metrics["wer"] or 0.0 for metrics in curve)


def _correlations(task: Task) -> list[list[float]]:
    curves = _curves(task)
    ends = [_lowest(curve) for curve in curves]
    return [
        [spearmanr([score_curve(curve[:epoch], "wer", level) for curve in curves], ends).statistic for level in levels]
        for epoch, levels in ((epoch, LEVELS.values()) for epoch in EPOCHS)
    ]


def _show_stopped(task: Task) -> None:
    """Which trials their own rules would stop."""
    halving, rules = Halving(task.sweep.halving, task.sweep.training.epochs), StoppingSettings()
    warmups = task.table.groupby("configuration")["warmup_epochs"].first()
    curves = _curves(task)
    stopped = [
        _lowest(curve)
        for curve, warmup in zip(curves, warmups, strict=True)
        if any(
            judge_trial(curve[:epoch], halving.grace_epochs([1.0], warmup), rules) for epoch in range(1, len(curve) + 1)
        )
    ]
    stays = sum(_lowest(curve) >= 0.9 for curve in curves)
    least = f", lowest WER {min(stopped):.1%}" if stopped else ""
    print(f"{task.name}: stopped by their own rules {len(stopped)}; {stays} stay above 90 %{least}")


if __name__ == "__main__":
    main()
