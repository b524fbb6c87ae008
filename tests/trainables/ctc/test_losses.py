import itertools
import math

import pytest
import torch
from ctc_paths import collapse
from hypothesis import given
from hypothesis import strategies as st

from glosstune.trainables.ctc.losses import ctc_floor, ctc_loss, frames_needed

TARGETS = st.lists(st.integers(1, 3), min_size=1, max_size=3)


@given(TARGETS)
def test_loss_is_the_probability_of_all_alignments(target: list[int]) -> None:
    frames, classes = 5, 4
    log_probs = torch.randn(frames, 1, classes, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    paths = itertools.product(range(classes), repeat=frames)
    probability = sum(
        math.exp(sum(float(log_probs[t, 0, label]) for t, label in enumerate(path)))
        for path in paths
        if collapse(path) == target
    )
    result = ctc_loss(log_probs, torch.tensor([frames]), [target])
    assert bool(result.feasible[0]) == (frames_needed(target) <= frames)
    assert float(result.mean) == pytest.approx(-math.log(probability) / len(target), rel=1e-4)


def test_an_utterance_that_is_too_short_is_reported_and_leaves_the_loss_finite() -> None:
    log_probs = torch.zeros(3, 2, 4).log_softmax(-1).requires_grad_()
    result = ctc_loss(log_probs, torch.tensor([3, 3]), [[1], [2, 2, 2]])
    assert result.feasible.tolist() == [True, False]
    result.mean.backward()
    assert torch.isfinite(result.mean) and log_probs.grad is not None
    assert not log_probs.grad[:, 1].any()
    alone = float(ctc_loss(log_probs[:, :1], torch.tensor([3]), [[1]]).mean.detach())
    assert float(result.mean.detach()) == pytest.approx(alone)


@given(TARGETS)
def test_frames_needed_is_the_shortest_path(target: list[int]) -> None:
    shortest = next(
        frames
        for frames in range(1, 8)
        if any(collapse(path) == target for path in itertools.product(range(4), repeat=frames))
    )
    assert frames_needed(target) == shortest


def test_floor_of_one_gloss_that_fills_every_utterance_is_zero() -> None:
    assert ctc_floor([4, 4], [[1], [1]]) == pytest.approx(0, abs=1e-3)


def test_floor_of_single_frames_is_the_entropy_of_the_glosses() -> None:
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert ctc_floor([1] * 4, [[1], [1], [1], [2]]) == pytest.approx(entropy, abs=1e-3)


@given(st.lists(st.tuples(st.integers(6, 12), TARGETS), min_size=1, max_size=6), st.integers(0, 1000))
def test_no_blind_model_beats_the_floor(utterances: list[tuple[int, list[int]]], seed: int) -> None:
    lengths, targets = [frames for frames, _ in utterances], [target for _, target in utterances]
    floor = ctc_floor(lengths, targets)
    constant = torch.randn(4, generator=torch.Generator().manual_seed(seed)).log_softmax(0)
    log_probs = constant.expand(max(lengths), len(lengths), 4)
    assert floor <= float(ctc_loss(log_probs, torch.tensor(lengths), targets).mean) + 1e-3


def test_floor_without_a_feasible_utterance_is_zero() -> None:
    assert ctc_floor([1], [[1, 2]]) == 0
