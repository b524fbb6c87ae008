import itertools
import math

import pytest
import torch
from ctc_paths import collapse
from hypothesis import given
from hypothesis import strategies as st

from glosstune.trainables.ctc.losses import ctc_floor, ctc_loss, frames_needed

TARGETS = st.lists(st.integers(1, 3), min_size=1, max_size=3)


@given(
    st.lists(st.tuples(st.integers(1, 5), st.lists(st.integers(1, 2), min_size=1, max_size=3)), min_size=1, max_size=3),
    st.integers(0, 2**31),
)
def test_loss_and_gradient_are_those_of_all_alignments(utterances: list[tuple[int, list[int]]], seed: int) -> None:
    lengths, targets = [frames for frames, _ in utterances], [target for _, target in utterances]
    shape, generator = (max(lengths), len(lengths), 3), torch.Generator().manual_seed(seed)
    logits = (2 * torch.randn(shape, generator=generator, dtype=torch.float64)).requires_grad_()
    log_probs = logits.log_softmax(-1)
    losses = []
    for slot, (frames, target) in enumerate(utterances):
        paths = [path for path in itertools.product(range(3), repeat=frames) if collapse(path) == target]
        if paths:
            scores = log_probs[torch.arange(frames), slot, torch.tensor(paths)].sum(1)  # (path,)
            losses.append(-scores.logsumexp(0) / len(target))
        assert bool(paths) == (frames_needed(target) <= frames)
    result = ctc_loss(log_probs, torch.tensor(lengths), targets)
    assert result.feasible.tolist() == [frames_needed(target) <= frames for frames, target in utterances]
    expected = torch.stack(losses).mean() if losses else 0 * logits.sum()
    assert result.mean.item() == pytest.approx(expected.item(), rel=1e-5)
    assert result.squares.item() == pytest.approx(sum(loss.item() ** 2 for loss in losses), rel=1e-5)
    ours, theirs = (torch.autograd.grad(each, logits, retain_graph=True)[0] for each in (result.mean, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


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
