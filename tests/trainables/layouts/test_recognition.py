"""An order of blocks is recognised where points stand twice, and nobody is accused where they do not."""

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pytest
from feature_folder import Values, in_order, with_temporal
from hypothesis import assume, given
from hypothesis import strategies as st
from other_extractors import coco_wholebody, hands
from random_layouts import block_lists

from glosstune.spaces.errors import SettingError
from glosstune.trainables.corpora import FingerspellingCorpus
from glosstune.trainables.layouts.blocks import BlockSpec, names_of
from glosstune.trainables.layouts.layout import FileLayout
from glosstune.trainables.layouts.recognition import Recognition, never_moves, recognise_layout, xy_columns

COCO: dict[str, BlockSpec] = {
    "pose": {"block": "pose", "points": 23, "dims": 2},
    "face": {"block": "face", "points": 68, "dims": 2},
    "left_hand": {"block": "left_hand", "points": 21, "dims": 2},
    "right_hand": {"block": "right_hand", "points": 21, "dims": 2},
}
PARTS = ("pose", "left_hand", "right_hand", "face")
POSE, LEFT, RIGHT, FACE = slice(0, 99), slice(99, 162), slice(162, 225), slice(225, 1629)


@pytest.fixture(scope="module")
def positions() -> list[Values]:
    corpus = FingerspellingCorpus("multi-signer", signers=("ase", "gsg", "psr"), sentences=12)
    return list(corpus.read())


@pytest.fixture(scope="module")
def two_handed(positions: list[Values]) -> list[Values]:
    """The same with the right hand's shape at the left wrist too, since letters need one hand alone."""
    found = []
    for values in positions:
        values = values.copy()
        points = values.reshape(len(values), 543, 3)
        points[:, 33:54] = (points[:, 54:75] - points[:, 54:55]) * [-1, 1, 1] + points[:, 15:16]
        found.append(values)
    return found


def _recognised(samples: Sequence[Values], spec: str | Sequence[BlockSpec]) -> Recognition:
    return recognise_layout(samples, FileLayout.of(spec))


@pytest.mark.parametrize("order", list(permutations(PARTS)))
def test_every_order_of_mediapipe_is_recognised(two_handed: list[Values], order: tuple[str, ...]) -> None:
    found = _recognised([in_order(values, order) for values in two_handed], "base")
    assert found.blocks is not None and found.disagrees == (order != PARTS)
    assert tuple(names_of(found.blocks)) == order


@pytest.mark.parametrize("order", list(permutations(COCO)))
def test_every_order_of_coco_wholebody_is_recognised(two_handed: list[Values], order: tuple[str, ...]) -> None:
    blocks = [COCO[name] for name in order]
    canonical = FileLayout.of("coco-wholebody")
    files = [in_order(coco_wholebody(values)[:, canonical.columns], blocks) for values in two_handed]
    found = _recognised(files, "coco-wholebody")
    assert found.blocks is not None and found.disagrees == (order != tuple(COCO))
    assert tuple(names_of(found.blocks)) == order


@pytest.mark.parametrize("missing", [0.0, np.nan])
def test_a_sound_order_is_not_accused_where_a_hand_was_never_seen(positions: list[Values], missing: float) -> None:
    unseen = [np.where(np.arange(1629) < 162, values, values) for values in positions]
    for values in unseen:
        values[:, LEFT] = missing
    for spec, files in (
        ("base", unseen),
        ("holistic-75", [values[:, :225] for values in unseen]),
        ("coco-wholebody", [coco_wholebody(values) for values in unseen]),
    ):
        found = _recognised(files, spec)
        assert found.blocks is not None and not found.disagrees
        assert found.declared_distance is not None and found.declared_distance < 0.35


