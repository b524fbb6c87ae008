"""The learning rate of every step as a factor of the trial's own."""

import math

FINAL_FACTOR = 0.05


def learning_rate_factor(
    progress_epochs: float, *, epochs: int, warmup_epochs: float, schedule: str, final_decay: float
) -> float:
    """Factor in [0, 1] at a point of training.

    Args:
        progress_epochs: epochs done, fractional inside an epoch.
        epochs: the whole training.
        warmup_epochs: linear rise from 0.
        schedule: ``constant`` (flat, then a linear fall to 5 % over the last ``final_decay`` of training:
            until then a run of any length is the same run, so rungs stay comparable) or ``cosine``.
        final_decay: fraction of all epochs, for ``constant``.
    """
    if progress_epochs < warmup_epochs:
        return progress_epochs / warmup_epochs
    if schedule == "cosine":
        done = (progress_epochs - warmup_epochs) / max(epochs - warmup_epochs, 1e-9)
        return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    start = epochs * (1 - final_decay)
    if progress_epochs <= start:
        return 1.0
    done = min((progress_epochs - start) / (epochs - start), 1.0)
    return 1 - (1 - FINAL_FACTOR) * done


def thaw_factor(progress_epochs: float, thawed_epoch: int, warmup_epochs: int) -> float:
    """Factor in [0, 1] of the rate of a layer: a second linear warm-up after it thaws, where it was frozen at first.

    Args:
        progress_epochs: epochs done, fractional inside an epoch.
        thawed_epoch: epochs done when the layer thaws.
        warmup_epochs: 0 for none.
    """
    since = progress_epochs - thawed_epoch
    # What trains in a frozen layer all the same (random values, see thaw) has no thaw to warm up for.
    if not thawed_epoch or since < 0 or since >= warmup_epochs:
        return 1.0
    return since / warmup_epochs
