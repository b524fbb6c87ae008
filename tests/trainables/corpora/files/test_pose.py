"""Points of ``.pose`` files arrive by what their headers say, whatever wrote them."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions
from pose_format.utils.cocowholebody133_header import BODY_POINTS
from pose_format.utils.openpose import OpenPose_Components

from glosstune.spaces import CorpusError, SettingError
from glosstune.trainables.corpora.files import pose
from glosstune.trainables.corpora.files.pose import open_pose, pose_blocks, read_pose
from glosstune.trainables.corpora.fingerspelling import lexicon_folder
from glosstune.trainables.layouts.blocks import FileBlock, read_blocks

CLIP = sorted(lexicon_folder().glob("ase/*.pose"))[0]


def _component(name: str, points: int, form: str = "XYZC") -> PoseHeaderComponent:
    return PoseHeaderComponent(name, [f"p{place}" for place in range(points)], [], [], form)


def _own(path: Path) -> tuple[FileBlock, ...]:
    return read_blocks(pose_blocks(path))


HANDS = [_component("LEFT_HAND_LANDMARKS", 21), _component("RIGHT_HAND_LANDMARKS", 21)]


def _write(path: Path, components: list[Any], people: int = 1, frames: int = 4, seen: float = 1.0) -> np.ndarray:
    """A file of random points (time, person, point, dimension), and what they are."""
    points, dims = sum(len(each.points) for each in components), max(len(each.format) for each in components) - 1
    generator = np.random.default_rng(0)
    data = generator.uniform(1, 2, size=(frames, people, points, dims)).astype(np.float32)
    confidence = (generator.random((frames, people, points)) < seen).astype(np.float32) * 0.5
    with path.open("wb") as file:
        Pose(PoseHeader(0.2, PoseHeaderDimensions(9, 9), components), NumPyPoseBody(25, data, confidence)).write(file)
    return np.where(confidence[..., None] > 0, data, np.nan)


def test_a_recording_of_mediapipe_says_what_it_holds() -> None:
    assert pose_blocks(CLIP) == [
        {"block": "pose", "points": 33, "dims": 3},
        {"block": "face", "points": 478, "dims": 3, "use": 468},
        {"block": "left_hand", "points": 21, "dims": 3},
        {"block": "right_hand", "points": 21, "dims": 3},
    ]
    values = read_pose(CLIP, _own(CLIP))
    with CLIP.open("rb") as file:
        body = Pose.read(file.read()).body
    assert np.array_equal(values, np.ma.filled(body.data[:, 0, : 33 + 478 + 42], np.nan).reshape(len(values), -1), True)
    assert open_pose(CLIP).rate_hz == body.fps


def test_blocks_come_in_the_order_that_is_asked_for_and_without_irises() -> None:
    values = read_pose(CLIP, read_blocks([{"block": "face", "points": 468, "dims": 2}, "hands"]))
    whole = open_pose(CLIP).points
    assert values.shape[1] == 2 * 468 + 3 * 42
    assert np.array_equal(values[:, : 2 * 468], whole["face"][:, :468, :2].reshape(len(values), -1), True)
    assert np.array_equal(values[:, -63:], whole["right_hand"].reshape(len(values), -1), True)


def test_openpose_is_known_by_its_own_names(tmp_path: Path) -> None:
    data = _write(tmp_path / "a.pose", OpenPose_Components)
    assert [(each["block"], each["points"], each["dims"]) for each in pose_blocks(tmp_path / "a.pose")] == [
        ("pose", 25, 2),
        ("face", 70, 2),
        ("left_hand", 21, 2),
        ("right_hand", 21, 2),
    ]
    assert pose_blocks(tmp_path / "a.pose")[0]["skeleton"] == "openpose-25"
    hand = read_pose(tmp_path / "a.pose", read_blocks([{"block": "right_hand", "points": 21, "dims": 2}]))
    assert np.array_equal(hand, data[:, 0, -21:].reshape(4, -1))


@pytest.mark.parametrize("suffix", ["", "_133", "_136"])
def test_other_extractors_are_known_too(tmp_path: Path, suffix: str) -> None:
    parts = {"BODY": len(BODY_POINTS), "FACE": 68, "LEFT_HAND": 21, "RIGHT_HAND": 21}
    _write(tmp_path / "a.pose", [_component(name + suffix, count, "XYC") for name, count in parts.items()])
    assert [each["block"] for each in pose_blocks(tmp_path / "a.pose")] == ["pose", "face", "left_hand", "right_hand"]


def test_points_that_were_not_seen_are_nan_and_confidences_are_kept_where_asked(tmp_path: Path) -> None:
    data = _write(tmp_path / "a.pose", HANDS, seen=0.5)
    assert np.isnan(data).any()
    blocks = pose_blocks(tmp_path / "a.pose")
    assert np.array_equal(read_pose(tmp_path / "a.pose", read_blocks(blocks)), data[:, 0].reshape(4, -1), True)
    scored = read_blocks([{**block, "confidence": "drop"} for block in blocks])
    kept = read_pose(tmp_path / "a.pose", scored).reshape(4, 42, 4)
    assert np.array_equal(np.isnan(kept[..., 0]), kept[..., 3] == 0)


def test_somebody_who_is_never_seen_does_not_count(tmp_path: Path) -> None:
    _write(tmp_path / "a.pose", HANDS, people=2)
    with pytest.raises(CorpusError, match=r"a\.pose: shows 2 people, and a recording is of one signer"):
        open_pose(tmp_path / "a.pose")
    with (tmp_path / "a.pose").open("rb") as file:
        both = Pose.read(file.read())
    both.body.confidence[:, 0] = 0
    with (tmp_path / "b.pose").open("wb") as file:
        both.write(file)
    assert np.array_equal(
        read_pose(tmp_path / "b.pose", _own(tmp_path / "b.pose")).ravel()[:3], both.body.data.data[0, 1, 0]
    )
    both.body.confidence[:] = 0
    with (tmp_path / "c.pose").open("wb") as file:
        both.write(file)
    with pytest.raises(CorpusError, match=r"c\.pose: shows nobody in its 4 frames"):
        open_pose(tmp_path / "c.pose")


@pytest.mark.parametrize(
    ("block", "rule"),
    [
        ({"block": "pose", "points": 33, "dims": 3}, "has no pose where corpus.layout has pose 33 x 3"),
        ({"block": "left_hand", "points": 20, "dims": 3}, "has 21 points in 3 dimensions where .* left_hand 21 x 3"),
        ({"block": "appearance", "values": 512}, "has no appearance"),
    ],
)
def test_what_the_header_does_not_have_is_said(tmp_path: Path, block: dict[str, object], rule: str) -> None:
    _write(tmp_path / "a.pose", HANDS)
    with pytest.raises(CorpusError, match=rule):
        read_pose(tmp_path / "a.pose", read_blocks([block]))


@pytest.mark.parametrize("content", [b"", b"\0" * 9, b"no pose at all" * 99, CLIP.read_bytes()[:4000]])
def test_a_file_that_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pose").write_bytes(content)
    with pytest.raises(CorpusError, match=r"a\.pose: empty, truncated or no \.pose file"):
        open_pose(tmp_path / "a.pose")


def test_components_that_nobody_knows_are_named(tmp_path: Path) -> None:
    _write(tmp_path / "a.pose", [_component("BODY_135", 135, "XYC")])
    with pytest.raises(CorpusError, match="none of its components BODY_135 is known; known are POSE_LANDMARKS"):
        open_pose(tmp_path / "a.pose")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    _write(tmp_path / "a.pose", HANDS)
    content = bytearray((tmp_path / "a.pose").read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    (tmp_path / "a.pose").write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        read_pose(tmp_path / "a.pose", _own(tmp_path / "a.pose"))
    except CorpusError as error:
        assert str(error).startswith(str(tmp_path / "a.pose"))


def test_what_reads_it_is_asked_for_where_it_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = {"pose_format"}
    monkeypatch.setattr(pose, "find_spec", lambda name: None if name in gone else importlib.util.find_spec(name))
    with pytest.raises(SettingError, match=r"\.pose files need pose_format, .* pip install .*\[demo\]"):
        open_pose(CLIP)
