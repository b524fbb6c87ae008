"""Standardise features with a noise floor and weigh body parts and channels.

Plain standardisation lifts thousands of nearly constant face derivatives to unit variance and drowns
the hands; that alone keeps a recogniser on the 97 % plateau. The floor says which deviation, in the
features' own units (shoulder widths, hand sizes), is only noise.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from glosstune.trainables.corpora.derivation import derive
from glosstune.trainables.corpora.layout import BASE_WIDTH, CHANNELS, FULL_WIDTH, PART_COLUMNS, PART_WIDTHS
from glosstune.trainables.settings import Gains


@dataclass(frozen=True)
class Conditioning:
    """An affine map of each of the 6516 features; what a checkpoint keeps of its corpus.

    Attributes:
        scale, offset: float32 (6516,): ``features * scale + offset``.
        live: (channel, part) of the blocks whose gain is not 0.
    """

    scale: Tensor
    offset: Tensor
    live: frozenset[tuple[str, str]]

    @classmethod
    def of(
        cls,
        mean: npt.NDArray[np.float32],
        deviation: npt.NDArray[np.float32],
        gains: Gains,
        noise_floor: float,
    ) -> "Conditioning":
        """From the training split's statistics (6516,)."""
        scale = feature_gains(gains) / np.maximum(deviation, noise_floor)
        live = frozenset(
            (channel, part)
            for channel in CHANNELS
            for part in PART_WIDTHS
            if getattr(gains, channel) and getattr(gains, part)
        )
        offset = -mean * scale
        return cls(torch.from_numpy(scale.astype(np.float32)), torch.from_numpy(offset.astype(np.float32)), live)

    def features(self, stored: Tensor, valid: Tensor) -> Tensor:
        """Derive and condition the features of a batch.

        Args:
            stored: float32 (batch, time, 1629 positions, or all 6516 features).
            valid: bool (batch, time); other frames become 0.

        Returns:
            (batch, time, 6516). Muted blocks are 0 and cost nothing.
        """
        out = stored.new_zeros((*stored.shape[:-1], FULL_WIDTH))
        inside = valid.unsqueeze(-1)
        for start, channel in zip(range(0, FULL_WIDTH, BASE_WIDTH), CHANNELS, strict=True):
            for part, columns in PART_COLUMNS.items():
                block = slice(start + columns.start, start + columns.stop)
                if (channel, part) not in self.live:
                    continue
                values = derive(stored, channel, part) if stored.shape[-1] == BASE_WIDTH else stored[..., block]
                torch.addcmul(self.offset[block], values, self.scale[block], out=out[..., block]).mul_(inside)
        return out

    def to(self, device: torch.device) -> "Conditioning":
        """The same on another device."""
        return Conditioning(self.scale.to(device), self.offset.to(device), self.live)


def feature_gains(gains: Gains) -> npt.NDArray[np.float64]:
    """Gain of each feature (6516,): that of its body part times that of its channel."""
    parts = np.concatenate([np.full(width, getattr(gains, part)) for part, width in PART_WIDTHS.items()])
    return np.concatenate([parts * getattr(gains, channel) for channel in CHANNELS])
