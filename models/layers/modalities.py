"""Split a frame's features into the modalities that their layout has, and project each of them."""

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from glosstune.models.layers.masking import Frames
from glosstune.spaces.errors import SettingError, shown

# Of the default layout, in the order they are stored. Temporal: velocity, acceleration and position of the 1629 others.
MODALITY_WIDTHS: Mapping[str, int] = {"pose": 99, "hands": 126, "face": 1404, "temporal": 4887}
FEATURE_WIDTH = sum(MODALITY_WIDTHS.values())

LAYOUT_KEY = "corpus.layout"

# Channels are shared out in such steps where there are enough: they divide into heads and groups.
STEP = 8


class ModalityProjections(nn.ModuleDict):
    """One linear map for each modality, their results concatenated.

    Args:
        inputs: values of each modality in a frame, in the order they are stored.
        widths: outputs for each of them.
    """

    def __init__(self, inputs: Mapping[str, int], widths: Sequence[int]) -> None:
        pairs = zip(inputs.items(), widths, strict=True)
        super().__init__({name: nn.Linear(count, width) for (name, count), width in pairs})

    def forward(self, features: Tensor, frames: Frames) -> Tensor:
        """Features (batch, time, value) to activations (batch, time, channel), zero in padded frames."""
        batch, time, _ = features.shape
        inputs = [cast(nn.Linear, projection).in_features for projection in self.values()]
        parts = torch.split(features.flatten(0, 1), inputs, dim=1)
        projected = torch.cat([projection(part) for projection, part in zip(self.values(), parts, strict=True)], 1)
        projected = projected.view(batch, time, -1)
        # Not a product: garbage times zero need not be zero.
        return projected if frames.mask is None else projected.masked_fill(frames.mask == 0, 0)


def checked_modalities(modalities: Mapping[str, int]) -> dict[str, int]:
    """The same, where each modality has values and a name that a module can have.

    Raises:
        SettingError: there is none, or one of them has not.
    """
    if not modalities:
        raise SettingError("must have one modality at least; name a block of points or values", key=LAYOUT_KEY)
    taken = nn.ModuleDict()  # what its methods and attributes are called, none of its modules can be
    for name, width in modalities.items():
        if not isinstance(name, str) or not name or "." in name or hasattr(taken, name):
            rule = f"no modality can be called {shown(name)}: that is no name of a module; rename the block"
            raise SettingError(rule, key=LAYOUT_KEY)
        if type(width) is not int or width < 1:
            rule = f"a modality needs one value a frame at least; got {shown(width)} for {name}"
            raise SettingError(rule, key=LAYOUT_KEY)
    return dict(modalities)


def listed_modalities(modalities: Mapping[str, int]) -> str:
    """Each with its width, as a message shows them."""
    return " | ".join(f"{name} {width}" for name, width in modalities.items())


def share_channels(total: int, weights: Sequence[int]) -> list[int]:
    """Share channels out by weight, in steps of 8 where everybody can have one, else one by one.

    Nobody gets less than a step, and beyond that everybody's share is rounded down or up, those with the largest
    remainders up, of equal ones the first. The sum is always ``total``, so what follows has the same shape for every
    layout.

    Args:
        total: a multiple of 8.
        weights: whole numbers above 0.

    Raises:
        SettingError: there are fewer channels than weights.
    """
    count = len(weights)
    if count > total:
        rule = f"must have at most as many modalities as the model has channels for them, {total}; got {count}"
        raise SettingError(f"{rule}; join blocks, or raise model.width", key=LAYOUT_KEY)
    step = STEP if count * STEP <= total else 1
    return [step * steps for steps in _shared(total // step, weights)]


def _shared(steps: int, weights: Sequence[int]) -> list[int]:
    small = {place for place, weight in enumerate(weights) if steps * weight < sum(weights)}
    if small:  # they get one each, and the others share what is left
        others = _shared(steps - len(small), [weight for place, weight in enumerate(weights) if place not in small])
        left = iter(others)
        return [1 if place in small else next(left) for place in range(len(weights))]
    whole, remainders = zip(*(divmod(steps * weight, sum(weights)) for weight in weights), strict=True)
    favoured = sorted(range(len(weights)), key=lambda place: -remainders[place])[: steps - sum(whole)]
    return [share + (place in favoured) for place, share in enumerate(whole)]
