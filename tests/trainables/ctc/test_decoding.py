import itertools
import math

import pytest
import torch
from ctc_paths import collapse
from hypothesis import given
from hypothesis import strategies as st

from glosstune.trainables import greedy_decode
from glosstune.trainables.ctc.decoding import beam_decode, blank_frames

PATHS = st.lists(st.integers(0, 4), min_size=1, max_size=30)


def _one_hot(paths: list[list[int]]) -> torch.Tensor:
    longest = max(map(len, paths))
    padded = torch.tensor([path + [4] * (longest - len(path)) for path in paths])
    return torch.nn.functional.one_hot(padded.T, 5).float().clamp_min(1e-6).log()


@given(st.lists(PATHS, min_size=1, max_size=4))
def test_decoding_reads_valid_frames_only(paths: list[list[int]]) -> None:
    lengths = torch.tensor([len(path) for path in paths])
    assert greedy_decode(_one_hot(paths), lengths) == [collapse(path) for path in paths]


@given(st.lists(st.integers(1, 4), max_size=8))
def test_every_sentence_is_the_collapse_of_its_path_with_blanks_between(sentence: list[int]) -> None:
    path = [label for gloss in sentence for label in (0, gloss, gloss)]
    assert collapse(path) == sentence


def test_repeats_merge_unless_a_blank_parts_them() -> None:
    assert collapse([1, 1, 0, 1, 2, 2, 0, 0]) == [1, 1, 2]
    assert collapse([0, 0]) == []


def test_blanks_are_counted_over_valid_frames() -> None:
    assert blank_frames(_one_hot([[0, 1, 0], [0]]), torch.tensor([3, 1])) == (3, 4)


@given(st.integers(1, 5), st.integers(0, 2**31))
def test_a_beam_as_wide_as_there_are_prefixes_finds_the_most_probable_output(length: int, seed: int) -> None:
    logits = torch.randn(length, 1, 3, generator=torch.Generator().manual_seed(seed))
    log_probs = (2 * logits).log_softmax(-1)
    summed: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(3), repeat=length):
        output = tuple(collapse(path))
        chance = math.exp(sum(float(log_probs[frame, 0, label]) for frame, label in enumerate(path)))
        summed[output] = summed.get(output, 0.0) + chance
    (found,) = beam_decode(log_probs, torch.tensor([length]), beam=1000, least=-math.inf)
    assert summed[tuple(found)] == pytest.approx(max(summed.values()), rel=1e-5)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=3), st.integers(0, 2**31))
def test_greedy_decoding_collapses_the_most_probable_path(lengths: list[int], seed: int) -> None:
    log_probs = torch.randn(max(lengths), len(lengths), 3, generator=torch.Generator().manual_seed(seed)).log_softmax(
        -1
    )
    found = greedy_decode(log_probs, torch.tensor(lengths))
    for slot, length in enumerate(lengths):
        paths = torch.tensor([*itertools.product(range(3), repeat=length)])
        scores = log_probs[torch.arange(length), slot, paths].double().sum(1)
        assert found[slot] == collapse(paths[scores.argmax()].tolist())


def test_a_beam_finds_what_greedy_decoding_misses() -> None:
    # Blank is the best class of both frames (0.6 each, 0.36 together), yet some "1" comes of three paths (0.64).
    frame = torch.tensor([0.6, 0.4]).log()
    log_probs = torch.stack([frame, frame])[:, None]
    assert greedy_decode(log_probs, torch.tensor([2])) == [[]]
    assert beam_decode(log_probs, torch.tensor([2]), beam=2) == [[1]]


@given(st.lists(PATHS, min_size=1, max_size=3))
def test_a_beam_reads_valid_frames_only_and_agrees_where_nothing_is_uncertain(paths: list[list[int]]) -> None:
    lengths = torch.tensor([len(path) for path in paths])
    assert beam_decode(_one_hot(paths), lengths, beam=3) == [collapse(path) for path in paths]
