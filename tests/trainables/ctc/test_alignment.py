"""Where glosses lie in time: against every path there is, and as fractions that cover the sentence."""

from itertools import pairwise, product

import numpy as np
import numpy.typing as npt
import pytest
from ctc_paths import collapse
from hypothesis import given
from hypothesis import strategies as st

from glosstune.trainables.ctc.alignment import aligned_cuts, ctc_spans, frame_labels, uniform_cuts
from glosstune.trainables.ctc.losses import frames_needed


def _log_probs(frames: int, classes: int, seed: int) -> npt.NDArray[np.float32]:
    scores = np.random.default_rng(seed).normal(size=(frames, classes)) * 3
    return np.asarray(scores - np.log(np.exp(scores).sum(1, keepdims=True)), dtype=np.float32)


@given(st.integers(1, 6), st.lists(st.integers(1, 2), min_size=1, max_size=3), st.integers(0, 1000))
def test_spans_are_those_of_the_most_probable_path(frames: int, target: list[int], seed: int) -> None:
    log_probs = _log_probs(frames, 3, seed)
    paths = [path for path in product(range(3), repeat=frames) if collapse(path) == target]
    spans = ctc_spans(log_probs, target)
    assert (spans is None) == (not paths) == (frames_needed(target) > frames)
    if spans is not None:
        best = max(paths, key=lambda path: sum(log_probs[time, label] for time, label in enumerate(path)))
        starts = [t for t, label in enumerate(best) if label and (t == 0 or best[t - 1] != label)]
        assert [first for first, _ in spans] == starts
        assert all(
            best[first : last + 1] == (label,) * (last + 1 - first)
            for (first, last), label in zip(spans, target, strict=True)
        )


def test_a_model_that_rules_the_target_out_aligns_nothing() -> None:
    log_probs = np.array([[0.0, -np.inf], [0.0, -np.inf]], dtype=np.float32)
    assert ctc_spans(log_probs, [1]) is None


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=8))
def test_aligned_cuts_cover_the_sentence_and_keep_each_peak_in_its_own_share(steps: list[tuple[int, int]]) -> None:
    spans, time = [], 0
    for gap, length in steps:
        spans.append((time + gap, time + gap + length))
        time = spans[-1][1] + 1
    frames = time + 2
    cuts = aligned_cuts(spans, frames)
    assert cuts[0] == 0 and cuts[-1] == 1 and len(cuts) == len(spans) + 1
    assert all(a < b for a, b in pairwise(cuts))
    labels = frame_labels(cuts, range(len(spans)), frames)
    for place, (first, last) in enumerate(spans):
        assert set(labels[first : last + 1]) == {place}


@given(st.integers(1, 20), st.integers(1, 60))
def test_uniform_labels_are_in_order_and_of_even_number(glosses: int, frames: int) -> None:
    labels = frame_labels(uniform_cuts(glosses), range(glosses), frames)
    assert list(labels) == sorted(labels)
    counts = np.bincount(labels, minlength=glosses)
    assert counts.max() - counts.min() <= 1 or frames < glosses


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_one_gloss_takes_the_whole_sentence(frames: int) -> None:
    assert frame_labels(uniform_cuts(1), [5], frames).tolist() == [5] * frames
