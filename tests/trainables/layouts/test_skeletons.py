"""Tables of landmarks: which mirror each other, which stand in two blocks."""

import re

import numpy as np
import pytest

from glosstune.trainables.layouts.blocks import LAYOUTS, PARTS
from glosstune.trainables.layouts.geometry import mirror_order
from glosstune.trainables.layouts.layout import DEFAULT, FileLayout
from glosstune.trainables.layouts.skeletons import SKELETONS, UNNAMED, Skeleton

# In the order of github.com/jin-s13/COCO-WholeBody: the body as in COCO, then the feet.
COCO_23 = (
    *("nose", "left eye", "right eye", "left ear", "right ear", "left shoulder", "right shoulder"),
    *("left elbow", "right elbow", "left wrist", "right wrist", "left hip", "right hip", "left knee", "right knee"),
    *("left ankle", "right ankle", "left big toe", "left small toe", "left heel"),
    *("right big toe", "right small toe", "right heel"),
)
# github.com/CMU-Perceptual-Computing-Lab/openpose: doc/02_output.md, and BODY_135 in poseParameters.cpp.
OPENPOSE_25 = (
    *("nose", "neck", "right shoulder", "right elbow", "right wrist", "left shoulder", "left elbow", "left wrist"),
    *("middle of hips", "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle"),
    *("right eye", "left eye", "right ear", "left ear", "left big toe", "left small toe", "left heel"),
    *("right big toe", "right small toe", "right heel"),
)
OPENPOSE_135 = (*COCO_23[:17], "neck", "top of head", *COCO_23[17:])
# developers.google.com/mediapipe/solutions/vision/pose_landmarker
MEDIAPIPE_33 = (
    *("nose", "left eye (inner)", "left eye", "left eye (outer)", "right eye (inner)", "right eye"),
    *("right eye (outer)", "left ear", "right ear", "mouth (left)", "mouth (right)", "left shoulder"),
    *("right shoulder", "left elbow", "right elbow", "left wrist", "right wrist", "left pinky", "right pinky"),
    *("left index", "right index", "left thumb", "right thumb", "left hip", "right hip", "left knee", "right knee"),
    *("left ankle", "right ankle", "left heel", "right heel", "left foot index", "right foot index"),
)
KINECT_25 = (
    *("base of spine", "middle of spine", "neck", "head", "left shoulder", "left elbow", "left wrist", "left hand"),
    *("right shoulder", "right elbow", "right wrist", "right hand", "left hip", "left knee", "left ankle", "left foot"),
    *("right hip", "right knee", "right ankle", "right foot", "spine", "left hand tip", "left thumb"),
    *("right hand tip", "right thumb"),
)


@pytest.mark.parametrize("name", SKELETONS)
def test_a_table_names_landmarks_that_it_has(name: str) -> None:
    known = SKELETONS[name]
    assert known.part in PARTS
    paired = [place for pair in known.pairs or () for place in pair]
    assert len(paired) == len(set(paired)), "a landmark has one place in a mirror"
    places = [*paired, *(known.shoulders or ()), *known.named.values(), *[known.origin] * (known.origin is not None)]
    assert all(0 <= place < known.points for place in places)
    if known.shoulders:
        assert tuple(sorted(known.shoulders)) in {tuple(sorted(pair)) for pair in known.pairs or ()}


@pytest.mark.parametrize("name", SKELETONS)
def test_what_is_named_left_is_where_a_mirror_takes_the_right(name: str) -> None:
    known = SKELETONS[name]
    if known.pairs is None or known.part == "hands":
        return
    pairs = {place: other for pair in known.pairs for place, other in (pair, pair[::-1])}
    for point, place in known.named.items():
        other = {"left": "right", "right": "left"}.get(point.split()[0])
        if other is None:
            assert place not in pairs, f"{point} is in the middle"
        else:
            assert pairs[place] == known.named[f"{other} {point.split()[1]}"]


