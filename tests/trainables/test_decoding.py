import torch
from hypothesis import given
from hypothesis import strategies as st

from glosstune.trainables import greedy_decode
from glosstune.trainables.decoding import blank_frames, collapse

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
