"""Augmenting what frozen layers give keeps lengths, signs and padding in order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glosstune.trainables.activations.augmenting import augment_activations, stretch
from glosstune.trainables.settings import ACTIVATION_AUGMENTATIONS


@given(
    frames=st.integers(1, 200),
    strides=st.sampled_from([(1,), (4,), (2, 4), (1, 16)]),
    names=st.sets(st.sampled_from(ACTIVATION_AUGMENTATIONS)),
    seed=st.integers(0, 1000),
)
def test_every_part_keeps_its_stride_and_its_sign(
    frames: int, strides: tuple[int, ...], names: set[str], seed: int
) -> None:
    generator = np.random.default_rng(seed)
    parts = [generator.random((-(-frames // stride), 3)).astype(np.float16) for stride in strides]
    before = [part.copy() for part in parts]
    changed, played = augment_activations(parts, frames, strides, names, generator)
    assert played == frames or "speed" in names
    assert 1 <= played <= 1.4 * frames + 1
    for part, stride in zip(changed, strides, strict=True):
        assert part.shape == (-(-played // stride), 3)
        assert (part >= 0).all() and np.isfinite(part).all()
    for part, kept in zip(parts, before, strict=True):
        np.testing.assert_array_equal(part, kept)


@given(length=st.integers(1, 50), count=st.integers(1, 80))
def test_stretching_keeps_a_straight_line_straight(length: int, count: int) -> None:
    line = np.linspace(0, 1, length, dtype=np.float32)[:, None]
    stretched = stretch(line, count)
    expected = np.linspace(0, 1, count)[:, None] if length > 1 else np.zeros((count, 1))
    np.testing.assert_allclose(stretched, expected, atol=1e-5)


def test_noise_is_the_same_in_every_frame_and_masks_silence_spans() -> None:
    ones = np.ones((40, 5), np.float16)
    (noisy,), _ = augment_activations([ones], 40, (1,), {"noise"}, np.random.default_rng(0))
    assert (noisy == noisy[0]).all() and noisy[0].std() > 0
    silent = [
        augment_activations([ones], 40, (1,), {"time-masks"}, np.random.default_rng(seed))[0][0] for seed in range(20)
    ]
    shares = [float((part == 0).all(1).mean()) for part in silent]
    assert 0 < np.mean(shares) == pytest.approx(0.1, abs=0.07)
    assert max(shares) <= 0.2
