"""Weights averaged over the last steps, which score better than those of the last step alone."""

import copy
import itertools

import torch
from torch import Tensor, nn

from glosstune.models.recogniser import Recogniser

# Of the first steps: an average over all of them would be one of weights that have learned nothing.
YOUNG_STEPS = 9


class AveragedWeights:
    """An exponential moving average of a model's weights, and of the statistics of its batch normalisation.

    Source: Polyak and Juditsky 1992; exponential and for networks as in Tarvainen and Valpola 2017.

    Args:
        model: whose weights are averaged; it may have taken steps before.
        span: steps that the average looks back, at least 1.

    Attributes:
        model: a copy with the averaged weights, in eval mode.
        steps: that went into it.
    """

    def __init__(self, model: Recogniser, span: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self.span = max(1.0, span)
        self.steps = 0

    @torch.no_grad()
    def update(self, model: Recogniser) -> None:
        """Take in the weights after a step."""
        self.steps += 1
        share = max(1 / self.span, YOUNG_STEPS / (YOUNG_STEPS + self.steps))
        averaged, latest = _state(self.model), _state(model)
        moving = [place for place, tensor in enumerate(averaged) if tensor.is_floating_point()]
        torch._foreach_lerp_([averaged[place] for place in moving], [latest[place] for place in moving], share)
        for place in set(range(len(averaged))) - set(moving):
            averaged[place].copy_(latest[place])


def _state(model: nn.Module) -> list[Tensor]:
    return [tensor.detach() for tensor in itertools.chain(model.parameters(), model.buffers())]
