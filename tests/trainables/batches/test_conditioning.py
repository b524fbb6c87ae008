import numpy as np
import pytest
import torch

from glosstune.trainables.batches.conditioning import Conditioning, feature_gains
from glosstune.trainables.layouts.derivation import expand
from glosstune.trainables.layouts.layout import DEFAULT, FileLayout
from glosstune.trainables.settings import Gains

GAINS = Gains(pose=0.2, hands=1.0, face=0.0, shape=1.0, velocity=0.2, acceleration=0.05, position=1.0)
GENERATOR = np.random.default_rng(0)
MEAN = GENERATOR.normal(size=6516).astype(np.float32)
DEVIATION = GENERATOR.uniform(0, 0.2, size=6516).astype(np.float32)
BASE = torch.from_numpy(GENERATOR.normal(size=(2, 5, 1629)).astype(np.float32))
VALID = torch.tensor([[True] * 5, [True, True, False, False, False]])


def test_gain_of_a_value_is_part_times_channel() -> None:
    gains = feature_gains(DEFAULT, GAINS)
    assert gains[0] == 0.2 and gains[99] == 1.0 and gains[225] == 0
    assert gains[1629] == 0.2 * 0.2 and gains[2 * 1629 + 99] == 0.05 and gains[3 * 1629 + 99] == 1.0


def test_positions_and_ready_features_are_conditioned_alike() -> None:
    conditioning = Conditioning.of(MEAN, DEVIATION, DEFAULT, GAINS, 0.05)
    from_base = conditioning.features(BASE, VALID)
    from_full = conditioning.features(expand(BASE, DEFAULT), VALID)
    assert torch.allclose(from_base, from_full, atol=1e-5)
    expected = (expand(BASE, DEFAULT).numpy() - MEAN) / np.maximum(DEVIATION, 0.05) * feature_gains(DEFAULT, GAINS)
    assert np.allclose(from_base[0], expected[0], atol=1e-3)


def test_frames_outside_an_utterance_and_muted_blocks_are_zero() -> None:
    features = Conditioning.of(MEAN, DEVIATION, DEFAULT, GAINS, 0.05).features(BASE, VALID)
    assert not features[1, 2:].any()
    for start in range(0, 6516, 1629):
        assert not features[..., start + 225 : start + 1629].any()


def test_a_value_quieter_than_the_noise_floor_is_not_made_loud() -> None:
    quiet = np.full(6516, 0.001, dtype=np.float32)
    features = Conditioning.of(np.zeros(6516, np.float32), quiet, DEFAULT, Gains(), 0.05)
    assert torch.allclose(features.scale, torch.full((6516,), 20.0))


VALUES = FileLayout.of([{"block": "a", "values": 3, "velocity": True}, {"block": "b", "values": 2}]).layout


def test_values_of_any_size_enter_as_loud_as_each_other() -> None:
    # Pixels, logits or activations: the floor is a share of what their own block has.
    deviation = np.float32([1, 2, 3, 100, 200, 1, 2, 3])
    for size in (1e-4, 1.0, 1e4):
        scaled = (deviation * size).astype(np.float32)
        scale = Conditioning.of(np.zeros(8, np.float32), scaled, VALUES, Gains(), 0.05).scale.numpy()
        assert np.allclose(scale * scaled, 1, rtol=1e-4)


def test_a_value_that_hardly_moves_beside_others_of_its_block_is_not_made_loud() -> None:
    deviation = np.float32([1, 1, 1e-6, 1000, 0, 1, 1, 0])
    scale = Conditioning.of(np.zeros(8, np.float32), deviation, VALUES, Gains(), 0.05).scale.numpy()
    assert scale[2] == pytest.approx(1 / (0.05 * np.sqrt(2 / 3)), rel=1e-3)
    assert scale[4] == pytest.approx(1 / (0.05 * np.sqrt(1000**2 / 2)), rel=1e-3)
    assert np.isfinite(scale).all()


def test_values_that_never_change_say_nothing() -> None:
    mean = np.float32([5] * 5 + [0] * 3)
    conditioning = Conditioning.of(mean, np.zeros(8, np.float32), VALUES, Gains(), 0.05)
    frames = torch.full((1, 4, 5), 5.0)
    features = conditioning.features(frames, torch.ones(1, 4, dtype=torch.bool))
    assert torch.isfinite(features).all() and not features.any()


def test_gains_of_values_are_their_own_and_mute_them() -> None:
    gains = feature_gains(VALUES, Gains(values=0.5, velocity=0.1, hands=7))
    assert gains.tolist() == [0.5] * 5 + [0.05] * 3
    muted = Conditioning.of(np.zeros(8, np.float32), np.ones(8, np.float32), VALUES, Gains(values=0), 0.05)
    assert not muted.live and not muted.features(torch.ones(1, 2, 5), torch.ones(1, 2, dtype=torch.bool)).any()


def test_landmarks_beside_values_are_conditioned_as_they_are_alone() -> None:
    hands = FileLayout.of("hands-2d").layout
    both = FileLayout.of([*FileLayout.of("hands-2d").written, {"block": "b", "values": 2}]).layout
    frames = torch.randn(1, 5, 86, generator=torch.Generator().manual_seed(0))
    valid = torch.ones(1, 5, dtype=torch.bool)
    alone, beside = (
        Conditioning.of(
            *(np.full(layout.feature_width, value, np.float32) for value in (0.1, 0.5)), layout, GAINS, 0.05
        )
        for layout in (hands, both)
    )
    shape, values, rest = beside.features(frames, valid).split([84, 2, 252], dim=-1)
    assert torch.equal(torch.cat([shape, rest], dim=-1), alone.features(frames[..., :84], valid))
    assert torch.allclose(values, (frames[..., 84:] - 0.1) / 0.5, atol=1e-6)
