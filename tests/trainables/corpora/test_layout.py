import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glosstune.spaces import SettingError
from glosstune.trainables.corpora.layout import (
    BASE_WIDTH,
    BLOCK_WIDTHS,
    FULL_WIDTH,
    LAYOUTS,
    canonical_columns,
    layout_blocks,
    layout_width,
)

ORDERS = st.permutations(["pose", "left_hand", "right_hand", "face"])


def test_widths_are_those_of_the_known_extractors() -> None:
    widths = {name: layout_width(name) for name in LAYOUTS}
    assert widths == {"default": 6516, "split-hands": 6516, "base": 1629, "holistic": 1662, "landmarks-543": 2172}


def test_default_layout_is_already_canonical() -> None:
    assert np.array_equal(canonical_columns("default"), np.arange(FULL_WIDTH))


@given(ORDERS)
def test_every_order_of_parts_leads_to_the_same_base_values(order: list[str]) -> None:
    file = np.concatenate([np.full(BLOCK_WIDTHS[part], index) for index, part in enumerate(order)])
    canonical = file[canonical_columns(order)]
    expected = [order.index(part) for part in ("pose", "left_hand", "right_hand", "face")]
    widths = [99, 63, 63, 1404]
    assert np.array_equal(canonical, np.repeat(expected, widths))


@given(ORDERS)
def test_temporal_blocks_follow_the_order_of_the_base_blocks(order: list[str]) -> None:
    base = np.concatenate([np.full(BLOCK_WIDTHS[part], index) for index, part in enumerate(order)])
    file = np.concatenate([base, base + 10, base + 20, base + 30])
    channels = np.split(file[canonical_columns([*order, "temporal"])], 4)
    for index, channel in enumerate(channels):
        assert np.array_equal(channel, channels[0] + 10 * index)


@given(ORDERS)
def test_visibility_is_dropped(order: list[str]) -> None:
    landmarks = np.tile([0, 1, 2, -1], 543)
    columns = canonical_columns([f"{part}+visibility" for part in order])
    assert len(columns) == BASE_WIDTH
    assert np.array_equal(landmarks[columns], np.tile([0, 1, 2], 543))


@pytest.mark.parametrize(
    ("layout", "rule"),
    [
        ("holistc", "named layouts are"),
        (["pose", "hands", "ears"], "block 'ears' is unknown"),
        (["pose", "hands"], "exactly once"),
        (["pose", "hands", "left_hand", "face"], "exactly once"),
        (["pose", "hands", "face", "velocity"], "temporal blocks"),
    ],
)
def test_a_bad_layout_names_its_rule(layout: str | list[str], rule: str) -> None:
    with pytest.raises(SettingError, match=rule):
        layout_blocks(layout)
