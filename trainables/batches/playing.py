"""Play an utterance faster or slower: as a whole, or by turns."""

import numpy as np

from glosstune.trainables.batches.moving import Frames
from glosstune.trainables.layouts.geometry import at_places, resample
from glosstune.trainables.layouts.layout import Layout

SPEED = (0.75, 1.3)
RHYTHM = 0.25  # deviation of the logarithm of the speed
BEAT_FRAMES = 24  # between one drawn speed and the next


def change_speed(frames: Frames, layout: Layout, generator: np.random.Generator) -> Frames:
    """Frames (time, value) at one speed throughout."""
    rate = generator.uniform(*SPEED)
    played = resample(frames, rate)
    _follow(played, np.full(len(played), rate), layout)
    return played


def change_rhythm(frames: Frames, layout: Layout, generator: np.random.Generator) -> Frames:
    """Frames (time, value) at speeds that rise and fall, drawn anew about every second."""
    count = len(frames)
    beats = max(2, count // BEAT_FRAMES)
    drawn = generator.normal(0, RHYTHM, beats + 1)
    rates = np.exp(np.interp(np.linspace(0, beats, count), np.arange(beats + 1), drawn))
    times = np.cumsum(1 / rates)
    times -= times[0]
    played_times = np.linspace(0, times[-1], max(2, round(times[-1]) + 1))
    place = np.interp(played_times, times, np.arange(count))
    played = at_places(frames, place)
    _follow(played, np.interp(place, np.arange(count), rates), layout)
    return played


def _follow(played: Frames, rates: np.ndarray[tuple[int], np.dtype[np.float64]], layout: Layout) -> None:
    """Have stored derivatives follow the speed of each frame (time,), in place."""
    if played.shape[1] != layout.base_width:
        width, rate = layout.positions_width, rates.astype(np.float32)[:, None]
        played[:, width : 2 * width] *= rate
        played[:, 2 * width : 3 * width] *= rate * rate
