"""Positions in a frame of reference, whatever landmarks there are and whichever of them were not seen."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_layouts import block_lists

from glosstune.spaces import CorpusError
from glosstune.trainables.layouts.blocks import BlockSpec
from glosstune.trainables.layouts.geometry import (
    Positions,
    frame_of_reference,
    mirror,
    mirror_order,
    pairs_seen,
    present,
    resample,
    seen_landmarks,
    to_frame,
)
from glosstune.trainables.layouts.layout import DEFAULT, FileLayout, Layout

LEFT_HAND, RIGHT_HAND, FACE = 33, 54, 75
HANDS = FileLayout.of("hands-2d").layout
MIXED = FileLayout.of([{"block": "pose", "points": 17, "dims": 2}, "hands"]).layout
UNKNOWN = FileLayout.of([{"block": "pose", "points": 9, "dims": 3}]).layout
SHOULDERLESS = {"face": ["face", "left_hand"], "pose": [{"block": "pose", "points": 9}, "hands"], "hands": "hands-3d"}


def _positions(frames: int = 6, layout: Layout = DEFAULT, seed: int = 0) -> Positions:
    generator = np.random.default_rng(seed)
    base = generator.uniform(0.2, 0.8, size=(frames, layout.base_width)).astype(np.float32)
    return layout.positions(base)


def _framed(positions: npt.NDArray[np.float32], layout: Layout = DEFAULT) -> Positions:
    return to_frame(positions, seen_landmarks(positions, layout, zeros=True), layout)


@given(scale=st.floats(0.1, 1000), shift=st.floats(-100, 100))
def test_shoulder_frame_does_not_depend_on_camera_distance_and_place(scale: float, shift: float) -> None:
    positions = _positions()
    moved = (positions * np.float32(scale) + np.float32(shift)).astype(np.float32)
    # float32 keeps fewer digits of small landmarks beside a large shift
    tolerance = 1e-3 + 1e-4 * abs(shift) / scale
    assert np.allclose(_framed(moved), _framed(positions), atol=tolerance)


@pytest.mark.parametrize("spec", ["hands-2d", "hands-3d", "coco-wholebody", "ntu-25", *SHOULDERLESS.values()])
def test_every_frame_of_reference_follows_the_signer(spec: str | list[BlockSpec]) -> None:
    layout = FileLayout.of(spec).layout
    positions = _positions(layout=layout)
    moved = (positions * 300 + 50).astype(np.float32)
    assert np.allclose(_framed(moved, layout), _framed(positions, layout), atol=1e-2)


@pytest.mark.parametrize("part", SHOULDERLESS)
def test_without_shoulders_the_frame_is_that_of_the_steadiest_part(part: str) -> None:
    layout = FileLayout.of(SHOULDERLESS[part]).layout
    assert frame_of_reference(layout) == part
    framed = _framed(np.repeat(_positions(1, layout), 4, axis=0), layout)
    middles = [framed[:, each.span].mean(axis=(0, 1)) for each in layout.landmarks if each.part == part]
    assert np.allclose(np.median(middles, axis=0), 0, atol=1e-4)


def test_hands_are_measured_by_themselves_beside_a_single_point() -> None:
    layout = FileLayout.of([{"block": "pose", "points": 1, "dims": 2}, *FileLayout.of("hands-2d").written]).layout
    assert frame_of_reference(layout) == "hands"
    assert np.isfinite(_framed(_positions(layout=layout), layout)).all()


def test_shoulders_and_values_alone_have_their_own_frames() -> None:
    assert frame_of_reference(DEFAULT) == frame_of_reference(MIXED) == "shoulders"
    assert frame_of_reference(FileLayout.of([{"block": "a", "values": 2}]).layout) == ""


def test_hands_alone_are_about_as_large_as_beside_shoulders() -> None:
    # Eight times the mean distance from its middle is what a shoulder width is to a hand.
    framed = _framed(_positions(20, HANDS), HANDS)
    sizes = [framed[:, each.span] - framed[:, each.span].mean(axis=1, keepdims=True) for each in HANDS.landmarks]
    assert np.linalg.norm(np.concatenate(sizes), axis=-1).mean() == pytest.approx(1 / 8, rel=0.1)


def test_a_hand_lost_for_some_frames_moves_straight_on_and_an_unseen_hand_is_zero() -> None:
    positions = _positions(5)
    positions[1:3, RIGHT_HAND : RIGHT_HAND + 21] = 0
    positions[:, LEFT_HAND : LEFT_HAND + 21] = 0
    framed = _framed(positions)
    right = framed[:, RIGHT_HAND]
    assert np.allclose(right[1], right[0] * 2 / 3 + right[3] / 3, atol=1e-5)
    assert not framed[:, LEFT_HAND : LEFT_HAND + 21].any()


@pytest.mark.parametrize("missing", [0.0, np.nan])
@pytest.mark.parametrize("layout", [DEFAULT, HANDS, MIXED])
def test_zeros_and_nan_of_a_part_are_the_same(layout: Layout, missing: float) -> None:
    positions = _positions(5, layout)
    hand = next(each.span for each in layout.landmarks if each.part == "hands")
    positions[1:3, hand] = missing
    seen = seen_landmarks(positions, layout, zeros=True)
    assert not seen[1:3, hand].any() and seen.sum() == seen.size - 2 * 21
    framed = to_frame(positions, seen, layout)
    assert np.isfinite(framed).all()
    assert np.allclose(framed[1, hand], framed[0, hand] * 2 / 3 + framed[3, hand] / 3, atol=1e-5)


def test_zeros_are_places_like_others_where_only_nan_was_not_seen() -> None:
    positions = _positions(3, HANDS)
    positions[1, :21] = 0
    positions[2, 4] = np.nan
    seen = seen_landmarks(positions, HANDS, zeros=False)
    assert np.argwhere(~seen).tolist() == [[2, 4]]
    assert not seen_landmarks(positions, HANDS, zeros=True)[1, :21].any()


def test_one_coordinate_of_nan_hides_its_landmark_alone() -> None:
    positions = _positions(5)
    positions[2, RIGHT_HAND + 3, 1] = np.nan
    seen = seen_landmarks(positions, DEFAULT, zeros=True)
    assert np.argwhere(~seen).tolist() == [[2, RIGHT_HAND + 3]]
    framed = to_frame(positions, seen, DEFAULT)
    assert np.allclose(framed[2, RIGHT_HAND + 3], framed[[1, 3], RIGHT_HAND + 3].mean(axis=0), atol=1e-5)


def test_one_landmark_of_nan_in_a_pose_was_not_seen() -> None:
    positions = _positions(5)
    positions[2, 15] = np.nan
    seen = seen_landmarks(positions, DEFAULT, zeros=True)
    assert np.argwhere(~seen).tolist() == [[2, 15]]
    assert np.argwhere(~seen_landmarks(positions, DEFAULT, zeros=False)).tolist() == [[2, 15]]
    framed = to_frame(positions, seen, DEFAULT)
    assert np.allclose(framed[2, 15], framed[[1, 3], 15].mean(axis=0), atol=1e-5)


def test_one_landmark_of_zeros_was_not_seen_where_extractors_leave_out_single_ones() -> None:
    # OpenPose and RTMPose write 0 for a landmark that they are not sure of; MediaPipe's pose has all of them or none.
    layout = FileLayout.of("openpose-137-2d").layout
    positions = _positions(5, layout)
    positions[2, [4, 60]] = 0
    assert np.argwhere(~seen_landmarks(positions, layout, zeros=True)).tolist() == [[2, 4], [2, 60]]
    positions = _positions(5)
    positions[2, 15] = 0
    assert seen_landmarks(positions, DEFAULT, zeros=True).all()


def test_a_landmark_of_nan_was_not_seen_though_the_rest_of_its_pose_was() -> None:
    positions = _positions(5)
    positions[2, 15] = np.nan
    seen = seen_landmarks(positions, DEFAULT, zeros=True)
    assert np.argwhere(~seen).tolist() == [[2, 15]]
    framed = to_frame(positions, seen, DEFAULT)
    assert np.allclose(framed[2, 15], framed[[1, 3], 15].mean(axis=0), atol=1e-5)


def test_a_wrist_that_hands_are_measured_from_was_seen_wherever_its_hand_was() -> None:
    positions = _positions(4, HANDS)
    positions[:, :21] -= positions[:, :1]
    positions[:, 21:] -= positions[:, 21:22]
    positions[3, 21:] = 0
    seen = seen_landmarks(positions, HANDS, zeros=True)
    assert seen[:3].all() and seen[3, :21].all() and not seen[3, 21:].any()
    framed = to_frame(positions, seen, HANDS)
    assert np.isfinite(framed).all()
    # Both wrists lie at one place, wherever that is in the frame of reference.
    assert np.allclose(framed[:, 0], framed[0, 0], atol=1e-5) and np.allclose(framed[:, 21], framed[0, 0], atol=1e-5)


def test_a_wrist_of_zeros_now_and_then_was_not_seen() -> None:
    positions = _positions(4, HANDS)
    positions[1, 0] = 0
    assert np.argwhere(~seen_landmarks(positions, HANDS, zeros=True)).tolist() == [[1, 0]]


def test_frames_without_face_or_shoulders_make_no_jump() -> None:
    positions = np.repeat(_positions(1), 5, axis=0)
    positions[2, FACE:] = 0
    positions[3, :33] = 0
    assert np.allclose(_framed(positions), _framed(positions[:1]), atol=1e-5)


@pytest.mark.parametrize(
    ("layout", "hidden", "told"),
    [
        (DEFAULT, slice(11, 13), "no frame shows the shoulders"),
        (FileLayout.of("coco-wholebody").layout, slice(5, 6), "no frame shows the shoulders"),
        (HANDS, slice(0, 42), "no frame shows a hand, which positions are measured from"),
        (UNKNOWN, slice(0, 9), "no frame shows the pose, which positions are measured from"),
        (FileLayout.of(["face"]).layout, slice(0, 468), "no frame shows the face, which positions are measured from"),
    ],
)
def test_positions_without_what_they_are_measured_from_are_refused(layout: Layout, hidden: slice, told: str) -> None:
    for missing in (0.0, np.nan):
        positions = _positions(layout=layout)
        positions[:, hidden] = missing
        with pytest.raises(CorpusError, match=told):
            _framed(positions, layout)


def test_hands_that_are_points_have_no_size_to_measure_by() -> None:
    with pytest.raises(CorpusError, match="a hand has no extent in any frame"):
        _framed(np.ones((3, 42, 2), np.float32), HANDS)


@given(spec=block_lists(words=False), missing=st.sampled_from([0.0, np.nan]), seed=st.integers(0, 99))
def test_whatever_was_not_seen_positions_are_numbers_or_refused(
    spec: list[BlockSpec], missing: float, seed: int
) -> None:
    layout = FileLayout.of(spec).layout
    if not layout.points:
        return
    positions = _positions(5, layout, seed)
    hidden = np.random.default_rng(seed).random(positions.shape[:2]) < seed / 100
    positions[hidden] = missing
    seen = seen_landmarks(positions, layout, zeros=True)
    try:
        framed = to_frame(positions, seen, layout)
    except CorpusError:
        return
    assert framed.shape == positions.shape and np.isfinite(framed).all()
    for each in layout.landmarks:
        never = ~seen[:, each.span].any(axis=0)
        assert not framed[:, each.span][:, never].any()


def test_a_hand_without_extent_is_not_there() -> None:
    framed = _framed(_positions())
    framed[:, LEFT_HAND:RIGHT_HAND] = 0
    assert np.flatnonzero(~present(framed, DEFAULT)).tolist() == list(range(LEFT_HAND, RIGHT_HAND))


def test_a_landmark_that_was_never_seen_is_not_there() -> None:
    layout = FileLayout.of("coco-wholebody").layout
    positions = _positions(layout=layout)
    positions[:, [3, 7]] = 0
    assert np.flatnonzero(~present(_framed(positions, layout), layout)).tolist() == [3, 7]


def test_mirroring_twice_gives_the_signer_back() -> None:
    framed = _framed(_positions())
    half = np.random.default_rng(1).uniform(size=(234, 3)).astype(np.float32)
    mean = framed.mean(axis=0)
    mean[FACE:] = np.concatenate([half, half * [-1, 1, 1]])
    order = mirror_order(DEFAULT, mean)
    assert np.array_equal(order[FACE:], FACE + np.r_[234:468, 0:234])
    once = mirror(framed, order)
    assert np.array_equal(once[:, RIGHT_HAND], framed[:, LEFT_HAND] * np.float32([-1, 1, 1]))
    assert np.array_equal(mirror(once, order), framed)


@given(spec=block_lists(words=False), seed=st.integers(0, 9))
def test_mirrors_of_any_layout_lead_back(spec: list[BlockSpec], seed: int) -> None:
    layout = FileLayout.of(spec).layout
    if not layout.points:
        return
    framed = _positions(3, layout, seed)
    order = mirror_order(layout, framed.mean(axis=0))
    assert np.array_equal(mirror(mirror(framed, order), order), framed)
    # What has no depth takes its place in the mirror from what has none either.
    for each in layout.landmarks:
        assert not mirror(framed, order)[:, each.span, each.dims :].any()


@pytest.mark.parametrize("names", [("left", "right"), ("hand_left", "hand_right"), ("lh", "rh")])
def test_two_hands_change_places_in_a_mirror_whatever_they_are_called(names: tuple[str, str]) -> None:
    layout = FileLayout.of([{"block": name, "points": 21, "dims": 2, "part": "hands"} for name in names]).layout
    order = mirror_order(layout, np.zeros((42, 2), np.float32))
    assert np.array_equal(order, np.r_[21:42, 0:21])


def test_hands_of_several_signers_change_places_with_their_own() -> None:
    names = ("left_hand_of_a", "right_hand_of_a", "left_hand_of_b", "right_hand_of_b", "third")
    layout = FileLayout.of([{"block": name, "points": 21, "dims": 2, "part": "hands"} for name in names]).layout
    starts = mirror_order(layout, np.zeros((105, 2), np.float32))[::21]
    assert starts.tolist() == [21, 0, 63, 42, 84]


def test_hands_of_unlike_forms_do_not_change_places() -> None:
    right = {"block": "right_hand", "points": 20, "dims": 3}
    layout = FileLayout.of([{"block": "left_hand", "points": 21, "dims": 3}, right]).layout
    order = mirror_order(layout, np.zeros((41, 3), np.float32))
    assert np.array_equal(order, np.arange(41))


def test_pairs_of_unknown_landmarks_are_seen_from_where_they_are() -> None:
    mean = np.array([[-1, 0], [0, 5], [1, 0.1], [0.5, 9], [-0.4, 9]], np.float32)
    assert pairs_seen(mean).tolist() == [2, 1, 0, 4, 3]


@given(rate=st.floats(0.3, 3.0), frames=st.integers(1, 40))
def test_resampling_keeps_first_and_last_frame(rate: float, frames: int) -> None:
    values = np.arange(frames, dtype=np.float32)[:, None]
    played = resample(values, rate)
    assert len(played) == max(2, round(frames / rate))
    assert played[0] == 0 and played[-1] == frames - 1
    assert (np.diff(played[:, 0]) >= 0).all()
