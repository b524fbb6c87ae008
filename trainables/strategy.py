"""Which layers train in which epoch."""

from torch import nn

from glosstune.models import freeze_until, progressive_stages, thaw
from glosstune.spaces import STRATEGIES
from glosstune.trainables.settings import TrialSettings


def trainable_layers(model: nn.Module, settings: TrialSettings, epoch: int) -> None:
    """Freeze and thaw a model for an epoch (counted from 0) as its strategy says.

    Stage k of n ends after epoch floor(k * epochs / n).
    """
    tuned = settings.tuned
    strategy = STRATEGIES[tuned.strategy]
    stages = tuned.unfreeze_stages or strategy.unfreeze_stages
    layer = tuned.freeze_until or strategy.freeze_until
    if stages:
        epochs = settings.training.epochs
        stage = next(k for k in range(1, stages + 1) if epoch < k * epochs // stages or k == stages)
        thaw(model, progressive_stages(model, stages)[stage - 1])
    elif layer:
        freeze_until(model, layer)
