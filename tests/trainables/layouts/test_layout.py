"""Whatever the order of the blocks in a file, models read each number once, and in the same place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_layouts import block_lists

from glosstune.models.layers.modalities import MODALITY_WIDTHS
from glosstune.spaces import SettingError
from glosstune.trainables.layouts.blocks import LAYOUTS, PARTS, BlockSpec, PointsBlock, ValuesBlock
from glosstune.trainables.layouts.layout import DEFAULT, FileLayout, Layout

ORDERS = st.permutations(["pose", "left_hand", "right_hand", "face"])
WIDTHS = {"pose": 99, "left_hand": 63, "right_hand": 63, "face": 1404}


def test_widths_are_those_of_the_known_extractors() -> None:
    assert {name: FileLayout.of(name).width for name in LAYOUTS} == {
        "default": 6516,
        "split-hands": 6516,
        "base": 1629,
        "holistic": 1662,
        "holistic-478": 1692,
        "landmarks-543": 2172,
        "face-first-543": 1629,
        "holistic-75": 225,
        "holistic-75-2d": 150,
        "pose-hands": 258,
        "hands-2d": 84,
        "hands-3d": 126,
        "coco-wholebody": 266,
        "coco-wholebody-score": 399,
        "coco-wholebody-3d": 399,
        "coco-wholebody-3d-score": 532,
        "openpose-137": 411,
        "openpose-137-2d": 274,
        "openpose-135": 405,
        "openpose-135-2d": 270,
        "ntu-25": 75,
    }


def test_the_default_layout_is_what_models_have_always_read() -> None:
    default = FileLayout.of("default")
    assert np.array_equal(default.columns, np.arange(6516))
    assert default.layout == DEFAULT and (DEFAULT.base_width, DEFAULT.feature_width) == (1629, 6516)
    assert DEFAULT.modalities == MODALITY_WIDTHS == {"pose": 99, "hands": 126, "face": 1404, "temporal": 4887}
    assert list(DEFAULT.modalities) == list(MODALITY_WIDTHS)
    assert DEFAULT.parts == {"pose": slice(0, 99), "hands": slice(99, 225), "face": slice(225, 1629)}


@pytest.mark.parametrize("name", ["default", "split-hands", "base", "holistic", "holistic-478", "face-first-543"])
def test_layouts_of_the_same_landmarks_are_read_as_the_same(name: str) -> None:
    assert FileLayout.of(name).layout == DEFAULT


@given(ORDERS)
def test_every_order_of_parts_leads_to_the_same_base_values(order: list[str]) -> None:
    file = np.concatenate([np.full(WIDTHS[part], index) for index, part in enumerate(order)])
    canonical = file[FileLayout.of(order).columns]
    assert np.array_equal(canonical, np.repeat([order.index(part) for part in WIDTHS], list(WIDTHS.values())))


@given(ORDERS)
def test_temporal_blocks_follow_the_order_of_the_base_blocks(order: list[str]) -> None:
    base = np.concatenate([np.full(WIDTHS[part], index) for index, part in enumerate(order)])
    file = np.concatenate([base, base + 10, base + 20, base + 30])
    channels = np.split(file[FileLayout.of([*order, "temporal"]).columns], 4)
    for index, channel in enumerate(channels):
        assert np.array_equal(channel, channels[0] + 10 * index)


@given(ORDERS)
def test_visibility_is_dropped(order: list[str]) -> None:
    landmarks = np.tile([0, 1, 2, -1], 543)
    columns = FileLayout.of([f"{part}+visibility" for part in order]).columns
    assert np.array_equal(landmarks[columns], np.tile([0, 1, 2], 543))


def test_confidences_that_are_kept_stand_behind_all_points_as_values() -> None:
    body = {"block": "pose", "points": 17, "dims": 2, "confidence": "keep"}
    layout = FileLayout.of([{"block": "video", "values": 2}, body, {"block": "left_hand", "points": 21}])
    file = np.concatenate([[-2, -2], np.tile([1, 2, -1], 17), np.tile([3, 4, 5], 21)])
    assert layout.width == len(file) == 116
    assert file[layout.columns].tolist() == [1, 2] * 17 + [3, 4, 5] * 21 + [-2, -2] + [-1] * 17
    assert list(layout.layout.modalities) == ["pose", "hands", "values_video", "values_pose_confidence", "temporal"]


def test_landmarks_that_nobody_uses_are_left_out() -> None:
    file = np.concatenate([np.zeros(99), np.ones(468 * 3), np.full(30, -1)])
    columns = FileLayout.of(["pose", {"block": "face", "points": 478, "use": 468}]).columns
    assert file[columns].tolist() == [0] * 99 + [1] * 1404


def test_blocks_of_values_have_no_channels_but_the_velocity_that_they_ask_for() -> None:
    layout = FileLayout.of([{"block": "a", "values": 3, "velocity": True}, {"block": "b", "values": 2}]).layout
    assert [(block.channel, block.part) for block in layout.blocks] == [
        ("shape", "values_a"),
        ("shape", "values_b"),
        ("velocity", "values_a"),
    ]
    assert layout.modalities == {"values_a": 3, "values_b": 2, "temporal": 3}
    assert FileLayout.of([{"block": "b", "values": 2}]).layout.modalities == {"values_b": 2}


def _places(blocks: FileLayout) -> dict[tuple[str, int, int], int]:
    """The column of a file for each number that models are to read, by block, landmark and coordinate."""
    places, start = {}, 0
    for block in blocks.blocks:
        if isinstance(block, PointsBlock):
            size = block.dims + (block.confidence != "none")
            taken = size if block.confidence == "keep" else block.dims
            places |= {
                (block.name, point, axis): start + point * size + axis
                for point in range(block.use)
                for axis in range(taken)
            }
            start += block.width
        elif isinstance(block, ValuesBlock):
            places |= {(block.name, 0, value): start + value for value in range(block.values)}
            start += block.width
    return places


@given(block_lists())
def test_every_number_that_is_used_is_read_once(spec: list[BlockSpec]) -> None:
    files = FileLayout.of(spec)
    columns, layout = files.columns, files.layout
    assert len(columns) == files.stored_width and len(set(columns.tolist())) == len(columns)
    assert not len(columns) or (columns.min() >= 0 and columns.max() < files.width)
    if files.ready:
        assert sorted(columns.tolist()) == list(range(files.width)) or any(
            b.confidence == "drop" for b in _points(files)
        )
    else:
        assert sorted(columns.tolist()) == sorted(_places(files).values())
    places, read = _places(files), columns.tolist()
    for block in layout.landmarks:
        own = [
            places[block.name, n, axis] for n in range(block.span.stop - block.span.start) for axis in range(block.dims)
        ]
        start = sum(
            each.points * each.dims for each in layout.points[: [b.name for b in layout.points].index(block.name)]
        )
        assert read[start : start + len(own)] == own


def _points(files: FileLayout) -> list[PointsBlock]:
    return [block for block in files.blocks if isinstance(block, PointsBlock)]


@given(block_lists())
def test_modalities_parts_and_blocks_cover_what_they_are_of(spec: list[BlockSpec]) -> None:
    layout = FileLayout.of(spec).layout
    assert sum(layout.modalities.values()) == layout.feature_width
    assert [name for name in layout.modalities if name in PARTS] == [part for part in PARTS if part in layout.parts]
    features = [place for block in layout.blocks for place in range(block.features.start, block.features.stop)]
    base = [place for span in layout.parts.values() for place in range(span.start, span.stop)]
    assert features == list(range(layout.feature_width)) and base == list(range(layout.base_width))
    for block in layout.blocks:
        assert block.base == layout.parts[block.part]
        assert block.features.stop - block.features.start == block.base.stop - block.base.start


@given(block_lists())
def test_a_layout_that_is_recorded_is_read_as_the_same(spec: list[BlockSpec]) -> None:
    layout = FileLayout.of(spec).layout
    assert Layout.read(layout.recorded) == layout
    assert Layout.read(layout.recorded).recorded == layout.recorded


@given(block_lists())
def test_positions_are_the_landmarks_of_base_values_and_lead_back(spec: list[BlockSpec]) -> None:
    layout = FileLayout.of(spec).layout
    base = np.arange(2 * layout.base_width, dtype=np.float32).reshape(2, -1) + 1
    positions = layout.positions(base)
    assert positions.shape == (2, layout.landmark_count, layout.dims)
    assert np.array_equal(layout.flat(positions), base[:, : layout.positions_width])
    for block in layout.landmarks:
        assert not positions[:, block.span, block.dims :].any()  # no depth where files have none
        assert positions[:, block.span, : block.dims].all()


@pytest.mark.parametrize(
    "recorded", [[], [3], [{"block": "pose"}], [{"block": "a", "part": "values_a", "values": -1}], "x"]
)
def test_what_no_layout_has_recorded_is_refused(recorded: object) -> None:
    with pytest.raises(SettingError):
        Layout.read(recorded)  # type: ignore[arg-type]  # as a broken file might hold it