@pytest.mark.parametrize("dims", [2, 3])
def test_of_hands_alone_nothing_is_said(two_handed: list[Values], dims: int) -> None:
    files = [hands(values, dims) for values in two_handed]
    for spec in (
        f"hands-{dims}d",
        [COCO["right_hand"], COCO["left_hand"]] if dims == 2 else ["right_hand", "left_hand"],
    ):
        found = _recognised(files, spec)
        assert found.blocks is None and found.declared_distance is None and not found.disagrees


def _padding(values: Values, kept: Sequence[slice], filled: Values) -> Values:
    padded = np.tile(filled, (len(values), 1)).astype(np.float32)
    for part in kept:
        padded[:, part] = values[:, part]
    return padded


CONSTANT = np.random.default_rng(5).uniform(0.2, 0.8, 1629)


@pytest.mark.parametrize("filled", [np.zeros(1629), np.full(1629, 0.5), np.full(1629, np.nan), CONSTANT])
@pytest.mark.parametrize("kept", [[LEFT, RIGHT], [RIGHT], [POSE], [FACE], [POSE, FACE], []])
def test_padding_is_no_order_of_blocks(two_handed: list[Values], kept: list[slice], filled: Values) -> None:
    """Absent parts agree with each other wherever they stand, which says nothing."""
    for scale, shift in ((1, 0), (0.2, 0.5), (0.2, 0)):  # in the frame of reference, of a picture, and from its middle
        files = [_padding(values * scale + shift, kept, filled) for values in two_handed]
        assert not _recognised(files, "base").disagrees
        assert not _recognised([values[:, :225] for values in files], "holistic-75").disagrees
        temporal = [in_order(np.concatenate([each, 0 * each, 0 * each, each], axis=1), "default") for each in files]
        assert not _recognised(temporal, "default").disagrees


def test_a_hand_that_never_moves_is_no_order_of_blocks(two_handed: list[Values]) -> None:
    generator = np.random.default_rng(0)
    for hand in (LEFT, RIGHT):
        for noise in (0.0, 1e-5):
            files = [values[:, :225].copy() for values in two_handed]
            for values in files:
                values[:, hand] = CONSTANT[hand] + noise * generator.normal(size=(len(values), 63))
            found = _recognised(files, "holistic-75")
            assert not found.disagrees and found.pairs <= 2 < found.of
            assert ("left_hand" if hand == LEFT else "right_hand") not in found.compared


def test_landmarks_at_one_place_are_no_hand(positions: list[Values]) -> None:
    """Of a picture, in which somebody has put what was not seen into the middle."""
    files = [values[:, :225] * 0.2 + 0.5 for values in positions]
    assert not _recognised([np.asarray(values, np.float32) for values in files], "holistic-75").disagrees


@pytest.mark.parametrize("filled", [np.zeros(1629), CONSTANT])
def test_padded_coco_wholebody_is_no_order_of_blocks(two_handed: list[Values], filled: Values) -> None:
    for kept in ([LEFT, RIGHT], [POSE], [FACE]):
        files = [coco_wholebody(_padding(values, kept, filled)) for values in two_handed]
        assert not _recognised(files, "coco-wholebody").disagrees


@pytest.mark.slow
def test_a_wrong_order_is_told_though_a_hand_was_never_seen(positions: list[Values]) -> None:
    for order in permutations(PARTS):
        if order == PARTS or order == ("pose", "right_hand", "left_hand", "face"):
            continue
        files = [in_order(values, order) for values in positions]
        assert _recognised(files, "base").disagrees


def test_a_file_of_whole_numbers_takes_nothing_from_the_others(two_handed: list[Values]) -> None:
    whole = np.round(two_handed[0]).astype(np.int16)
    found = _recognised([whole, *two_handed[1:]], "base")  # type: ignore[list-item]  # as a camera's pixels are
    assert found == _recognised([whole.astype(np.float32), *two_handed[1:]], "base") and found.blocks is not None


def test_files_of_another_width_are_recognised_among_the_named_layouts(two_handed: list[Values]) -> None:
    found = _recognised([values[:, :225] for values in two_handed], "base")
    assert found.blocks is not None and found.declared_distance is None and not found.disagrees
    assert tuple(names_of(found.blocks)) == PARTS[:3]


