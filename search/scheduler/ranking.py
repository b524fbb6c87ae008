"""Rank trials by one number: WER, and while that stands near 1, by how far the loss is below the CTC floor."""

import math
from collections.abc import Mapping, Sequence

Metrics = Mapping[str, float | None]

WORST = math.inf

# Where a WER begins to say more than the loss. On recorded curves the order of trials after two epochs agrees with that
# of the WERs they come to at a rank correlation of 0.74 so, and of 0.38 by WER alone (benchmarks/standings.py).
PLATEAU_WER = 0.9
# The score of a trial on the plateau whose loss stands at the CTC floor.
AT_THE_FLOOR = 2.0


def score_curve(curve: Sequence[Metrics], metric: str, plateau_wer: float = PLATEAU_WER) -> float:
    """Lower is better; infinity for a trial that has diverged.

    A WER below ``plateau_wer`` counts as it is, the lowest so far. Above, most models write next to nothing and
    their WERs say little: there the score is 2 less the share of the CTC floor that the loss has come down from
    it, at best 1, so that a slow starter is judged by what it has learned and no trial ranks above one that has
    left the plateau.

    Args:
        curve: the metrics of every epoch so far, in order; None stands for what was not finite.
        metric: ``wer``, or another one, which then counts alone.
        plateau_wer: fraction.
    """
    if not curve or curve[-1].get(metric) is None or curve[-1].get("train_loss") is None:
        return WORST
    best = lowest(curve, metric)
    if metric != "wer" or best < plateau_wer:
        return best
    learned = [value for metrics in curve if (value := metrics.get("loss_below_floor")) is not None]
    return AT_THE_FLOOR - min(max(learned, default=0.0), 1.0)


def lowest(curve: Sequence[Metrics], metric: str) -> float:
    """The lowest value of a metric in any epoch; infinity where there is none."""
    return min((value for metrics in curve if (value := metrics.get(metric)) is not None), default=WORST)
