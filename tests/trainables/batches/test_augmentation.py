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
from glosstune.trainables.settings import AUGMENTATIONS

LATER = {"time-masks", "part-dropout"}
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
    for name in ("rotation", "scale"):
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


@pytest.mark.parametrize("name", sorted({"clip-noise", "rotation", "mirror", "scale"}))
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
