"""Split a frame's 6516 features into modalities and project each of them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from glosstune.models.masking import Frames

# Values of a frame in the order they are stored. Temporal: velocity, acceleration and position of the 1629 others.
MODALITY_WIDTHS = {"pose": 99, "hands": 126, "face": 1404, "temporal": 4887}
FEATURE_WIDTH = sum(MODALITY_WIDTHS.values())


class ModalityProjections(nn.ModuleDict):
    """One linear map for each modality, their results concatenated.

    Args:
        widths: outputs for each of MODALITY_WIDTHS, in that order.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        inputs = MODALITY_WIDTHS.items()
        super().__init__({name: nn.Linear(count, width) for (name, count), width in zip(inputs, widths, strict=True)})

    def forward(self, features: Tensor, frames: Frames) -> Tensor:
        """Features (batch, time, 6516) to activations (batch, time, channel), zero in padded frames."""
        batch, time, _ = features.shape
        parts = torch.split(features.flatten(0, 1), list(MODALITY_WIDTHS.values()), dim=1)
        projected = torch.cat([projection(part) for projection, part in zip(self.values(), parts, strict=True)], 1)
        projected = projected.view(batch, time, -1)
        # Not a product: garbage times zero need not be zero.
        return projected if frames.mask is None else projected.masked_fill(frames.mask == 0, 0)
