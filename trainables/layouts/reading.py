"""From the values of a feature file to what is packed: positions in a frame of reference, and other values."""

from collections.abc import Collection, Iterator, Sized
from typing import Protocol

import numpy as np
import numpy.typing as npt

from glosstune.spaces.errors import CorpusError
from glosstune.trainables.layouts.blocks import LAYOUTS, NotSeen, layout_override, names_of
from glosstune.trainables.layouts.following import follow_hands
from glosstune.trainables.layouts.geometry import Seen, bridge, seen_landmarks, to_frame
from glosstune.trainables.layouts.layout import FileLayout
from glosstune.trainables.layouts.recognition import recognise_layout

_LOOKED_AT = 24
_LARGEST = 65504.0  # of half precision


class Files(Protocol):
    """What a corpus of files lets one look at."""

    def utterances(self) -> Sized:
        """Every utterance."""

    def look(self, places: Collection[int]) -> Iterator[tuple[int, npt.NDArray[np.floating] | CorpusError]]:
        """The values of the utterances in some places as their files hold them, or what is wrong with a file."""


def stored_values(
    raw: npt.NDArray[np.floating], layout: FileLayout, where: str, not_seen: NotSeen = "zeros+nan"
) -> npt.NDArray[np.float32]:
    """Values (time / frame_step, stored_width) of one file's (time, width).

    Positions come into the frame of reference, with what was not seen filled in; other values and ready features keep
    their numbers, and NaN among them is filled in.

    Args:
        where: file or utterance, with which errors begin.

    Raises:
        CorpusError: another width, infinity, NaN where that is no value, nothing that positions are measured from, or
            values beyond half precision.
    """
    if raw.shape[1] != layout.width:
        given = f"{raw.shape[1]} values a frame, but corpus.layout {names_of(layout.written)} has {layout.width}"
        raise CorpusError(f"{where}: {given}; {describe_fit(raw.shape[1])}")
    values = raw[:, layout.columns]
    wrong = np.isinf(values) if "nan" in not_seen else ~np.isfinite(values)
    if wrong.any():
        frame, column = np.argwhere(wrong)[0]
        what, way_out = "infinity", "repair or remove the file"
        if np.isnan(values[frame, column]):
            what, way_out = "NaN", "corpus.not_seen=zeros+nan takes NaN for what was not seen"
        raise CorpusError(f"{where}: {what} at frame {frame}, value {layout.columns[column]}; {way_out}")
    width = 0 if layout.ready else layout.layout.positions_width
    with np.errstate(over="ignore", invalid="ignore"):  # what has become infinity is told below
        stored = np.array(values, dtype=np.float32)
        _frame(stored, layout, where, not_seen)
    bridge(stored[:, width:], ~np.isnan(stored[:, width:]))
    stored = stored[:: layout.frame_step]
    if not np.abs(stored).max() <= _LARGEST:
        frame, column = np.argwhere(~(np.abs(stored) <= _LARGEST))[0]
        told = f"frame {frame}, value {layout.columns[column]}: lies beyond half precision ({_LARGEST:g})"
        raise CorpusError(f"{where}: {told}, in which a corpus is packed; scale the features, or repair the file")
    return stored


def _frame(stored: npt.NDArray[np.float32], layout: FileLayout, where: str, not_seen: NotSeen) -> None:
    """Bring the positions among stored values into the frame of reference, in place."""
    width = layout.layout.positions_width
    if not layout.ready and width:
        positions = layout.layout.positions(stored)
        seen = seen_in(positions, layout, not_seen)
        if layout.hands == "followed" and (hands := layout.layout.hands):
            follow_hands(positions, hands, seen)
        try:
            framed = to_frame(positions, seen, layout.layout)
        except CorpusError as error:
            raise CorpusError(f"{where}: {error}") from None
        stored[:, :width] = layout.layout.flat(framed)


def seen_in(positions: npt.NDArray[np.float32], layout: FileLayout, not_seen: NotSeen) -> Seen:
    """Which landmarks (frame, landmark) of a file's positions were seen."""
    return seen_landmarks(positions, layout.layout, zeros="zeros" in not_seen)


def check_order(corpus: "Files", layout: FileLayout, where: str) -> None:
    """Require that some of a corpus's files, spread over all, do not speak for another order of blocks.

    Raises:
        CorpusError: points that stand in two blocks lie apart as declared, and together in another order.
    """
    count = len(corpus.utterances())
    places = np.unique(np.linspace(0, count - 1, min(count, _LOOKED_AT)).round().astype(int)).tolist()
    samples = [values for _, values in corpus.look(places) if not isinstance(values, CorpusError)]
    samples = [values for values in samples if values.shape[1] == layout.width]
    seen = recognise_layout(samples, layout, behind=False) if samples else None
    if seen is not None and seen.blocks is not None and seen.disagrees:
        mend = layout_override(seen.blocks)
        told = (
            f"points that stand in two blocks, such as wrists, are {seen.declared_distance:.2f} shoulder widths apart"
        )
        raise CorpusError(
            f"{where}: blocks in another order than corpus.layout {names_of(layout.written)}: {told}, and "
            f"{seen.distance:.2f} as {mend}; set it, and look with glosstune inspect"
        )


def describe_fit(width: int) -> str:
    """Which named layouts have so many values a frame, for error messages."""
    fits = [name for name in LAYOUTS if FileLayout.of(name).width == width]
    if fits:
        return f"that width fits {', '.join(fits)}"
    return "no named layout has that width (glosstune inspect --layouts lists them); list the blocks that files have"
