"""Two cases apart: trials that all stay on the plateau, and a driver that dies half-way."""

from collections.abc import Mapping

from glosstune.search.config.sweep import Sweep
from replay.contestants import CONTESTANTS, OURS, STOCK, STOCK_PLATEAU, with_settings
from replay.simulator import Clock, Run, simulate
from replay.surrogate import Surrogate

STUCK_TRIALS = 30
# In full trials: when the driver dies (most searches have not found a good recipe by then), when the regret is taken,
# and how long the search goes on.
CRASH_AT, CRASH_REGRET_AT, CRASH_LIMIT = 3, 5, 20


def count_stuck_epochs(sweep: Sweep) -> Mapping[str, int]:
    """Epochs that each method spends on trials whose WER stays at 1 and whose loss stays at the CTC floor."""
    plan = with_settings(sweep, "search", samples=STUCK_TRIALS, seed=0)
    stuck = {"wer": 1.0, "train_loss": 3.0, "loss_below_floor": 0.0, "loss_below_floor_se": 0.001, "blank_ratio": 1.0}
    curve = [{**stuck, "cpu_s": 1.0}] * sweep.training.epochs
    counts = {}
    for name in (STOCK, STOCK_PLATEAU, OURS):
        clock = Clock()
        method = CONTESTANTS[name](plan, clock, 1)
        run = simulate(method, lambda _: curve, clock, workers=1, limit_s=float("inf"), seed=0)
        counts[name] = len(run.epochs)
    return counts


def crash(sweep: Sweep, surrogate: Surrogate, name: str, workers: int, seed: int, dies: bool) -> Run:
    """A search of a method that survives, or is spared, the death of its driver."""
    plan, clock = with_settings(sweep, "search", samples=10**9, seed=seed), Clock()
    limit_s = CRASH_LIMIT * surrogate.full_trial_s
    method = CONTESTANTS[name](plan, clock, workers)
    crash_at_s = CRASH_AT * surrogate.full_trial_s if dies else None
    return simulate(method, surrogate.curve, clock, workers=workers, limit_s=limit_s, seed=seed, crash_at_s=crash_at_s)
