"""Two cases apart: trials that all stay on the plateau, and a driver that dies half-way."""

from collections.abc import Mapping

from glosstune.search.config.sweep import Sweep
from replay.contestants import CONTESTANTS, OURS, STOCK, STOCK_PLATEAU, with_settings
from replay.simulator import Clock, simulate

STUCK_TRIALS = 30
# In full trials: when the driver dies.
CRASH_AT = 3


def count_stuck_epochs(sweep: Sweep) -> Mapping[str, int]:
    """Epochs that each method spends on trials whose WER stays at 1 and whose loss stays at the CTC floor."""
    plan = with_settings(sweep, "search", samples=STUCK_TRIALS, seed=0)
    stuck = {"wer": 1.0, "train_loss": 3.0, "loss_below_floor": 0.0, "loss_below_floor_se": 0.001, "blank_ratio": 1.0}
    curve = [{**stuck, "cpu_s": 1.0}] * sweep.training.epochs
    counts = {}
    for name in (STOCK, STOCK_PLATEAU, OURS):
        clock = Clock()
        method = CONTESTANTS[name](plan, clock, 1, ())
        counts[name] = len(simulate(method, lambda _: curve, clock, workers=1, limit_s=float("inf"), seed=0).epochs)
    return counts
