"""Change what frozen layers give, since their input has to stay as it is where they run only once."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from glosstune.trainables.batches.augmentation import TIME_MASK_SHARE, TIME_MASKS
from glosstune.trainables.batches.playing import SPEED
from glosstune.trainables.layouts.geometry import at_places

# Standard deviation of the logarithm of a channel's loudness.
LOUDNESS = 0.1

Activations = npt.NDArray[np.floating[Any]]


def augment_activations(
    parts: Sequence[Activations],
    frames: int,
    strides: Sequence[int],
    names: Collection[str],
    generator: np.random.Generator,
) -> tuple[list[Activations], int]:
    """Augment what enters a layer for one utterance; no value changes its sign, because pooling relies on that.

    ``speed`` plays it faster or slower by linear interpolation, ``noise`` makes channels louder and quieter for the
    whole utterance, ``time-masks`` silences spans of time.

    Args:
        parts: tensors that enter the layer, each (time / stride, channel).
        frames: of the input.

    Returns:
        the parts, and how many frames the input would have now.
    """
    changed: list[Activations] = list(parts)
    if "speed" in names:
        frames = max(1, round(frames / generator.uniform(*SPEED)))
        changed = [stretch(part, -(-frames // stride)) for part, stride in zip(changed, strides, strict=True)]
    if "noise" in names:
        loudness = [np.exp(generator.normal(0, LOUDNESS, size=part.shape[1])).astype(np.float32) for part in changed]
        changed = [part * factor for part, factor in zip(changed, loudness, strict=True)]
    if "time-masks" in names:
        changed = [part.copy() for part in changed]
        for _ in range(TIME_MASKS):
            span = int(generator.uniform(0, TIME_MASK_SHARE) * frames)
            start = int(generator.integers(0, max(1, frames - span)))
            for part, stride in zip(changed, strides, strict=True):
                part[start // stride : (start + span) // stride] = 0
    return changed, frames


def stretch(values: Activations, count: int) -> Activations:
    """Values (time, channel) at ``count`` evenly spaced times from the first to the last, by linear interpolation."""
    if count == len(values):
        return values
    return at_places(values, np.linspace(0, len(values) - 1, count))
