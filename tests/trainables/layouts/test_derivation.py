"""Features of base values: what each channel of each part is, for any layout."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_layouts import block_lists
from torch import Tensor

from glosstune.trainables.layouts.blocks import BlockSpec
from glosstune.trainables.layouts.derivation import derive, expand
from glosstune.trainables.layouts.layout import DEFAULT, FileLayout, Layout

TWO_DIMS = FileLayout.of("coco-wholebody").layout
UNLIKE = FileLayout.of(
    [{"block": "left_hand", "points": 21, "dims": 2}, {"block": "right_hand", "points": 20, "dims": 3}]
).layout
FACES = FileLayout.of([{"block": "lips", "points": 4, "dims": 2}, {"block": "eyes", "points": 6, "dims": 3}]).layout


def _base(layout: Layout, frames: int = 6, seed: int = 0) -> Tensor:
    return torch.randn(frames, layout.base_width, generator=torch.Generator().manual_seed(seed))


def _channel(base: Tensor, layout: Layout, channel: str, part: str) -> Tensor:
    (block,) = (block for block in layout.blocks if (block.channel, block.part) == (channel, part))
    return derive(base, block, layout)


def test_features_hold_shape_velocity_acceleration_and_position() -> None:
    base = _base(DEFAULT)
    features = expand(base, DEFAULT)
    assert features.shape == (6, 6516)
    shape, velocity, acceleration, position = features.split(1629, dim=-1)
    assert torch.equal(position, base)
    assert torch.allclose(velocity[1:], base[1:] - base[:-1])
    assert torch.allclose(acceleration[2:], velocity[2:] - velocity[1:-1], atol=1e-6)
    assert not velocity[0].any() and not acceleration[:2].any()
    assert torch.equal(shape[:, :99], base[:, :99])
    hand = shape[:, 99:162].reshape(6, 21, 3)
    assert torch.equal(hand[:, 0], torch.zeros(6, 3))
    assert torch.allclose(hand.norm(dim=-1).mean(dim=-1), torch.ones(6), atol=1e-5)
    face = shape[:, 225:].reshape(6, 468, 3)
    assert torch.allclose(face, base[:, 225:].reshape(6, 468, 3) - base[:, 228:231].reshape(6, 1, 3), atol=1e-6)


@pytest.mark.parametrize(("layout", "dims"), [(TWO_DIMS, 2), (DEFAULT, 3)])
def test_hands_are_measured_from_their_wrists_in_hand_sizes(layout: Layout, dims: int) -> None:
    shape = _channel(_base(layout), layout, "shape", "hands")
    for hand in shape.split(21 * dims, dim=-1):
        points = hand.reshape(6, 21, dims)
        assert not points[:, 0].any()
        assert torch.allclose(points.norm(dim=-1).mean(dim=-1), torch.ones(6), atol=1e-5)


def test_hands_of_unlike_forms_have_their_own_origins_and_sizes() -> None:
    left, right = _channel(_base(UNLIKE), UNLIKE, "shape", "hands").split([42, 60], dim=-1)
    assert not left[:, :2].any() and torch.allclose(left.reshape(6, 21, 2).norm(dim=-1).mean(-1), torch.ones(6))
    points = right.reshape(6, 20, 3)
    # Such a hand has its wrist in the body.
    assert not points[:, 0].any() and torch.allclose(points.norm(dim=-1).mean(-1), torch.ones(6), atol=1e-5)


def test_a_face_whose_nose_nobody_knows_is_measured_from_its_middle() -> None:
    lips, eyes = _channel(_base(FACES), FACES, "shape", "face").split([8, 18], dim=-1)
    assert torch.allclose(lips.reshape(6, 4, 2).mean(1), torch.zeros(6, 2), atol=1e-6)
    assert torch.allclose(eyes.reshape(6, 6, 3).mean(1), torch.zeros(6, 3), atol=1e-6)


def test_the_face_of_coco_wholebody_is_measured_from_the_tip_of_its_nose() -> None:
    face = _channel(_base(TWO_DIMS), TWO_DIMS, "shape", "face").reshape(6, 68, 2)
    assert not face[:, 30].any() and face[:, 29].any()


def test_a_hand_that_was_never_seen_has_no_shape() -> None:
    base = _base(TWO_DIMS)
    base[:, TWO_DIMS.parts["hands"]] = 0
    assert not _channel(base, TWO_DIMS, "shape", "hands").any()


def test_values_are_as_they_are_and_have_velocities_where_they_ask_for_them() -> None:
    layout = FileLayout.of(["pose", {"block": "a", "values": 3, "velocity": True}, {"block": "b", "values": 2}]).layout
    base = _base(layout)
    assert torch.equal(_channel(base, layout, "shape", "values_a"), base[:, 99:102])
    assert torch.equal(_channel(base, layout, "shape", "values_b"), base[:, 102:])
    velocity = _channel(base, layout, "velocity", "values_a")
    assert not velocity[0].any() and torch.equal(velocity[1:], base[1:, 99:102] - base[:-1, 99:102])


@given(spec=block_lists(words=False), seed=st.integers(0, 9))
def test_features_of_any_layout_are_finite_and_know_nothing_of_later_frames(spec: list[BlockSpec], seed: int) -> None:
    layout = FileLayout.of(spec).layout
    base = _base(layout, seed=seed)
    changed = base.clone()
    changed[4:] = 99
    features = expand(base, layout)
    assert features.shape == (6, layout.feature_width) and torch.isfinite(features).all()
    assert torch.equal(features[:4], expand(changed, layout)[:4])


@given(spec=block_lists(words=False), shift=st.floats(-5, 5))
def test_shapes_of_hands_and_faces_and_all_that_moves_do_not_depend_on_the_place(
    spec: list[BlockSpec], shift: float
) -> None:
    layout = FileLayout.of(spec).layout
    base = _base(layout).double()
    for block in layout.blocks:
        if block.channel == "position" or (block.channel == "shape" and block.part not in ("hands", "face")):
            continue
        assert torch.allclose(derive(base + shift, block, layout), derive(base, block, layout), atol=1e-6)


@pytest.mark.parametrize("frames", [1, 2, 3])
@pytest.mark.parametrize("layout", [DEFAULT, TWO_DIMS, UNLIKE, FACES])
def test_very_short_utterances_have_features(frames: int, layout: Layout) -> None:
    assert torch.isfinite(expand(torch.ones(frames, layout.base_width), layout)).all()
