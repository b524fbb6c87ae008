import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from glosstune.spaces import CorpusError
from glosstune.trainables.corpora.derivation import expand
from glosstune.trainables.corpora.geometry import (
    FACE_START,
    LEFT_HAND,
    RIGHT_HAND,
    Positions,
    face_mirror_order,
    mirror,
    resample,
    to_shoulder_frame,
)
from glosstune.trainables.corpora.layout import BASE_WIDTH, FULL_WIDTH


def _positions(frames: int = 6, seed: int = 0) -> Positions:
    return np.random.default_rng(seed).uniform(0.2, 0.8, size=(frames, 543, 3)).astype(np.float32)


@given(scale=st.floats(0.1, 1000), shift=st.floats(-100, 100))
def test_shoulder_frame_does_not_depend_on_camera_distance_and_place(scale: float, shift: float) -> None:
    positions = _positions()
    moved = (positions * np.float32(scale) + np.float32(shift)).astype(np.float32)
    # float32 keeps fewer digits of small landmarks beside a large shift
    tolerance = 1e-3 + 1e-4 * abs(shift) / scale
    assert np.allclose(to_shoulder_frame(moved), to_shoulder_frame(positions), atol=tolerance)


def test_a_hand_lost_for_some_frames_moves_straight_on_and_an_unseen_hand_is_zero() -> None:
    positions = _positions(5)
    positions[1:3, RIGHT_HAND : RIGHT_HAND + 21] = 0
    positions[:, LEFT_HAND : LEFT_HAND + 21] = 0
    framed = to_shoulder_frame(positions)
    right = framed[:, RIGHT_HAND]
    assert np.allclose(right[1], right[0] * 2 / 3 + right[3] / 3, atol=1e-5)
    assert not framed[:, LEFT_HAND : LEFT_HAND + 21].any()


def test_frames_without_face_or_shoulders_make_no_jump() -> None:
    positions = np.repeat(_positions(1), 5, axis=0)
    positions[2, FACE_START:] = 0
    positions[3, :33] = 0
    assert np.allclose(to_shoulder_frame(positions), to_shoulder_frame(positions[:1]), atol=1e-5)


def test_positions_without_shoulders_are_refused() -> None:
    positions = _positions()
    positions[:, 11:13] = 0
    with pytest.raises(CorpusError, match="no frame shows the shoulders"):
        to_shoulder_frame(positions)


def test_features_hold_shape_velocity_acceleration_and_position() -> None:
    base = torch.from_numpy(to_shoulder_frame(_positions()).reshape(6, BASE_WIDTH))
    features = expand(base)
    assert features.shape == (6, FULL_WIDTH)
    shape, velocity, acceleration, position = features.split(BASE_WIDTH, dim=-1)
    assert torch.equal(position, base)
    assert torch.allclose(velocity[1:], base[1:] - base[:-1])
    assert torch.allclose(acceleration[2:], velocity[2:] - velocity[1:-1], atol=1e-6)
    assert not velocity[0].any() and not acceleration[:2].any()
    hand = shape[:, 99:162].reshape(6, 21, 3)
    assert torch.equal(hand[:, 0], torch.zeros(6, 3))
    assert torch.allclose(hand.norm(dim=-1).mean(dim=-1), torch.ones(6), atol=1e-5)
    assert not shape[:, 225:].reshape(6, 468, 3)[:, 1].any()


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_very_short_utterances_have_features(frames: int) -> None:
    assert torch.isfinite(expand(torch.ones(frames, BASE_WIDTH))).all()


def test_frames_behind_an_utterance_do_not_reach_its_features() -> None:
    base = torch.from_numpy(to_shoulder_frame(_positions()).reshape(6, BASE_WIDTH))
    changed = base.clone()
    changed[4:] = 99
    assert torch.equal(expand(base)[:4], expand(changed)[:4])


def test_mirroring_twice_gives_the_signer_back() -> None:
    framed = to_shoulder_frame(_positions())
    half = np.random.default_rng(1).uniform(size=(234, 3)).astype(np.float32)
    face = np.concatenate([half, half * [-1, 1, 1]]).astype(np.float32)
    order = face_mirror_order(face)
    assert np.array_equal(order, np.r_[234:468, 0:234])
    once = mirror(framed, order)
    assert np.array_equal(once[:, RIGHT_HAND], framed[:, LEFT_HAND] * np.float32([-1, 1, 1]))
    assert np.array_equal(mirror(once, order), framed)
    assert FACE_START == 75


@given(rate=st.floats(0.3, 3.0), frames=st.integers(1, 40))
def test_resampling_keeps_first_and_last_frame(rate: float, frames: int) -> None:
    values = np.arange(frames, dtype=np.float32)[:, None]
    played = resample(values, rate)
    assert len(played) == max(2, round(frames / rate))
    assert played[0] == 0 and played[-1] == frames - 1
    assert (np.diff(played[:, 0]) >= 0).all()
