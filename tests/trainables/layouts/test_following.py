"""Two hands in any order, or one of them in both places: told apart as a person who looks at the picture would."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glosstune.spaces import SettingError
from glosstune.trainables.layouts.following import follow_hands, tell_twice, written_twice
from glosstune.trainables.layouts.layout import FileLayout

HANDS = (slice(0, 21), slice(21, 42))
FRAMES = 60

Points = npt.NDArray[np.float32]
Seen = npt.NDArray[np.bool_]


@pytest.fixture(scope="module")
def signing() -> Points:
    """Both hands (frame, 42, 2): each rises from its side, comes near the middle of the body, and goes back."""
    generator = np.random.default_rng(0)
    time = np.linspace(0, 1, FRAMES)[:, None]
    shape = generator.normal(0, 0.03, (2, 21, 2))
    left = np.concatenate([0.7 - 0.2 * np.sin(np.pi * time), 0.9 - 0.5 * np.sin(np.pi * time)], axis=1)
    right = np.concatenate([0.3 + 0.1 * np.sin(3 * np.pi * time), 0.9 - 0.3 * np.sin(np.pi * time) ** 2], axis=1)
    return np.concatenate([left[:, None] + shape[0], right[:, None] + shape[1]], axis=1).astype(np.float32)


def _exchanged(points: Points, frames: Sequence[bool]) -> Points:
    points, swapped = points.copy(), np.array(frames, np.bool_)
    points[swapped] = points[swapped][:, [*range(21, 42), *range(21)]]
    return points


def _followed(points: Points, seen: Seen | None = None) -> tuple[Points, Seen]:
    points = points.copy()
    seen = np.ones(points.shape[:2], np.bool_) if seen is None else seen.copy()
    follow_hands(points, HANDS, seen)
    return points, seen


@given(swapped=st.lists(st.booleans(), min_size=FRAMES, max_size=FRAMES))
def test_the_order_in_a_file_says_nothing(signing: Points, swapped: list[bool]) -> None:
    found, seen = _followed(_exchanged(signing, swapped))
    assert np.array_equal(found, signing) and seen.all()


@given(swapped=st.lists(st.booleans(), min_size=FRAMES, max_size=FRAMES), hidden=st.sampled_from([0, 1]))
def test_a_hand_that_is_written_twice_is_one_hand(signing: Points, swapped: list[bool], hidden: int) -> None:
    lost = slice(20, 40)
    twice = signing.copy()
    twice[lost, HANDS[hidden]] = signing[lost, HANDS[1 - hidden]]
    found, seen = _followed(_exchanged(twice, swapped))
    assert not seen[lost, HANDS[hidden]].any() and seen.sum() == seen.size - 20 * 21
    assert np.array_equal(found[seen], signing[seen])


@given(swapped=st.lists(st.booleans(), min_size=FRAMES, max_size=FRAMES))
def test_what_is_not_seen_stays_with_its_hand(signing: Points, swapped: list[bool]) -> None:
    there = np.ones((FRAMES, 42), np.bool_)
    there[10:14] = there[30:, :21] = there[20, 25:30] = False
    places = _exchanged(np.repeat(there[..., None], 2, axis=2).astype(np.float32), swapped)[..., 0] > 0
    found, seen = _followed(_exchanged(np.where(there[..., None], signing, 0).astype(np.float32), swapped), places)
    assert np.array_equal(seen, there) and np.array_equal(found[seen], signing[seen])


def test_hands_of_three_coordinates_are_followed_too(signing: Points) -> None:
    deep = np.concatenate([signing, np.zeros((FRAMES, 42, 1), np.float32)], axis=2)
    found, _ = _followed(_exchanged(deep, [frame % 3 == 0 for frame in range(FRAMES)]))
    assert np.array_equal(found, deep)


@pytest.mark.parametrize("value", [0.0, np.inf])
def test_nothing_that_could_be_followed_is_no_error(value: float) -> None:
    points = np.full((4, 42, 2), value, np.float32)
    for seen in (np.zeros((4, 42), np.bool_), np.ones((4, 42), np.bool_)):
        _, still = _followed(points, seen)
        assert still.sum() <= seen.sum()


def test_a_single_frame_puts_the_left_hand_to_the_right(signing: Points) -> None:
    found, _ = _followed(_exchanged(signing[:1], [True]))
    assert np.array_equal(found, signing[:1])


def test_frames_with_one_hand_in_both_places_are_counted(signing: Points) -> None:
    points = signing.copy()
    points[5:9, HANDS[0]] = points[5:9, HANDS[1]]
    assert np.flatnonzero(written_twice(points, HANDS)).tolist() == [5, 6, 7, 8]
    seen = np.ones((FRAMES, 42), np.bool_)
    seen[6, HANDS[0]] = False
    assert np.flatnonzero(written_twice(points, HANDS, seen)).tolist() == [5, 7, 8]
    assert not written_twice(signing, HANDS).any()


@pytest.mark.parametrize(("share", "told"), [(0.0, False), (0.02, False), (0.3, True)])
def test_a_few_such_frames_are_not_worth_a_word(share: float, told: bool) -> None:
    lines = tell_twice(share)
    assert bool(lines) is told
    assert all("30% of the frames; corpus.hands=followed" in line for line in lines)


@pytest.mark.parametrize(
    ("layout", "rule"),
    [
        ("default", "needs positions of two hands of one form; corpus.layout is default"),
        ([{"block": "left_hand", "points": 21, "dims": 2}], "needs positions of two hands of one form"),
        (
            [{"block": f"{side}_hand", "points": 1, "dims": 2} for side in ("left", "right")],
            "two hands",
        ),
        ([{"block": "video", "values": 9}], "two hands"),
        (
            [
                {"block": "left_hand", "points": 21, "dims": 2, "confidence": "keep"},
                {"block": "right_hand", "points": 21, "dims": 2, "confidence": "keep"},
            ],
            "cannot keep their confidences: drop them",
        ),
    ],
)
def test_a_layout_without_two_hands_to_follow_is_refused(layout: str, rule: str) -> None:
    with pytest.raises(SettingError, match=rule) as refused:
        FileLayout.of(layout, "followed")
    assert refused.value.key == "corpus.hands"
