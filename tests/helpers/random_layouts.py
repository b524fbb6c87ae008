"""Layouts that somebody might have, for hypothesis: words, points of any number, numbers of any kind."""

from typing import Any

from hypothesis import strategies as st

from glosstune.trainables.layouts.blocks import PARTS, BlockSpec

NAMES = ("pose", "left_hand", "right_hand", "face", "body", "hand", "lips", "a1", "b", "off", "video_2", "nan")
_POINTS = st.one_of(st.integers(1, 8), st.integers(2, 8), st.sampled_from([17, 20, 21, 23, 33, 68]))


@st.composite
def points_blocks(draw: st.DrawFn, name: str) -> dict[str, Any]:
    block: dict[str, Any] = {"block": name, "points": draw(_POINTS)}
    if draw(st.booleans()):
        block["dims"] = draw(st.sampled_from([2, 3]))
    if draw(st.booleans()):
        block["confidence"] = draw(st.sampled_from(["none", "drop", "keep"]))
    if draw(st.integers(0, 4)) == 0:
        block["use"] = draw(st.integers(1, block["points"]))
    if draw(st.booleans()) or name not in NAMES[:7]:
        block["part"] = draw(st.sampled_from(PARTS))
    if draw(st.integers(0, 4)) == 0:
        block["skeleton"] = None
    return block


@st.composite
def values_blocks(draw: st.DrawFn, name: str) -> dict[str, Any]:
    block: dict[str, Any] = {"block": name, "values": draw(st.integers(1, 12))}
    if draw(st.booleans()):
        block["velocity"] = draw(st.booleans())
    return block


@st.composite
def block_lists(draw: st.DrawFn, words: bool = True) -> list[BlockSpec]:
    """One to four blocks, in any order; with ``words`` MediaPipe's own too, which are large."""
    blocks: list[BlockSpec] = []
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True)):
        kinds = [points_blocks(name), points_blocks(name), values_blocks(name)]
        if words and name in ("pose", "left_hand", "right_hand", "face"):
            kinds += [st.just(name), st.just(f"{name}+visibility")]
        blocks.append(draw(st.one_of(kinds)))
    plain = all(isinstance(each, str) or not {"values", "use", "confidence"} & each.keys() for each in blocks)
    if plain and draw(st.booleans()):
        blocks += draw(st.sampled_from([["temporal"], ["velocity", "acceleration", "position"]]))
    return blocks
