"""What a sweep file says of the blocks of a feature file, read, refused and written again."""

import re
from typing import Any

import pytest
from hypothesis import given
from random_layouts import block_lists

from glosstune.spaces import SettingError
from glosstune.spaces.files.yaml_data import parse_yaml
from glosstune.trainables.layouts.blocks import (
    LAYOUTS,
    TEMPORAL,
    BlockSpec,
    DerivedBlock,
    PointsBlock,
    ValuesBlock,
    describe_layout,
    names_of,
    read_blocks,
    written,
)

POINTS = {"block": "lips", "points": 20, "dims": 2}
HAND = {"block": "left_hand", "points": 21, "dims": 2}


def test_points_get_what_their_name_and_number_say() -> None:
    hand, lips, body = read_blocks(
        [HAND, {"block": "lips", "points": 40}, {"block": "me", "part": "pose", "points": 17, "confidence": "drop"}]
    )
    assert hand == PointsBlock("left_hand", "hands", 21, 2, "none", 21, "hand-21")
    assert lips == PointsBlock("lips", "face", 40, 3, "none", 40, None)
    assert body == PointsBlock("me", "pose", 17, 3, "drop", 17, "coco-17")
    assert [block.width for block in (hand, lips, body)] == [42, 120, 68]  # type: ignore[union-attr]


def test_of_more_points_those_that_are_used_say_which_they_are() -> None:
    (mesh,) = read_blocks([{"block": "face", "points": 478, "use": 468}])
    (other,) = read_blocks([{"block": "face", "points": 468, "skeleton": None}])
    assert mesh == PointsBlock("face", "face", 478, 3, "none", 468, "mediapipe-face")
    assert isinstance(other, PointsBlock) and other.skeleton is None


def test_numbers_of_any_kind_have_no_geometry() -> None:
    assert read_blocks([{"block": "video", "values": 512, "velocity": True}]) == (ValuesBlock("video", 512, True),)


