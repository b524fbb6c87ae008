"""Sum the steps of an epoch up to its metrics."""

import math
from collections.abc import Sequence


def sum_steps(steps: Sequence[Sequence[float]], utterances: int) -> dict[str, float]:
    """Metrics of an epoch from loss, feasible utterances, squared losses, divergence and gradient norm of each step."""
    good = [step for step in steps if math.isfinite(step[0]) and math.isfinite(step[4])]
    feasible = sum(step[1] for step in good)
    mean = sum(step[0] * step[1] for step in good) / feasible if feasible else math.nan
    squares = sum(step[2] for step in good)
    variance = (squares - feasible * mean**2) / (feasible - 1) if feasible > 1 else math.nan
    return {
        "train_loss": mean,
        "train_loss_se": math.sqrt(max(variance, 0.0) / feasible) if feasible > 1 else math.nan,
        "distillation_loss": sum(step[3] for step in good) / len(good) if good else math.nan,
        "grad_norm": sum(step[4] for step in good) / len(good) if good else math.nan,
        "infeasible_utterances": utterances - round(sum(step[1] for step in steps)),
        "nonfinite_steps": len(steps) - len(good),
    }
