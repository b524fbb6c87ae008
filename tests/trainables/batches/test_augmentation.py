"""Augmentations of layouts other than the default one: in two dimensions, without shoulders, of values."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_layouts import block_lists

from glosstune.trainables.batches.augmentation import Frames, augment_frames, mask_features
from glosstune.trainables.layouts.blocks import PARTS, BlockSpec
from glosstune.trainables.layouts.derivation import expand
from glosstune.trainables.layouts.geometry import mirror_order
from glosstune.trainables.layouts.layout import DEFAULT, FileLayout, Layout
from glosstune.trainables.settings import AUGMENTATIONS, GEOMETRIC, augmentations

LATER = {"time-masks", "part-dropout"}
MOVING = {"mirror", "rotation", "proportions", "scale", "place", "clip-noise"}
HANDS = FileLayout.of("hands-2d").layout
VIDEO = {"block": "video", "values": 4, "velocity": True}
HANDS_AND_VIDEO = FileLayout.of([VIDEO, *FileLayout.of("hands-2d").written]).layout
VIDEO_ALONE = FileLayout.of([VIDEO]).layout
MIXED = FileLayout.of([{"block": "pose", "points": 17, "dims": 2}, "hands"]).layout


def _frames(layout: Layout, frames: int = 12, seed: int = 0) -> Frames:
    return np.random.default_rng(seed).normal(size=(frames, layout.base_width)).astype(np.float32)


def _statistics(layout: Layout, frames: Frames) -> dict[str, np.ndarray]:
    positions = layout.positions(frames)
    order = mirror_order(layout, positions.mean(axis=0)) if layout.points else np.zeros(0, np.int64)
    features = expand(torch.from_numpy(frames), layout)
    return {"deviation": features.std(0, correction=0).numpy(), "mirror_order": order}


def _augmented(layout: Layout, frames: Frames, name: str, seed: int) -> Frames:
    return augment_frames(frames.copy(), {name}, layout, _statistics(layout, frames), np.random.default_rng(seed))


def _mirrored(layout: Layout, frames: Frames) -> Frames:
    draws = [_augmented(layout, frames, "mirror", seed) for seed in range(8)]
    changed = [draw for draw in draws if not np.array_equal(draw, frames)]
    assert 0 < len(changed) < 8 and all(np.array_equal(each, changed[0]) for each in changed)
    return changed[0]


@pytest.mark.parametrize("layout", [HANDS, MIXED, FileLayout.of("coco-wholebody").layout])
def test_a_mirror_gives_each_hand_the_others_place(layout: Layout) -> None:
    frames = _frames(layout)
    before, after = layout.positions(frames), layout.positions(_mirrored(layout, frames))
    left, right = (each.span for each in layout.landmarks if each.part == "hands")
    flip = np.float32([-1, 1, 1][: layout.dims])
    assert np.array_equal(after[:, left], before[:, right] * flip)
    assert np.array_equal(after[:, right], before[:, left] * flip)


def test_a_mirror_and_a_turn_leave_values_alone() -> None:
    frames = _frames(HANDS_AND_VIDEO)
    assert np.array_equal(_mirrored(HANDS_AND_VIDEO, frames)[:, 84:], frames[:, 84:])
    for name in ("rotation", "proportions", "scale", "place"):
        changed = _augmented(HANDS_AND_VIDEO, frames, name, 0)
        assert np.array_equal(changed[:, 84:], frames[:, 84:]) and not np.allclose(changed[:, :84], frames[:, :84])
        assert np.array_equal(_augmented(VIDEO_ALONE, _frames(VIDEO_ALONE), name, 0), _frames(VIDEO_ALONE))


@pytest.mark.parametrize("layout", [HANDS, HANDS_AND_VIDEO, VIDEO_ALONE, MIXED])
def test_noise_of_a_clip_stays_the_same_over_time(layout: Layout) -> None:
    frames = _frames(layout)
    noise = _augmented(layout, frames, "clip-noise", 1) - frames
    assert np.allclose(noise, noise[0], atol=1e-5)
    assert (np.abs(noise[0]) > 1e-6).all()


def test_noise_of_values_is_as_loud_as_they_are_and_none_where_they_stand_still() -> None:
    frames = _frames(VIDEO_ALONE, 50) * np.float32([1, 1000, 0, 1])
    noise = np.array([_augmented(VIDEO_ALONE, frames, "clip-noise", seed)[0] - frames[0] for seed in range(200)])
    assert np.allclose(noise.std(axis=0) / np.maximum(frames.std(axis=0), 1e-9), [0.1, 0.1, 0, 0.1], rtol=0.3)


def test_other_proportions_are_those_of_the_whole_clip_and_hands_keep_their_wrists_beside_the_pose() -> None:
    frames = _frames(HANDS)
    before, after = (HANDS.positions(each) for each in (frames, _augmented(HANDS, frames, "proportions", 3)))
    for each in HANDS.landmarks:
        wrists = [points[:, each.span.start] for points in (before, after)]
        stretched = wrists[1] / wrists[0]
        assert np.allclose(stretched, stretched[0], atol=1e-4) and np.isclose(stretched[0, 1], 1)
        shapes = [points[:, each.span] - points[:, each.span][:, :1] for points in (before, after)]
        matrix, *_ = np.linalg.lstsq(shapes[0].reshape(-1, 2), shapes[1].reshape(-1, 2), rcond=None)
        assert np.allclose(shapes[0] @ matrix, shapes[1], atol=1e-4) and not np.allclose(matrix, np.eye(2), atol=1e-2)


def test_signing_in_another_place_moves_every_frame_alike_and_each_hand_by_itself() -> None:
    frames = _frames(MIXED)
    moves = MIXED.positions(_augmented(MIXED, frames, "place", 3)) - MIXED.positions(frames)
    assert np.allclose(moves, moves[0], atol=1e-5)
    spans = [each.span for each in MIXED.landmarks]
    assert all(np.allclose(moves[0, span], moves[0, span.start], atol=1e-5) for span in spans)
    assert len({round(float(moves[0, span.start, 0]), 4) for span in spans}) == len(spans)


@given(seed=st.integers(0, 99), count=st.integers(2, 40))
def test_a_hand_that_is_lost_moves_in_straight_lines_between_what_was_seen(seed: int, count: int) -> None:
    frames = _frames(HANDS, count)
    before, after = (HANDS.positions(each) for each in (frames, _augmented(HANDS, frames, "hand-gaps", seed)))
    for each in HANDS.landmarks:
        kept = (before[:, each.span] == after[:, each.span]).all(axis=(1, 2))
        inside = [place for place in range(1, count - 1) if not kept[place - 1 : place + 2].any()]
        bends = np.abs(np.diff(after[:, each.span], n=2, axis=0)).max(axis=(1, 2))
        assert all(bends[place - 1] < 1e-3 for place in inside)
        if not kept[0]:  # nothing was seen before it
            assert np.allclose(after[0, each.span], after[1, each.span])


def test_lost_hands_of_ready_features_have_the_velocity_of_their_lines() -> None:
    frames = expand(torch.from_numpy(_frames(DEFAULT, 30)), DEFAULT).numpy()
    width, left = DEFAULT.positions_width, slice(99, 162)
    right: list[bool] = []
    for seed in range(9):
        lost = _augmented(DEFAULT, frames, "hand-gaps", seed)
        shape, velocity, acceleration, _ = lost.reshape(30, 4, width)[:, :, left].swapaxes(0, 1)
        straight = (acceleration == 0).all(axis=1)
        for place in np.flatnonzero(straight[3:] & straight[2:-1]) + 3:
            right.append(np.allclose(shape[place] - shape[place - 1], velocity[place], atol=1e-4))
    assert len(right) > 20 and all(right)


@given(seed=st.integers(0, 99), count=st.integers(2, 120))
def test_another_rhythm_keeps_order_and_ends(seed: int, count: int) -> None:
    frames = np.repeat(np.arange(count, dtype=np.float32)[:, None], HANDS_AND_VIDEO.base_width, axis=1)
    played = _augmented(HANDS_AND_VIDEO, frames, "rhythm", seed)
    assert np.array_equal(played, np.repeat(played[:, :1], HANDS_AND_VIDEO.base_width, axis=1))
    assert played[0, 0] == 0 and np.isclose(played[-1, 0], count - 1) and (np.diff(played[:, 0]) > 0).all()
    assert 0.3 * count < len(played) < 3 * count


def test_velocities_follow_the_rhythm() -> None:
    frames = np.zeros((200, DEFAULT.feature_width), np.float32)
    width = DEFAULT.positions_width
    frames[:, :width] = np.arange(200, dtype=np.float32)[:, None]
    frames[:, width : 2 * width] = 1
    played = _augmented(DEFAULT, frames, "rhythm", 1)
    assert np.allclose(np.diff(played[:, 0]), played[1:, width], rtol=0.1)
    assert np.ptp(played[:, width]) > 0.1


def test_a_turn_in_the_plane_keeps_distances_and_a_hand_turns_about_its_wrist() -> None:
    frames = _frames(HANDS)
    before = HANDS.positions(frames)
    after = HANDS.positions(_augmented(HANDS, frames, "rotation", 3))
    for each in HANDS.landmarks:
        lengths = [
            np.linalg.norm(points[:, each.span] - points[:, each.span][:, :1], axis=-1) for points in (before, after)
        ]
        assert np.allclose(*lengths, atol=1e-4)
        assert np.allclose(
            *(np.linalg.norm(points[:, each.span.start], axis=-1) for points in (before, after)), atol=1e-4
        )
    assert not np.allclose(before, after, atol=1e-2)


def test_where_any_block_has_no_depth_nothing_turns_out_of_the_plane() -> None:
    frames = _frames(MIXED)
    depth = [MIXED.positions(each)[..., 2] for each in (frames, _augmented(MIXED, frames, "rotation", 3))]
    assert np.allclose(*depth, atol=1e-5)


@pytest.mark.parametrize("name", sorted({*MOVING, "hand-gaps"}))
def test_hands_in_two_dimensions_that_were_never_seen_stay_unseen(name: str) -> None:
    frames = _frames(HANDS)
    frames[:, :42] = 0
    for seed in range(4):
        positions = HANDS.positions(_augmented(HANDS, frames, name, seed))
        extents = [np.ptp(positions[:, each.span], axis=1).max() for each in HANDS.landmarks]
        assert min(extents) < 1e-5 < max(extents)


def test_speed_plays_values_and_landmarks_alike() -> None:
    frames = np.repeat(np.arange(40, dtype=np.float32)[:, None], HANDS_AND_VIDEO.base_width, axis=1)
    fast = _augmented(HANDS_AND_VIDEO, frames, "speed", 1)
    assert len(fast) != 40 and np.array_equal(fast, np.repeat(fast[:, :1], HANDS_AND_VIDEO.base_width, axis=1))


@given(spec=block_lists(words=False), seed=st.integers(0, 9))
def test_any_layout_is_augmented_to_the_same_width_by_its_seed_alone(spec: list[BlockSpec], seed: int) -> None:
    layout = FileLayout.of(spec).layout
    base = _frames(layout, seed=seed)
    full = expand(torch.from_numpy(base), layout).numpy()
    statistics = _statistics(layout, base)
    for frames in (base, full) if not layout.values else (base,):
        kept = frames.copy()
        first, again = (
            augment_frames(frames, set(AUGMENTATIONS) - LATER, layout, statistics, np.random.default_rng(seed))
            for _ in range(2)
        )
        assert first.shape[1] == frames.shape[1] and first.dtype == np.float32 and np.isfinite(first).all()
        assert np.array_equal(first, again) and np.array_equal(frames, kept)


@given(spec=block_lists(words=False), seed=st.integers(0, 9))
def test_masks_silence_blocks_of_any_layout_whole(spec: list[BlockSpec], seed: int) -> None:
    layout = FileLayout.of(spec).layout
    features = torch.ones(2, 9, layout.feature_width)
    mask_features(features, torch.tensor([9, 5]), {"part-dropout"}, layout, np.random.default_rng(seed))
    for utterance in features:
        for block in layout.blocks:
            assert len(utterance[:, block.features].unique()) == 1


def test_the_default_layout_has_what_augmentations_take_for_granted() -> None:
    assert not DEFAULT.planar and DEFAULT.dims == 3 and all(block.part in PARTS for block in DEFAULT.blocks)


def test_auto_moves_landmarks_only_where_their_positions_are_known() -> None:
    assert set(GEOMETRIC) & augmentations("auto", positions=True) and "hand-gaps" in augmentations("auto", True)
    assert augmentations("auto", positions=False) == frozenset() == augmentations("none", positions=True)
    assert augmentations("speed+place", positions=False) == {"speed", "place"}
