"""The order in which models read a frame, whatever the order of the files: positions, what follows from them, values.

Of every layout a frame's features are, one after the other,

    shape of each part | values of each block | velocity of each | acceleration of the parts | position of the parts

where parts are pose, hands and face, as far as there are any. Of the layout of MediaPipe Holistic they are

    base      1629 = pose 33x3 | left hand 21x3 | right hand 21x3 | face 468x3
    features  6516 = shape 1629 | velocity 1629 | acceleration 1629 | position 1629
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from glosstune.spaces.errors import SettingError
from glosstune.trainables.layouts.blocks import (
    CHANNELS,
    PARTS,
    TEMPORAL,
    BlockSpec,
    DerivedBlock,
    FileBlock,
    Hands,
    PointsBlock,
    ValuesBlock,
    confidence_name,
    describe_layout,
    read_blocks,
    written,
)
from glosstune.trainables.layouts.skeletons import SKELETONS, Skeleton

_UNKNOWN = {part: Skeleton(part, 0) for part in PARTS}


class Landmarks(NamedTuple):
    """One block of landmarks of a layout: which of all landmarks it has, and what is known of them."""

    name: str
    part: str
    span: slice
    dims: int
    skeleton: Skeleton


class FeatureBlock(NamedTuple):
    """Features of one channel and part.

    Attributes:
        base: where what they are derived from lies within the base values.
        features: where they lie within all features.
    """

    channel: str
    part: str
    base: slice
    features: slice


@dataclass(frozen=True)
class Layout:
    """Blocks in the order that models read: pose, hands (the left one first), face, then other values.

    Attributes:
        points, values: the blocks, without what a file holds and nobody uses.
    """

    points: tuple[PointsBlock, ...]
    values: tuple[ValuesBlock, ...]

    @classmethod
    def of(cls, blocks: Sequence[FileBlock]) -> "Layout":
        """Of the blocks of a file."""
        points = [block for block in blocks if isinstance(block, PointsBlock)]
        kept = [ValuesBlock(confidence_name(block), block.use) for block in points if block.confidence == "keep"]
        points = [
            PointsBlock(b.name, b.part, b.use, b.dims, use=b.use, skeleton=b.skeleton)
            for b in sorted(points, key=lambda b: (PARTS.index(b.part), b.name == "right_hand"))
        ]
        return cls(tuple(points), (*(block for block in blocks if isinstance(block, ValuesBlock)), *kept))

    @classmethod
    def read(cls, recorded: Sequence[Mapping[str, Any]]) -> "Layout":
        """The layout that ``recorded`` wrote; SettingError if it is none."""
        plain = [
            {name: each[name] for name in each if name != "part" or "values" not in each}
            if isinstance(each, Mapping)
            else each
            for each in recorded
        ]
        return cls.of(read_blocks(plain))

    @cached_property
    def recorded(self) -> list[dict[str, Any]]:
        """The blocks as JSON, in canonical order: what files of weights and packed corpora keep."""
        points: list[dict[str, Any]] = [
            {"block": b.name, "part": b.part, "points": b.points, "dims": b.dims, "skeleton": b.skeleton}
            for b in self.points
        ]
        return [
            *points,
            *(
                {"block": b.name, "part": f"values_{b.name}", "values": b.values, "velocity": b.velocity}
                for b in self.values
            ),
        ]

    @property
    def described(self) -> str:
        """The blocks as they stand behind ``corpus.layout=``, for messages."""
        return describe_layout(written([*self.points, *self.values]))

    @cached_property
    def landmarks(self) -> tuple[Landmarks, ...]:
        """The blocks of landmarks."""
        found, start = [], 0
        for block in self.points:
            known = _UNKNOWN[block.part] if block.skeleton is None else SKELETONS[block.skeleton]
            found.append(Landmarks(block.name, block.part, slice(start, start + block.points), block.dims, known))
            start += block.points
        return tuple(found)

    @property
    def hands(self) -> tuple[slice, slice] | None:
        """Where the landmarks of the left and the right hand lie; None unless there are two hands of one form."""
        hands = [each for each in self.landmarks if each.part == "hands"]
        forms = {(each.span.stop - each.span.start, each.dims) for each in hands}
        if len(hands) != 2 or len(forms) > 1 or min(forms)[0] < 2:
            return None
        return hands[0].span, hands[1].span

    @property
    def landmark_count(self) -> int:
        """All landmarks together."""
        return sum(block.points for block in self.points)

    @property
    def dims(self) -> int:
        """Coordinates of positions: 2, or 3 where any block has 3; 0 without landmarks."""
        return max((block.dims for block in self.points), default=0)

    @property
    def planar(self) -> bool:
        """Whether any block has no depth, so that nothing may turn out of the plane of the picture."""
        return any(block.dims == 2 for block in self.points)

    @property
    def positions_width(self) -> int:
        """Base values that are positions."""
        return sum(block.points * block.dims for block in self.points)

    @cached_property
    def base_width(self) -> int:
        """Values a frame that features are derived from: positions, and all other values."""
        return self.positions_width + sum(block.values for block in self.values)

    @cached_property
    def parts(self) -> dict[str, slice]:
        """Where each part, and each block of other values, lies within the base values."""
        found: dict[str, slice] = {}
        start = 0
        for block in self.points:
            first = found[block.part].start if block.part in found else start
            start += block.points * block.dims
            found[block.part] = slice(first, start)
        for other in self.values:
            found[f"values_{other.name}"] = slice(start, start + other.values)
            start += other.values
        return found

    @cached_property
    def blocks(self) -> tuple[FeatureBlock, ...]:
        """Every channel of every part, in the order of the features."""
        found, start = [], 0
        moving = {f"values_{block.name}" for block in self.values if block.velocity}
        for channel in CHANNELS:
            for part, base in self.parts.items():
                if part not in PARTS and channel != "shape" and not (channel == "velocity" and part in moving):
                    continue
                width = base.stop - base.start
                found.append(FeatureBlock(channel, part, base, slice(start, start + width)))
                start += width
        return tuple(found)

    @cached_property
    def feature_width(self) -> int:
        """Features a frame."""
        end: int = self.blocks[-1].features.stop
        return end

    @cached_property
    def modalities(self) -> dict[str, int]:
        """What a model projects by itself, and how many features that is: the shape of each part, then the rest."""
        found = {b.part: b.features.stop - b.features.start for b in self.blocks if b.channel == CHANNELS[0]}
        rest = self.feature_width - sum(found.values())
        return {**found, "temporal": rest} if rest else found

    @cached_property
    def coordinates(self) -> npt.NDArray[np.int64]:
        """Places of the stored coordinates among those of (landmark, dims), flat; all of them where dims are alike."""
        places = [
            np.arange(landmark.span.start, landmark.span.stop)[:, None] * self.dims + np.arange(landmark.dims)
            for landmark in self.landmarks
        ]
        return np.concatenate([place.ravel() for place in places]) if places else np.zeros(0, np.int64)

    def positions(self, base: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Positions (time, landmark, dims) of base values (time, base_width); depth is 0 where a block has none."""
        values = base[:, : self.positions_width]
        if not self.planar or self.dims == 2:
            return np.asarray(values, np.float32).reshape(len(base), self.landmark_count, self.dims)
        spread = np.zeros((len(base), self.landmark_count * self.dims), np.float32)
        spread[:, self.coordinates] = values
        return spread.reshape(len(base), self.landmark_count, self.dims)

    def flat(self, positions: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Base values (time, positions_width) of positions (time, landmark, dims)."""
        whole = positions.reshape(len(positions), -1)
        return whole if not self.planar or self.dims == 2 else whole[:, self.coordinates]


@dataclass(frozen=True)
class FileLayout:
    """How a frame of a file becomes base values, or features where the file has those already.

    Attributes:
        blocks: in the order of the file.
        layout: the order that models read.
        hands: ``followed`` where frames name hands in any order.
        frame_step: every n-th frame is packed, from the first.
    """

    blocks: tuple[FileBlock, ...]
    layout: Layout
    hands: Hands = "as-stored"
    frame_step: int = 1

    @classmethod
    def of(cls, spec: str | Sequence[BlockSpec], hands: Hands = "as-stored", frame_step: int = 1) -> "FileLayout":
        """Of ``corpus.layout``, ``corpus.hands`` and ``corpus.frame_step``.

        Raises:
            SettingError: that is no layout, has no two hands to follow, or holds what was derived from every frame.
        """
        blocks = read_blocks(spec)
        layout = cls(blocks, Layout.of(blocks), hands, frame_step)
        if hands == "followed":
            _check_followed(layout)
        if frame_step > 1 and layout.ready:
            rule = "must be 1 for ready features, whose velocities are from each frame to the next; declare positions"
            raise SettingError(f"{rule}; corpus.layout is {describe_layout(layout.written)}", key="corpus.frame_step")
        return layout

    @property
    def ready(self) -> bool:
        """Whether files hold all features, so that nothing is derived."""
        return any(isinstance(block, DerivedBlock) for block in self.blocks)

    @property
    def written(self) -> list[BlockSpec]:
        """The blocks as a sweep file lists them."""
        return written(self.blocks)

    @cached_property
    def width(self) -> int:
        """Values a frame of a file."""
        return sum(self._width(block) for block in self.blocks)

    @property
    def stored_width(self) -> int:
        """Values a frame that are packed."""
        return self.layout.feature_width if self.ready else self.layout.base_width

    @cached_property
    def columns(self) -> npt.NDArray[np.int64]:
        """Columns of a file in canonical order, (stored_width,): ``values[:, columns]``.

        The order of blocks inside derived ones is that of the blocks before them; confidences are dropped, or follow
        as values.
        """
        coordinates: dict[str, npt.NDArray[np.int64]] = {}
        confidences: dict[str, npt.NDArray[np.int64]] = {}
        others: dict[str, npt.NDArray[np.int64]] = {}
        derived: dict[str, npt.NDArray[np.int64]] = {}
        start = 0
        for block in self.blocks:
            span = np.arange(start, start + self._width(block))
            start += len(span)
            if isinstance(block, PointsBlock):
                points = span.reshape(block.points, -1)[: block.use]
                coordinates[block.name] = points[:, : block.dims].ravel()
                if block.confidence == "keep":
                    confidences[confidence_name(block)] = points[:, block.dims]
            elif isinstance(block, ValuesBlock):
                others[block.name] = span
            else:
                derived |= zip(block.channels, np.split(span, len(block.channels)), strict=True)
        order = [block.name for block in self.layout.points]
        columns = [coordinates[name] for name in order]
        columns += [(others | confidences)[block.name] for block in self.layout.values]
        if derived:
            offsets = dict(zip(coordinates, np.cumsum([0, *map(len, coordinates.values())])[:-1], strict=True))
            inner = np.concatenate([offsets[name] + np.arange(len(coordinates[name])) for name in order])
            columns += [derived[channel][inner] for channel in TEMPORAL]
        return np.concatenate(columns)

    def _width(self, block: FileBlock) -> int:
        if isinstance(block, DerivedBlock):
            return len(block.channels) * self.layout.positions_width
        return block.width


def _check_followed(files: FileLayout) -> None:
    rule = ""
    if files.ready or files.layout.hands is None:
        rule = "'followed' needs positions of two hands of one form"
    elif any(isinstance(b, PointsBlock) and b.part == "hands" and b.confidence == "keep" for b in files.blocks):
        rule = "'followed' exchanges hands and cannot keep their confidences: drop them"
    if rule:
        raise SettingError(f"{rule}; corpus.layout is {describe_layout(files.written)}", key="corpus.hands")


DEFAULT = FileLayout.of("base").layout
