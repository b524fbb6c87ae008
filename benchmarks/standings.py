"""How early standings tell how trials end: python benchmarks/standings.py [--short]

On the curves that learning_curves.py recorded: the rank correlation (Spearman) of trials' order after a few epochs, by
WER, by the loss below the CTC floor and by the search's own score, with the lowest WER that they come to; and which
trials the rules for stuck ones would stop. Nothing is trained.
"""

import argparse
from pathlib import Path

import pandas as pd
from scipy.stats import spearmanr

from glosstune.search import load_sweep
from glosstune.search.config.settings import StoppingSettings
from glosstune.search.scheduler.halving import Halving
from glosstune.search.scheduler.ranking import Metrics, score_curve
from glosstune.search.scheduler.stopping import judge_trial

HERE = Path(__file__).parent
# Below the first every trial ranks by its loss, below the last every one by its WER.
LEVELS = {"loss alone": 0.0, "WER below 50 %": 0.5, "below 90 %": 0.9, "below 97 %": 0.97, "WER alone": 99.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=Path, default=HERE / "learning_curves.parquet")
    parser.add_argument("--short", action="store_true", help="the same: it takes seconds")
    arguments = parser.parse_args()
    table = pd.read_parquet(arguments.curves)
    sweep = load_sweep(HERE / "learning_curves.yaml")
    curves: list[list[Metrics]] = [group.to_dict("records") for _, group in table.groupby("configuration")]
    warmups = table.groupby("configuration")["warmup_epochs"].first().to_list()
    ends = [min(metrics["wer"] or 0.0 for metrics in curve) for curve in curves]
    print(f"{len(curves)} curves; rank correlation with the lowest WER of all {sweep.training.epochs} epochs")
    print("| epoch | " + " | ".join(LEVELS) + " |")
    print("|---" * (len(LEVELS) + 1) + "|")
    for epoch in (1, 2, 3, 4, 6, 9, 12):
        cells = [
            spearmanr([score_curve(curve[:epoch], "wer", level) for curve in curves], ends).statistic
            for level in LEVELS.values()
        ]
        print(f"| {epoch} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |")
    halving, rules = Halving(sweep.halving, sweep.training.epochs), StoppingSettings()
    stopped = [
        min(metrics["wer"] or 0.0 for metrics in curve)
        for curve, warmup in zip(curves, warmups, strict=True)
        if any(
            judge_trial(curve[:epoch], halving.grace_epochs([1.0], warmup), rules) for epoch in range(1, len(curve) + 1)
        )
    ]
    stays = sum(min(metrics["wer"] or 0.0 for metrics in curve) >= 0.9 for curve in curves)
    print(f"stopped by their own rules: {len(stopped)} of {stays} that stay above 90 %, lowest WER {min(stopped):.1%}")


if __name__ == "__main__":
    main()
