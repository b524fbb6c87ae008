"""Read one ``.pose`` file by what its own header says: the points of each part of the body, seen or not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from glosstune.spaces.errors import CorpusError, SettingError
from glosstune.spaces.files.bounded import largest_array, read_bytes
from glosstune.trainables.layouts.blocks import FileBlock, PointsBlock, describe_block

Values = npt.NDArray[np.float32]

# Components as MediaPipe Holistic, OpenPose, AlphaPose and COCO-WholeBody are written by pose-format. What is not here,
# such as POSE_WORLD_LANDMARKS, is passed over: it shows the same points once more.
_PARTS = {
    "POSE_LANDMARKS": "pose",
    "FACE_LANDMARKS": "face",
    "LEFT_HAND_LANDMARKS": "left_hand",
    "RIGHT_HAND_LANDMARKS": "right_hand",
    "pose_keypoints_2d": "pose",
    "face_keypoints_2d": "face",
    "hand_left_keypoints_2d": "left_hand",
    "hand_right_keypoints_2d": "right_hand",
    **{
        f"{component}{suffix}": part
        for component, part in (
            ("BODY", "pose"),
            ("FACE", "face"),
            ("LEFT_HAND", "left_hand"),
            ("RIGHT_HAND", "right_hand"),
        )
        for suffix in ("", "_133", "_136")
    },
}
_WITH_IRISES, _WITHOUT = 478, 468  # points of MediaPipe's face, the irises last
# What a name tells beyond the number of points, by which other blocks are known.
_MORE: Mapping[tuple[str, int], Mapping[str, Any]] = {
    ("FACE_LANDMARKS", _WITH_IRISES): {"use": _WITHOUT},
    ("pose_keypoints_2d", 25): {"skeleton": "openpose-25"},
}


@dataclass(frozen=True)
class PoseFile:
    """The one person whom a file shows.

    Attributes:
        points: of each part, in the file's order: (time, points, dims), NaN where a point was not seen.
        confidences: of each part, (time, points).
        blocks: what a frame holds, as ``corpus.layout`` says it.
    """

    path: Path
    rate_hz: float
    points: Mapping[str, Values]
    confidences: Mapping[str, Values]
    blocks: list[dict[str, Any]]

    def values(self, blocks: Sequence[FileBlock]) -> Values:
        """Values (time, width) of the blocks that are asked for, in their order.

        Raises:
            CorpusError: the header has no such part, or not so many points or dimensions.
        """
        return np.concatenate([self._block(block).reshape(self._frames, -1) for block in blocks], axis=1)

    @property
    def _frames(self) -> int:
        return len(next(iter(self.points.values())))

    def _block(self, block: FileBlock) -> Values:
        if not isinstance(block, PointsBlock) or block.name not in self.points:
            raise self._unlike(f"no {block.name}", block)
        points = self.points[block.name]
        if (points.shape[1], block.points) == (_WITH_IRISES, _WITHOUT):
            points = points[:, :_WITHOUT]
        if points.shape[1] != block.points or points.shape[2] < block.dims:
            raise self._unlike(f"{points.shape[1]} points in {points.shape[2]} dimensions", block)
        points = points[..., : block.dims]
        if block.confidence != "none":
            points = np.concatenate([points, self.confidences[block.name][:, : block.points, None]], axis=2)
        return points

    def _unlike(self, found: str, block: FileBlock) -> CorpusError:
        own = ", ".join(f"{each['block']} {each['points']} x {each['dims']}" for each in self.blocks)
        return CorpusError(
            f"{self.path}: has {found} where corpus.layout has {describe_block(block)}; its header says {own}; "
            "leave corpus.layout out, or give what the header says"
        )


def read_pose(path: Path, blocks: Sequence[FileBlock]) -> Values:
    """Values (time, width) of these blocks (see ``PoseFile.values``); NaN where a point was not seen."""
    return open_pose(path).values(blocks)


def pose_blocks(path: Path) -> list[dict[str, Any]]:
    """The blocks that the header of a file has (see ``PoseFile.blocks``)."""
    return open_pose(path).blocks


def open_pose(path: Path) -> PoseFile:
    """Read a file.

    Raises:
        CorpusError: empty, damaged, of another kind, or it shows nobody, several people or no part that is known.
        SettingError: the demo extra is not installed.
    """
    if find_spec("pose_format") is None:
        raise SettingError(
            f'{path}: .pose files need pose_format, which the demo extra installs: pip install "glosstune[demo]"'
        )
    from pose_format import Pose  # its import takes half a second

    try:
        pose = Pose.read(read_bytes(path, largest_array()))
        seen = ~np.ma.getmaskarray(pose.body.data)  # (time, person, point, dimension)
        data = np.ma.filled(pose.body.data.astype(np.float32), np.nan)
        confidence = np.asarray(pose.body.confidence, np.float32)
        components = [(str(each.name), len(each.points), len(each.format) - 1) for each in pose.header.components]
        rate_hz = float(pose.body.fps)
        people = np.flatnonzero(seen.any(axis=(0, 2, 3)))
    except Exception as error:  # pose-format raises a different type for each kind of damage
        if isinstance(error, OSError) and error.strerror:
            raise CorpusError(f"{path}: cannot be read: {error.strerror}") from error
        raise CorpusError(f"{path}: empty, truncated or no .pose file ({type(error).__name__})") from error
    if not len(people):
        raise CorpusError(f"{path}: shows nobody in its {len(data)} frames; remove it, or its row")
    if len(people) > 1:
        raise CorpusError(f"{path}: shows {len(people)} people, and a recording is of one signer; write one file each")
    points: dict[str, Values] = {}
    confidences: dict[str, Values] = {}
    blocks: list[dict[str, Any]] = []
    start = 0
    for name, count, dims in components:
        own = slice(start, start + count)
        start += count
        part = _PARTS.get(name)
        if part is not None and part not in points:
            points[part] = data[:, people[0], own, :dims]
            confidences[part] = confidence[:, people[0], own]
            blocks.append({"block": part, "points": count, "dims": dims, **_MORE.get((name, count), {})})
    if not points:
        raise CorpusError(
            f"{path}: none of its components {', '.join(name for name, _, _ in components)} is known; "
            f"known are {', '.join(_PARTS)}"
        )
    return PoseFile(path, rate_hz, points, confidences, blocks)
