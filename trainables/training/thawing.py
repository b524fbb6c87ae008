"""Which layers train in which epoch."""

from collections.abc import Collection

from glosstune.models import progressive_stages, thaw
from glosstune.models.freezing import check_layer
from glosstune.models.recogniser import Recogniser
from glosstune.spaces import STRATEGIES
from glosstune.trainables.settings import TrialSettings


def thaw_epochs(model: Recogniser, settings: TrialSettings) -> dict[str, int]:
    """The epoch (counted from 0) from which each layer trains; layers that never train are left out.

    Stage k of n ends after epoch floor(k * epochs / n).

    Raises:
        SettingError: the model has no layer of that name, or as many stages.
    """
    tuned, names = settings.tuned, model.layer_names
    strategy = STRATEGIES[tuned.strategy]
    stages = tuned.unfreeze_stages or min(strategy.unfreeze_stages or 0, len(model.architecture.groups))
    if stages:
        epochs = settings.training.epochs
        first: dict[str, int] = {}
        for stage, layers in enumerate(progressive_stages(model, stages)):
            for layer in layers:
                first.setdefault(layer, stage * epochs // stages)
        return {name: first[name] for name in names if name in first}
    own = model.architecture.depths[strategy.freeze_until] if strategy.freeze_until else names[0]
    depth = tuned.freeze_until or own
    check_layer(depth, names)
    return dict.fromkeys(names[names.index(depth) :], 0)


def thaw_for(model: Recogniser, epoch: int, first_epochs: dict[str, int], fresh: Collection[str]) -> None:
    """Freeze and thaw a model for an epoch, by what ``thaw_epochs`` says; ``fresh`` parameters always train."""
    thaw(model, [layer for layer, first in first_epochs.items() if first <= epoch], fresh=fresh)