def test_what_a_block_is_by_its_number_of_points_has_that_number() -> None:
    for (part, points), name in UNNAMED.items():
        assert (SKELETONS[name].part, SKELETONS[name].points) == (part, points)


def _pairs_of(names: tuple[str, ...]) -> set[tuple[int, int]]:
    sides = [(place, names.index(name.replace("left", "right"))) for place, name in enumerate(names) if "left" in name]
    return {(min(pair), max(pair)) for pair in sides}


@pytest.mark.parametrize(
    ("skeleton", "names"),
    [
        ("coco-23", COCO_23),
        ("coco-17", COCO_23[:17]),
        ("openpose-25", OPENPOSE_25),
        ("openpose-135", OPENPOSE_135),
        ("mediapipe-pose", MEDIAPIPE_33),
        ("kinect-25", KINECT_25),
    ],
)
def test_pairs_are_the_left_and_right_ones_of_the_published_order(skeleton: str, names: tuple[str, ...]) -> None:
    known = SKELETONS[skeleton]
    assert known.pairs is not None and known.shoulders is not None and known.points == len(names)
    assert {tuple(sorted(pair)) for pair in known.pairs} == _pairs_of(names)
    assert [names[place] for place in known.shoulders] == ["left shoulder", "right shoulder"]
    for point, place in known.named.items():
        assert {*point.split()} == {*re.findall("[a-z]+", names[place])}


def test_the_133_points_of_coco_wholebody_are_body_feet_face_and_hands() -> None:
    layout = FileLayout.of("coco-wholebody")
    blocks = [(block.name, block.width // 2) for block in layout.blocks]  # type: ignore[union-attr]  # points alone
    assert blocks == [("pose", 17 + 6), ("face", 68), ("left_hand", 21), ("right_hand", 21)]
    assert sum(points for _, points in blocks) == 133
    # The file's wrists: the 10th and 11th of the body, and the first of each hand, 92nd and 113th.
    points = layout.layout.positions(np.arange(266, dtype=np.float32)[layout.columns][None])[0, :, 0] / 2
    left, right = (each.span.start for each in layout.layout.landmarks if each.part == "hands")
    assert [points[left], points[right], points[9], points[10]] == [91, 112, 9, 10]


def test_the_137_points_of_openpose_are_body_face_and_hands() -> None:
    layout = FileLayout.of("openpose-137")
    assert sum(block.width for block in layout.blocks) == 137 * 3  # type: ignore[union-attr]  # points alone
    assert [each.name for each in layout.layout.landmarks] == ["pose", "left_hand", "right_hand", "face"]


def test_a_face_of_68_points_is_paired_as_it_is_drawn() -> None:
    order = _order(SKELETONS["face-68"])
    middle = [place for place in range(68) if order[place] == place]
    assert middle == [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]  # chin, bridge and tip of the nose, lips
    assert [order[place] for place in (0, 17, 36, 41, 48, 60)] == [16, 26, 45, 46, 54, 64]


def _order(known: Skeleton) -> list[int]:
    order = list(range(known.points))
    for one, other in known.pairs or ():
        order[one], order[other] = other, one
    return order


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_mirror_of_a_mirror_is_the_signer_again(name: str) -> None:
    layout = FileLayout.of(name).layout
    mean = np.random.default_rng(0).normal(size=(layout.landmark_count, layout.dims)).astype(np.float32)
    order = mirror_order(layout, mean)
    assert np.array_equal(order[order], np.arange(layout.landmark_count))
    for each in layout.landmarks:
        if each.part == "hands":
            (other,) = (one for one in layout.landmarks if one.part == "hands" and one.name != each.name)
            assert np.array_equal(order[each.span], np.arange(other.span.start, other.span.stop))


def test_a_pose_of_mediapipe_is_mirrored_by_its_names() -> None:
    order = mirror_order(DEFAULT, np.zeros((DEFAULT.landmark_count, 3), np.float32))
    pairs = {(place, int(other)) for place, other in enumerate(order[:33]) if place < other}
    assert pairs == _pairs_of(MEDIAPIPE_33)
