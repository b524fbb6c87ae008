"""Which landmark is which: shoulders, mirror pairs, and points that stand in two blocks, for each known set of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Pair = tuple[int, int]


@dataclass(frozen=True)
class Skeleton:
    """A set of landmarks in a fixed order.

    Attributes:
        part: ``pose``, ``hands`` or ``face``.
        points: how many.
        pairs: landmarks that change places in a mirror; None where that has to be seen from an average of them.
        shoulders: the left and the right one, if they are among them.
        origin: the landmark that the shape of a hand or a face is measured from; None for the middle of all.
        named: places of landmarks that other sets hold too.
        one_by_one: whether zeros of a single landmark say that it was not seen; else those of all together do.
    """

    part: str
    points: int
    pairs: tuple[Pair, ...] | None = None
    shoulders: Pair | None = None
    origin: int | None = None
    named: Mapping[str, int] = field(default_factory=dict)
    one_by_one: bool = True


_FACE_68 = (
    *((k, 16 - k) for k in range(8)),
    *((17 + k, 26 - k) for k in range(5)),
    *((31, 35), (32, 34), (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),
    *((48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67)),
)
_COCO = tuple((k, k + 1) for k in range(1, 17, 2))
_FEET = ((17, 20), (18, 21), (19, 22))

SKELETONS: Mapping[str, Skeleton] = {
    # developers.google.com/mediapipe: pose, hand and face landmarkers. The mesh publishes no table of pairs.
    "mediapipe-pose": Skeleton(
        "pose",
        33,
        pairs=((1, 4), (2, 5), (3, 6), (7, 8), (9, 10), *((k, k + 1) for k in range(11, 33, 2))),
        shoulders=(11, 12),
        named={
            "left wrist": 15,
            "right wrist": 16,
            "left index": 19,
            "right index": 20,
            "nose": 0,
            "left eye": 2,
            "right eye": 5,
            "left mouth": 9,
            "right mouth": 10,
        },
        one_by_one=False,
    ),
    "mediapipe-face": Skeleton(
        "face",
        468,
        origin=1,
        named={"nose": 1, "left eye": 386, "right eye": 159, "left mouth": 291, "right mouth": 61},
    ),
    "mediapipe-face-478": Skeleton(
        "face",
        478,
        origin=1,
        named={"nose": 1, "left eye": 386, "right eye": 159, "left mouth": 291, "right mouth": 61},
    ),
    # Wrist, then thumb to little finger: MediaPipe, OpenPose and COCO-WholeBody agree.
    "hand-21": Skeleton("hands", 21, pairs=(), origin=0, named={"wrist": 0, "index": 8}),
    "hand-20": Skeleton("hands", 20, pairs=(), origin=0),  # without the wrist, which the body has
    # github.com/jin-s13/COCO-WholeBody: body 17, feet 6, face 68 as in 300-W.
    "coco-17": Skeleton(
        "pose", 17, pairs=_COCO, shoulders=(5, 6), named={"left wrist": 9, "right wrist": 10, "nose": 0}
    ),
    "coco-23": Skeleton(
        "pose", 23, pairs=(*_COCO, *_FEET), shoulders=(5, 6), named={"left wrist": 9, "right wrist": 10, "nose": 0}
    ),
    "face-68": Skeleton("face", 68, pairs=_FACE_68, origin=30, named={"nose": 30}),
    # github.com/CMU-Perceptual-Computing-Lab/openpose: BODY_25, BODY_135, and a face with both pupils.
    "openpose-25": Skeleton(
        "pose",
        25,
        pairs=((2, 5), (3, 6), (4, 7), (9, 12), (10, 13), (11, 14), (15, 16), (17, 18), (19, 22), (20, 23), (21, 24)),
        shoulders=(5, 2),
        named={"left wrist": 7, "right wrist": 4, "nose": 0, "left eye": 16, "right eye": 15},
    ),
    "openpose-135": Skeleton(
        "pose",
        25,
        pairs=(*_COCO, (19, 22), (20, 23), (21, 24)),
        shoulders=(5, 6),
        named={"nose": 0, "left eye": 1, "right eye": 2},
    ),
    "face-70": Skeleton(
        "face",
        70,
        pairs=(*_FACE_68, (68, 69)),
        origin=30,
        named={"nose": 30, "right eye": 68, "left eye": 69},
    ),
    # The second Kinect, as in NTU RGB+D.
    "kinect-25": Skeleton(
        "pose",
        25,
        pairs=((4, 8), (5, 9), (6, 10), (7, 11), (12, 16), (13, 17), (14, 18), (15, 19), (21, 23), (22, 24)),
        shoulders=(4, 8),
    ),
}

# What a block is unless it says so: sets that nothing else of this part and number of points is.
UNNAMED = {
    ("pose", 33): "mediapipe-pose",
    ("pose", 17): "coco-17",
    ("pose", 23): "coco-23",
    ("hands", 21): "hand-21",
    ("hands", 20): "hand-20",
    ("face", 468): "mediapipe-face",
    ("face", 478): "mediapipe-face-478",
    ("face", 68): "face-68",
    ("face", 70): "face-70",
}
