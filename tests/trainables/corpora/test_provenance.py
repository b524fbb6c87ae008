"""Weights that have seen what a split holds out are refused, wherever they come in."""

import hashlib
from pathlib import Path

import pytest

from glosstune.spaces import CheckpointError
from glosstune.trainables import TrainingSession
from glosstune.trainables.corpora import PackedCorpus, pack_corpus
from glosstune.trainables.corpora.provenance import check_unseen, training_recordings
from glosstune.trainables.settings import CorpusSettings, TrialSettings
from glosstune.trainables.training.pretraining import write_pretrained

SIGNERS = ("ase", "gsg", "psr", "bzs", "eso")


def _settings(corpus: CorpusSettings, pretrained: Path | None = None) -> TrialSettings:
    return TrialSettings.model_validate(
        {
            "model": {"kind": "student", "width": 0.25},
            "corpus": corpus.model_dump(),
            "training": {"epochs": 1, "precision": "fp32"},
            "pretraining": {"steps": 1},
            "pretrained": pretrained,
            "tuned": {"strategy": "full-finetune"},
        }
    )


@pytest.fixture
def everybody(corpus_cache: Path) -> CorpusSettings:
    return CorpusSettings(sentences=60, signers=SIGNERS, cache=corpus_cache)


@pytest.fixture
def held_out(everybody: CorpusSettings) -> PackedCorpus:
    return pack_corpus(everybody.model_copy(update={"split": "unseen-signers"}))


def test_pretrained_weights_of_another_split_are_refused(
    everybody: CorpusSettings, held_out: PackedCorpus, tmp_path: Path
) -> None:
    path = tmp_path / "teacher.safetensors"
    write_pretrained(path, _settings(everybody), pack_corpus(everybody), print)
    TrainingSession(_settings(everybody, path), pack_corpus(everybody))
    with pytest.raises(
        CheckpointError, match=r"learned from \d+ of the \d+ recordings that dev and test hold out here"
    ):
        TrainingSession(_settings(everybody, path), held_out)


def test_a_trial_of_another_split_is_refused_as_start_and_as_checkpoint(
    everybody: CorpusSettings, held_out: PackedCorpus, tmp_path: Path
) -> None:
    TrainingSession(_settings(everybody), pack_corpus(everybody)).save(tmp_path / "best.pt")
    for use in (
        lambda: TrainingSession(_settings(everybody, tmp_path / "best.pt"), held_out),
        lambda: TrainingSession.of_checkpoint(tmp_path / "best.pt", held_out),
    ):
        with pytest.raises(CheckpointError, match="hold out here; use weights that were made on this split"):
            use()


@pytest.mark.parametrize("split", ["multi-signer", "unseen-clips", "unseen-signers"])
def test_what_was_made_on_a_split_is_accepted_there_and_one_recording_more_is_not(
    everybody: CorpusSettings, split: str
) -> None:
    corpus = pack_corpus(everybody.model_copy(update={"split": split}))
    own = training_recordings(corpus)
    assert own == sorted(set(own))
    check_unseen(Path("weights.pt"), {"recordings": own}, corpus)
    check_unseen(Path("weights.pt"), {}, corpus)
    shown = {path for paths in corpus.table.loc[corpus.table["split"] == "train", "sources"] for path in paths}
    others = {path for paths in corpus.table["sources"] for path in paths} - shown
    held_out = hashlib.sha256(min(others).encode()).hexdigest()[:16]
    with pytest.raises(CheckpointError, match=rf"learned from 1 of the {len(others)} recordings"):
        check_unseen(Path("weights.pt"), {"recordings": [*own, held_out]}, corpus)
