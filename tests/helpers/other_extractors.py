"""What other extractors would have written of the embedded corpus's signing, made of MediaPipe's points."""

import numpy as np
from feature_folder import Values

# Of each of COCO's body and feet, the landmark of MediaPipe's pose.
_BODY = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
_FEET = (31, 31, 29, 32, 32, 30)
_LEFT_HAND, _RIGHT_HAND, _FACE = 33, 54, 75
# Tip of the nose and the corners of eyes and mouth of a face of 68 points; the others lie between these.
_OF_FACE = {30: 1, 36: 33, 39: 133, 42: 362, 45: 263, 48: 61, 54: 291}


def coco_wholebody(positions: Values) -> Values:
    """The 133 points in two dimensions, (time, 266), of positions (time, 1629)."""
    points = positions.reshape(len(positions), 543, 3)[..., :2]
    chosen = np.interp(np.arange(68), sorted(_OF_FACE), [_OF_FACE[place] for place in sorted(_OF_FACE)])
    face = _FACE + chosen.round().astype(int)
    hands = np.arange(_LEFT_HAND, _FACE)
    return points[:, [*_BODY, *_FEET, *face, *hands]].reshape(len(points), -1)


def hands(positions: Values, dims: int = 2) -> Values:
    """Both hands alone, (time, 42 * dims), of positions (time, 1629)."""
    points = positions.reshape(len(positions), 543, 3)
    return points[:, _LEFT_HAND:_FACE, :dims].reshape(len(points), -1)