def test_words_stand_for_the_blocks_of_mediapipe() -> None:
    names = [block.name for block in read_blocks(["pose+visibility", "hands", "face", "temporal"])]
    assert names == ["pose", "left_hand", "right_hand", "face", "temporal"]
    assert read_blocks("default")[-1] == DerivedBlock("temporal", TEMPORAL)
    assert read_blocks(["face", *reversed(TEMPORAL)])[1:] == tuple(DerivedBlock(one, (one,)) for one in TEMPORAL[::-1])


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("holistc", "corpus.layout: 'holistc' is unknown; did you mean 'holistic'?; named layouts are default, "),
        ([], "corpus.layout: must be a name, or a list of one block or more; got []"),
        ({"block": "pose"}, "corpus.layout: must be a name, or a list of one block or more; got {"),
        (["pose", "ears"], "corpus.layout[1]: block 'ears' is unknown; "),
        (["pose", "left_hnd"], "did you mean 'left_hand'?"),
        ([3], "corpus.layout[0]: must be a word or a mapping such as {block: left_hand, points: 21, dims: 2}; got 3"),
        (["hands", HAND], "corpus.layout: block 'left_hand' stands there twice; give each its own name"),
        ([{"block": "a"}], "corpus.layout[0]: must have either points or values; got {'block': 'a'}"),
        ([{"block": "a", "points": 3, "values": 3}], "corpus.layout[0]: must have either points or values"),
        ([{**HAND, "dim": 2}], "corpus.layout[0].dim: unknown key; did you mean 'dims'?"),
        ([{"block": "a", "values": 3, "dims": 2}], "corpus.layout[0].dims: unknown key"),
        ([{"values": 3}], "corpus.layout[0].block: must be a name of a to z, 0 to 9 and _; got null"),
        ([{"block": "A b", "values": 3}], "corpus.layout[0].block: must be a name of a to z, 0 to 9 and _; got 'A b'"),
        ([{"block": "velocity", "values": 3}], "must be another name than 'velocity', which is derived from points"),
        ([{"block": "null", "values": 3}], "must be another name than 'null', which is no text in YAML"),
        ([{"block": "a", "values": 0}], "corpus.layout[0].values: must be a whole number from 1 to 50000; got 0"),
        ([{"block": "a", "values": True}], "corpus.layout[0].values: must be a whole number from 1 to 50000; got true"),
        ([{"block": "a", "values": 3, "velocity": 1}], "corpus.layout[0].velocity: must be true or false; got 1"),
        ([{**HAND, "points": 2.0}], "corpus.layout[0].points: must be a whole number from 1 to 2000; got 2.0"),
        ([{**HAND, "dims": 4}], "corpus.layout[0].dims: must be 2, 3; got 4"),
        ([{**HAND, "dims": 2.0}], "corpus.layout[0].dims: must be 2, 3; got 2.0"),
        ([{**HAND, "dims": [2]}], "corpus.layout[0].dims: must be 2, 3; got [2]"),
        ([{**HAND, "confidence": True}], "corpus.layout[0].confidence: must be none, drop, keep; got true"),
        ([{**HAND, "use": 22}], "corpus.layout[0].use: must be a whole number from 1 to 21; got 22"),
        ([{"block": "ear", "points": 3}], "corpus.layout[0].part: must be said of block 'ear': pose, hands, face, "),
        ([{**HAND, "part": "ear"}], "corpus.layout[0].part: must be pose, hands, face; got 'ear'"),
        ([{**HAND, "skeleton": "coco-17"}], "corpus.layout[0].skeleton: must be hand-21 or null; got 'coco-17'"),
        ([{**POINTS, "skeleton": "face-68"}], "must be null, for none that is known has that many points; got 'face-6"),
        (["pose", "velocity"], "corpus.layout: must hold none of the temporal blocks, or 'temporal', or all of "),
        (["pose", "temporal", *TEMPORAL], "must hold none of the temporal blocks"),
        (["temporal"], "corpus.layout: temporal blocks are derived from points, and stand beside points alone"),
        (["pose", {"block": "a", "values": 3}, "temporal"], "and stand beside points alone"),
        ([{**HAND, "use": 20}, "temporal"], "left_hand: use and confidence=keep have no meaning beside temporal"),
        ([{**HAND, "confidence": "keep"}, "temporal"], "left_hand: use and confidence=keep have no meaning"),
        ([{"block": f"a{n}", "values": 50_000} for n in (1, 2)], "must have at most 50000 values a frame; got 100000"),
        (
            [{**HAND, "confidence": "keep"}, {"block": "left_hand_confidence", "values": 21}],
            "block 'left_hand_confidence' stands there twice",
        ),
    ],
)
def test_what_is_no_layout_names_the_block_and_the_rule(spec: Any, told: str) -> None:
    with pytest.raises(SettingError, match=re.escape(told)) as refused:
        read_blocks(spec)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_named_layout_is_the_same_written_as_blocks(name: str) -> None:
    blocks = read_blocks(name)
    assert read_blocks(written(blocks)) == blocks
    assert read_blocks(parse_yaml(describe_layout(written(blocks)), "a command line")) == blocks


@given(block_lists())
def test_what_is_written_of_blocks_is_read_as_the_same(spec: list[BlockSpec]) -> None:
    blocks = read_blocks(spec)
    plain = written(blocks)
    assert read_blocks(plain) == blocks
    assert written(read_blocks(plain)) == plain
    assert len(names_of(plain)) == len(set(names_of(plain))) == len(blocks)


@given(block_lists())
def test_blocks_on_a_command_line_are_read_as_the_same(spec: list[BlockSpec]) -> None:
    for plain in (spec, written(read_blocks(spec))):
        assert read_blocks(parse_yaml(describe_layout(plain), "a command line")) == read_blocks(spec)
