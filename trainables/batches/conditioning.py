"""Standardise features with a noise floor and weigh body parts and channels.

Plain standardisation lifts thousands of nearly constant face derivatives to unit variance and drowns
the hands; that alone keeps a recogniser on the 97 % plateau. The floor says which deviation, in the
features' own units (shoulder widths, hand sizes), is only noise. Values that are no landmarks have no such units: the
floor of each block is that share of its root mean square deviation, and not less than packing rounds a value by.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from glosstune.trainables.batches.gains import block_gain, feature_floor, with_gains
from glosstune.trainables.corpora.store import PackedCorpus
from glosstune.trainables.layouts.blocks import PARTS
from glosstune.trainables.layouts.derivation import derive
from glosstune.trainables.layouts.layout import FeatureBlock, Layout
from glosstune.trainables.settings import CorpusSettings, Gains


@dataclass(frozen=True)
class Conditioning:
    """An affine map of each feature; what a checkpoint keeps of its corpus.

    Attributes:
        scale, offset: float32 (feature,): ``features * scale + offset``.
        layout: what the features are.
        live: the blocks whose gain is not 0.
    """

    scale: Tensor
    offset: Tensor
    layout: Layout
    live: tuple[FeatureBlock, ...]

    @classmethod
    def of(
        cls,
        mean: npt.NDArray[np.float32],
        deviation: npt.NDArray[np.float32],
        layout: Layout,
        gains: Gains,
        noise_floor: float,
    ) -> "Conditioning":
        """From the training split's statistics (feature,), and gains in numbers."""
        floor = feature_floor(mean, deviation, layout, noise_floor)
        scale = feature_gains(layout, gains) / np.maximum(deviation, floor)
        offset = -mean * scale
        return cls(
            torch.from_numpy(scale.astype(np.float32)),
            torch.from_numpy(offset.astype(np.float32)),
            layout,
            live_blocks(layout, gains),
        )

    @classmethod
    def of_corpus(cls, corpus: PackedCorpus, settings: CorpusSettings) -> "Conditioning":
        """What the settings make of a corpus's training split."""
        statistics, gains = corpus.statistics, with_gains(settings, corpus).gains
        return cls.of(statistics["mean"], statistics["deviation"], corpus.layout, gains, settings.noise_floor)

    def features(self, stored: Tensor, valid: Tensor) -> Tensor:
        """Derive and condition the features of a batch.

        Args:
            stored: float32 (batch, time, base values, or all features).
            valid: bool (batch, time); other frames become 0.

        Returns:
            (batch, time, feature). Muted blocks are 0 and cost nothing.
        """
        out = stored.new_zeros((*stored.shape[:-1], self.layout.feature_width))
        inside = valid.unsqueeze(-1)
        derived = stored.shape[-1] == self.layout.base_width
        for block in self.live:
            own = block.features
            values = derive(stored, block, self.layout) if derived else stored[..., own]
            torch.addcmul(self.offset[own], values, self.scale[own], out=out[..., own]).mul_(inside)
        return out

    def to(self, device: torch.device) -> "Conditioning":
        """The same on another device."""
        return Conditioning(self.scale.to(device), self.offset.to(device), self.layout, self.live)


def live_blocks(layout: Layout, gains: Gains) -> tuple[FeatureBlock, ...]:
    """The blocks whose gain is not 0."""
    return tuple(block for block in layout.blocks if _gain(block, gains))


def feature_gains(layout: Layout, gains: Gains) -> npt.NDArray[np.float64]:
    """Gain of each feature: that of its part times those of its channel and of its block."""
    return np.concatenate(
        [np.full(block.features.stop - block.features.start, _gain(block, gains)) for block in layout.blocks]
    )


def _gain(block: FeatureBlock, gains: Gains) -> float:
    part = block.part if block.part in PARTS else "values"
    assert gains.blocks != "auto"  # which with_gains makes numbers of
    own = block_gain(gains.blocks or {}, block)
    gain: float = own * getattr(gains, part) * getattr(gains, block.channel)
    return gain
