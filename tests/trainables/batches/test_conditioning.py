import numpy as np
import torch

from glosstune.trainables.batches.conditioning import Conditioning, feature_gains
from glosstune.trainables.corpora.derivation import expand
from glosstune.trainables.settings import Gains

GAINS = Gains(pose=0.2, hands=1.0, face=0.0, shape=1.0, velocity=0.2, acceleration=0.05, position=1.0)
GENERATOR = np.random.default_rng(0)
MEAN = GENERATOR.normal(size=6516).astype(np.float32)
DEVIATION = GENERATOR.uniform(0, 0.2, size=6516).astype(np.float32)
BASE = torch.from_numpy(GENERATOR.normal(size=(2, 5, 1629)).astype(np.float32))
VALID = torch.tensor([[True] * 5, [True, True, False, False, False]])


def test_gain_of_a_value_is_part_times_channel() -> None:
    gains = feature_gains(GAINS)
    assert gains[0] == 0.2 and gains[99] == 1.0 and gains[225] == 0
    assert gains[1629] == 0.2 * 0.2 and gains[2 * 1629 + 99] == 0.05 and gains[3 * 1629 + 99] == 1.0


def test_positions_and_ready_features_are_conditioned_alike() -> None:
    conditioning = Conditioning.of(MEAN, DEVIATION, GAINS, 0.05)
    from_base = conditioning.features(BASE, VALID)
    from_full = conditioning.features(expand(BASE), VALID)
    assert torch.allclose(from_base, from_full, atol=1e-5)
    expected = (expand(BASE).numpy() - MEAN) / np.maximum(DEVIATION, 0.05) * feature_gains(GAINS)
    assert np.allclose(from_base[0], expected[0], atol=1e-3)


def test_frames_outside_an_utterance_and_muted_blocks_are_zero() -> None:
    features = Conditioning.of(MEAN, DEVIATION, GAINS, 0.05).features(BASE, VALID)
    assert not features[1, 2:].any()
    for start in range(0, 6516, 1629):
        assert not features[..., start + 225 : start + 1629].any()


def test_a_value_quieter_than_the_noise_floor_is_not_made_loud() -> None:
    quiet = np.full(6516, 0.001, dtype=np.float32)
    features = Conditioning.of(np.zeros(6516, np.float32), quiet, Gains(), 0.05)
    assert torch.allclose(features.scale, torch.full((6516,), 20.0))