def test_numbers_of_any_kind_have_no_order() -> None:
    values = np.random.default_rng(0).normal(size=(20, 12)).astype(np.float32)
    spec = [{"block": "a", "values": 7}, {"block": "b", "values": 5}]
    for each in (values, values * np.nan):
        found = _recognised([each], spec)
        assert (found.blocks, found.declared_distance, found.channels) == (None, None, ())


def test_huge_and_infinite_values_are_no_order() -> None:
    values = np.random.default_rng(0).normal(size=(20, 1629)).astype(np.float32)
    for wrong in (np.inf, -np.inf, 3e38):
        assert not _recognised([np.where(values > 1, np.float32(wrong), values)], "base").disagrees


def test_shoulders_that_never_move_hide_no_wrong_order(two_handed: list[Values]) -> None:
    # A signer who sits still, or whose extractor has held the shoulders fast; the rest of the pose moves.
    files = []
    for values in two_handed:
        points = values.copy().reshape(len(values), 543, 3)
        points[:, [11, 12]] = points[:1, [11, 12]]
        files.append(in_order(points.reshape(len(values), -1), ("face", "left_hand", "pose", "right_hand")))
    found = _recognised(files, "base")
    assert found.disagrees and names_of(found.blocks or ()) == ["face", "left_hand", "pose", "right_hand"]


@pytest.mark.parametrize("order", list(permutations(PARTS)))
def test_every_order_of_blocks_is_recognised(positions: list[Values], order: tuple[str, ...]) -> None:
    found = recognise_layout([in_order(values, order) for values in positions], FileLayout.of("base"))
    assert found.blocks is not None
    declared = ("pose", "left_hand", "right_hand", "face")
    assert found.disagrees == (order != declared)
    if order != declared:
        assert found.blocks == order


@pytest.mark.parametrize("order", list(permutations(("velocity", "acceleration", "position"))))
def test_what_stands_behind_the_positions_is_recognised(positions: list[Values], order: tuple[str, ...]) -> None:
    blocks = ("pose", "hands", "face", *order)
    found = recognise_layout(
        [in_order(with_temporal(values), blocks) for values in positions], FileLayout.of("default")
    )
    assert found.channels == order


# Whether a frame was seen, and how far each coordinate is moved in it.
FRAMES = st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 1e-5, 0.1])), max_size=8)


@given(st.lists(FRAMES, min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_landmarks_never_move_where_none_of_their_frames_differs(
    files: list[list[tuple[bool, float]]], seed: int
) -> None:
    generator = np.random.default_rng(seed)
    stacked = np.zeros((len(files), 8, 5, 2), np.float32)
    for points, frames in zip(stacked, files, strict=True):
        place = generator.uniform(0.2, 0.8, (5, 2))
        for time, (seen, moved) in enumerate(frames):
            points[time] = seen * (place + moved * generator.choice([-1, 1], (5, 2)))
    together = never_moves(stacked).tolist()
    assert together == [never_moves(points) for points in stacked]
    for still, frames in zip(together, files, strict=True):
        seen = [moved for known, moved in frames if known]
        if len(seen) < 2 or max(seen) < 0.1:
            assert still == (len(seen) > 1)
        elif min(seen) < 0.1:
            assert not still


@given(blocks=block_lists())
def test_x_and_y_of_each_landmark_are_found_in_any_layout(blocks: list[BlockSpec]) -> None:
    try:
        files = FileLayout.of(blocks)
    except SettingError:
        assume(False)
    assume(files.layout.landmark_count)
    frame = np.arange(files.width, dtype=np.float32)[None]
    positions = files.layout.positions(frame[:, files.columns[: files.layout.positions_width]])
    assert np.array_equal(frame[:, xy_columns(files)], positions[..., :2])
