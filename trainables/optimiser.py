"""Adam or AdamW over all parameters, wide projections slowed down on request."""

import torch
from torch import nn

from glosstune.trainables.settings import TrainingSettings

WIDE_FAN_IN = 256


def build_optimiser(model: nn.Module, training: TrainingSettings, learning_rate: float) -> torch.optim.Optimizer:
    """The optimiser of a trial.

    Frozen parameters are in it too: they have no gradient, which Adam skips (weight decay included), so
    thawing them needs no new group and a checkpoint fits at every stage.

    ``lr_scale: fan_in`` divides the rate of weights with more than 256 inputs by ``fan_in / 256``, as
    Yang et al. 2022 (Tensor Programs V) derive for Adam: a projection of the 4887 temporal values would otherwise
    move 19 times as fast as a layer of 256 inputs.
    """
    groups: dict[float, list[nn.Parameter]] = {}
    for parameter in model.parameters():
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 1
        scale = min(1.0, WIDE_FAN_IN / fan_in) if training.lr_scale == "fan_in" else 1.0
        groups.setdefault(scale, []).append(parameter)
    kind = torch.optim.AdamW if training.optimizer == "adamw" else torch.optim.Adam
    return kind(
        [{"params": parameters, "scale": scale} for scale, parameters in groups.items()],
        lr=learning_rate,
        weight_decay=training.weight_decay,
        fused=True,  # one pass over all weights: a third of the time of the default on a CPU
    )


def set_learning_rate(optimiser: torch.optim.Optimizer, learning_rate: float) -> None:
    """Set the rate of every group, each by its own scale."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate * group["scale"]
