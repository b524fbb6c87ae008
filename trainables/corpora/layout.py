"""Name the blocks of a feature file and bring them into the order that the models read.

Canonical order (facts of MediaPipe Holistic, the user's extractor):

    base      1629 = pose 33x3 | left hand 21x3 | right hand 21x3 | face 468x3
    features  6516 = shape 1629 | velocity 1629 | acceleration 1629 | position 1629
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from glosstune.spaces.errors import SettingError

POSE, HAND, FACE = 33, 21, 468
PART_WIDTHS = {"pose": 3 * POSE, "hands": 6 * HAND, "face": 3 * FACE}
PART_COLUMNS = {  # of each part within the base values, and within every channel
    "pose": slice(0, 99),
    "hands": slice(99, 225),
    "face": slice(225, 1629),
}
CHANNELS = ("shape", "velocity", "acceleration", "position")
BASE_WIDTH = sum(PART_WIDTHS.values())
FULL_WIDTH = len(CHANNELS) * BASE_WIDTH

_LANDMARKS = {"pose": POSE, "left_hand": HAND, "right_hand": HAND, "face": FACE}
_TEMPORAL = CHANNELS[1:]
BLOCK_WIDTHS: dict[str, int] = (
    {name: 3 * count for name, count in _LANDMARKS.items()}
    | {f"{name}+visibility": 4 * count for name, count in _LANDMARKS.items()}
    | {"hands": 6 * HAND, "temporal": 3 * BASE_WIDTH}
    | {channel: BASE_WIDTH for channel in _TEMPORAL}
)

LAYOUTS: dict[str, tuple[str, ...]] = {
    "default": ("pose", "hands", "face", "temporal"),
    "split-hands": ("pose", "face", "left_hand", "right_hand", "temporal"),
    "base": ("pose", "hands", "face"),
    "holistic": ("pose+visibility", "face", "left_hand", "right_hand"),
    "landmarks-543": ("face+visibility", "left_hand+visibility", "pose+visibility", "right_hand+visibility"),
}


def layout_blocks(layout: str | Sequence[str]) -> tuple[str, ...]:
    """The blocks of a layout given by name or as a list; SettingError unless each landmark stands there once."""
    if isinstance(layout, str):
        if layout not in LAYOUTS:
            raise SettingError(f"corpus.layout: {layout!r} is unknown; named layouts are {', '.join(LAYOUTS)}")
        return LAYOUTS[layout]
    blocks = tuple(layout)
    for block in blocks:
        if block not in BLOCK_WIDTHS:
            raise SettingError(f"corpus.layout: block {block!r} is unknown; blocks are {', '.join(BLOCK_WIDTHS)}")
    parts = [part for block in blocks for part in _parts(block)]
    if sorted(parts) != sorted(_LANDMARKS):
        raise SettingError(
            f"corpus.layout: {list(blocks)} must hold pose, face and both hands exactly once (hands, or left_hand and "
            "right_hand)"
        )
    temporal = [block for block in blocks if block == "temporal" or block in _TEMPORAL]
    if temporal not in ([], ["temporal"]) and sorted(temporal) != sorted(_TEMPORAL):
        raise SettingError(
            f"corpus.layout: {list(blocks)} must hold none of the temporal blocks, or 'temporal', or all of "
            f"{', '.join(_TEMPORAL)}"
        )
    return blocks


def layout_width(layout: str | Sequence[str]) -> int:
    """Values a frame that files of this layout hold."""
    return sum(BLOCK_WIDTHS[block] for block in layout_blocks(layout))


def describe_widths() -> str:
    """Which width fits which named layout, for error messages."""
    return ", ".join(f"{layout_width(name)} fits {name} {list(blocks)}" for name, blocks in LAYOUTS.items())


def canonical_columns(layout: str | Sequence[str]) -> npt.NDArray[np.int64]:
    """Columns of a file in canonical order.

    Returns:
        indices (1629,) where the layout holds base values only, else (6516,): ``features[:, columns]``.
        The order of body parts inside the temporal blocks is that of the base blocks, as extractors
        derive them from the base values; visibilities are dropped.
    """
    blocks = layout_blocks(layout)
    columns: dict[str, npt.NDArray[np.int64]] = {}
    start = 0
    file_order: list[str] = []
    for block in blocks:
        width = BLOCK_WIDTHS[block]
        span = np.arange(start, start + width)
        start += width
        if block.endswith("+visibility"):
            span = span.reshape(-1, 4)[:, :3].ravel()
        parts = _parts(block)
        for part, piece in zip(parts, np.split(span, len(parts)) if parts else [], strict=True):
            columns[part] = piece
            file_order.append(part)
        if block == "temporal":
            columns.update(zip(_TEMPORAL, np.split(span, 3), strict=True))
        elif block in _TEMPORAL:
            columns[block] = span
    canonical_parts = ("pose", "left_hand", "right_hand", "face")
    base = np.concatenate([columns[part] for part in canonical_parts])
    if "velocity" not in columns:
        return base
    offsets = dict(zip(file_order, np.cumsum([0] + [3 * _LANDMARKS[part] for part in file_order])[:-1], strict=True))
    inner = np.concatenate([offsets[part] + np.arange(3 * _LANDMARKS[part]) for part in canonical_parts])
    return np.concatenate([base, *(columns[channel][inner] for channel in _TEMPORAL)])


def _parts(block: str) -> tuple[str, ...]:
    name = block.removesuffix("+visibility")
    if name == "hands":
        return ("left_hand", "right_hand")
    return (name,) if name in _LANDMARKS else ()
