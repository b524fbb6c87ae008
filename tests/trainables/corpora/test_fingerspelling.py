from itertools import combinations

import numpy as np
import pytest
import torch

from glosstune.spaces import SettingError
from glosstune.trainables.corpora import FingerspellingCorpus
from glosstune.trainables.corpora.fingerspelling import DEFAULT_SIGNERS, LETTERS
from glosstune.trainables.corpora.utterance import SPLITS
from glosstune.trainables.layouts.derivation import derive
from glosstune.trainables.layouts.geometry import mirror_order
from glosstune.trainables.layouts.layout import DEFAULT


def _files(corpus: FingerspellingCorpus) -> dict[str, set[str]]:
    utterances = corpus.utterances()
    return {split: {file for u in utterances if u.split == split for file in u.sources} for split in SPLITS}


def _signers(corpus: FingerspellingCorpus) -> dict[str, set[str]]:
    return {split: {u.signer for u in corpus.utterances() if u.split == split} for split in SPLITS}


def test_multi_signer_has_unseen_words_of_the_same_signers() -> None:
    corpus = FingerspellingCorpus()
    words = [u.glosses for u in corpus.utterances()]
    assert len(words) == len(set(words)) == 600 + 120 + 120
    assert _signers(corpus) == {split: set(DEFAULT_SIGNERS) for split in SPLITS}
    assert {letter for word in words for letter in word} == set(LETTERS)


@pytest.mark.parametrize("fold", range(1, 6))
def test_unseen_signers_share_no_signer_and_no_file(fold: int) -> None:
    corpus = FingerspellingCorpus("unseen-signers", fold=fold)
    for one, other in combinations(SPLITS, 2):
        assert not _signers(corpus)[one] & _signers(corpus)[other]
        assert not _files(corpus)[one] & _files(corpus)[other]


def test_every_signer_is_held_out_once_over_the_folds() -> None:
    folds = [FingerspellingCorpus("unseen-signers", fold=fold) for fold in range(1, 6)]
    for split in ("dev", "test"):
        held = [signer for fold in folds for signer in sorted(_signers(fold)[split])]
        assert sorted(held) == sorted(DEFAULT_SIGNERS)


def test_unseen_clips_share_no_file_and_keep_every_letter_in_training() -> None:
    corpus = FingerspellingCorpus("unseen-clips")
    files = _files(corpus)
    for one, other in combinations(SPLITS, 2):
        assert not files[one] & files[other]
    assert len(files["dev"]) == 4 * len(DEFAULT_SIGNERS)
    trained = {letter for u in corpus.utterances() if u.split == "train" for letter in u.glosses}
    assert trained == set(LETTERS)


def test_two_languages_with_the_same_recordings_are_refused() -> None:
    with pytest.raises(SettingError, match="'fsl' and 'ase' are the same recordings"):
        FingerspellingCorpus(signers=("ase", "fsl", "gsg"))


def test_an_unknown_signer_lists_the_known_ones() -> None:
    with pytest.raises(SettingError, match=r"corpus\.signers: 'xyz' .* ase"):
        FingerspellingCorpus(signers=("xyz",))


def test_words_are_the_same_every_time_and_have_no_jumps() -> None:
    first, again = (list(FingerspellingCorpus(signers=("ase", "gsg"), sentences=12).read()) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    for word in first:
        wrist = word[:, 162:165]
        assert np.linalg.norm(np.diff(wrist, axis=0), axis=-1).max() < 0.6


def test_a_hand_that_was_never_seen_has_no_shape_in_any_word() -> None:
    # A little noise on such a hand would become a whole hand, and say where one letter ends and the next begins.
    corpus = FingerspellingCorpus(signers=("ase", "gsg"), sentences=12)
    unseen = 0
    (hands,) = (block for block in DEFAULT.blocks if (block.channel, block.part) == ("shape", "hands"))
    for frames in corpus.read():
        shape = derive(torch.from_numpy(frames.astype(np.float16).astype(np.float32)), hands, DEFAULT)
        left, right = shape.split(63, dim=-1)
        unseen += not left.any()
        assert right.abs().max() > 0.5
    assert unseen >= 12


def test_more_words_than_the_letters_can_spell_is_an_error_not_a_hang() -> None:
    with pytest.raises(SettingError, match=r"corpus\.sentences: more words than"):
        FingerspellingCorpus("unseen-clips", signers=("ase",), sentences=30_000).utterances()


def test_a_signer_named_twice_is_refused() -> None:
    with pytest.raises(SettingError, match=r"corpus\.signers: each signer once"):
        FingerspellingCorpus(signers=("ase", "ase"))


def test_left_handed_signers_are_mirrored() -> None:
    corpus = FingerspellingCorpus(signers=("ise",), sentences=12)
    clip = corpus.clip("ise", "A").positions
    # In the shoulder frame a right hand is at negative x.
    assert np.median(clip[:, 54, 0]) < 0


def test_mirrored_faces_are_pairs_on_a_real_face() -> None:
    mean = FingerspellingCorpus(signers=("ase",)).clip("ase", "A").positions.mean(axis=0)
    order = mirror_order(DEFAULT, mean)
    assert np.array_equal(order[order], np.arange(543))
    assert (order != np.arange(543))[75:].mean() > 0.5


def test_a_missing_demo_extra_says_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingError, match=r'pip install "glosstune\[demo\]"'):
        FingerspellingCorpus()
