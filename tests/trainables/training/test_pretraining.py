"""Pretraining learns from the training split alone, is made once, and leaves a file that sweeps start from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from glosstune.models import build_model, load_pretrained
from glosstune.models.weights.weights_file import read_weights
from glosstune.spaces import CheckpointError, SettingError
from glosstune.trainables import TrainingSession
from glosstune.trainables.corpora import FingerspellingCorpus, PackedCorpus, pack_corpus
from glosstune.trainables.settings import CorpusSettings, PretrainingSettings, TrialSettings
from glosstune.trainables.training.labels import labelled_signs
from glosstune.trainables.training.pretraining import pretrain, pretrained_weights, pretraining_key, write_pretrained


def _settings(corpus: CorpusSettings, kind: str = "teacher", **pretraining: object) -> TrialSettings:
    return TrialSettings.model_validate(
        {
            "model": {"kind": kind, "width": 0.25, "norm": "batch"},
            "corpus": corpus.model_dump(),
            "training": {"precision": "fp32", "epochs": 2},
            "pretraining": {"steps": 9, "batch_size": 16, "learning_rate": 2e-3, **pretraining},
        }
    )


def _ignore(line: str) -> None:
    pass


@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_a_few_steps_lower_the_loss_on_isolated_letters(
    kind: str, small_settings: CorpusSettings, small_corpus: PackedCorpus
) -> None:
    settings = _settings(small_settings, kind, steps=45, augment="none")
    model = build_model(kind, len(small_corpus.vocabulary), width=0.25, norm="batch")
    lines: list[str] = []
    progress = pretrain(model, labelled_signs(settings, small_corpus), settings, small_corpus, lines.append)
    assert len(lines) == 9 and lines[-1].startswith("step 45 of 45: loss ")
    assert progress.loss < float(lines[0].partition("loss ")[2].partition(",")[0])
    assert progress.accuracy > 0.15  # of 26 letters


@pytest.mark.usefixtures("on_cpu")
@pytest.mark.parametrize("labels", ["auto", "uniform"])
def test_the_same_settings_give_the_same_weights(
    labels: str, small_settings: CorpusSettings, small_corpus: PackedCorpus, tmp_path: Path
) -> None:
    settings = _settings(small_settings, labels=labels, steps=3, augment="speed+rotation")
    state = torch.get_rng_state()
    for name in ("a", "b"):
        write_pretrained(tmp_path / f"{name}.safetensors", settings, small_corpus, _ignore)
    assert torch.equal(state, torch.get_rng_state())
    a, b = (read_weights(tmp_path / f"{name}.safetensors").tensors for name in ("a", "b"))
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
    untrained = build_model("teacher", len(small_corpus.vocabulary), width=0.25, norm="batch").state_dict()
    assert not torch.equal(a["stem.0.weight"], untrained["stem.0.weight"])


def test_the_file_covers_all_but_the_head_and_says_how_it_was_made(
    small_settings: CorpusSettings, small_corpus: PackedCorpus, tmp_path: Path
) -> None:
    settings = _settings(small_settings, steps=1)
    write_pretrained(tmp_path / "teacher.safetensors", settings, small_corpus, _ignore)
    model = build_model("teacher", 99, width=0.25, norm="batch")
    report = load_pretrained(model, tmp_path / "teacher.safetensors")
    assert {name.partition(".")[0] for name in report.fresh} == {"lstm", "classifier"}
    assert report.differences(settings.input_and_model()) == ()
    other = _settings(small_settings.model_copy(update={"noise_floor": 0.5}))
    (difference,) = report.differences(other.input_and_model())
    assert difference.startswith("corpus.noise_floor: 0.05 in the file, 0.5 here")


def test_weights_are_made_once_and_again_when_anything_they_depend_on_changes(
    small_settings: CorpusSettings, small_corpus: PackedCorpus, tmp_path: Path
) -> None:
    corpus = small_settings.model_copy(update={"cache": tmp_path})
    settings, lines = _settings(corpus, steps=1), list[str]()
    path = pretrained_weights(settings, small_corpus, lines.append)
    made = path.stat().st_mtime_ns
    assert pretrained_weights(settings, small_corpus, lines.append) == path
    assert path.stat().st_mtime_ns == made and lines[-1] == f"pretrained weights: {path}"
    others = [
        _settings(corpus, steps=2),
        _settings(corpus, "student", steps=1),
        _settings(corpus.model_copy(update={"noise_floor": 0.1}), steps=1),
        _settings(corpus, steps=1, seed=1),
    ]
    assert len({pretraining_key(each, small_corpus) for each in (settings, *others)}) == 5
    # How foreign kernels would be fitted changes nothing here.
    assert pretraining_key(_settings(corpus, steps=1, adapt="mean"), small_corpus) == path.stem.rpartition("-")[2]


@pytest.mark.parametrize("split", ["unseen-clips", "unseen-signers"])
def test_no_recording_of_dev_or_test_is_learned_from(
    split: str, corpus_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = CorpusSettings(
        split=split,
        sentences=24,
        signers=("ase", "gsg", "psr", "bzs", "eso"),
        cache=corpus_cache,  # type: ignore[arg-type]  # parametrised
    )
    corpus = pack_corpus(settings)
    table = corpus.table
    held_out = {
        path for split in ("dev", "test") for paths in table.loc[table["split"] == split, "sources"] for path in paths
    }
    used: list[str] = []
    clip = FingerspellingCorpus.clip

    def noted(self: FingerspellingCorpus, signer: str, letter: str) -> Any:
        used.append(clip(self, signer, letter).path)
        return clip(self, signer, letter)

    monkeypatch.setattr(FingerspellingCorpus, "clip", noted)
    signs = labelled_signs(_settings(settings), corpus)
    assert len(signs.rows) == len(used) == len(set(used)) > 0
    assert held_out and not held_out & set(used)


def test_frame_labels_come_from_training_sentences_alone(
    small_settings: CorpusSettings, small_corpus: PackedCorpus
) -> None:
    signs = labelled_signs(_settings(small_settings, labels="uniform"), small_corpus)
    assert list(signs.rows) == small_corpus.rows("train")
    assert all(len(signs.cuts[row]) == len(small_corpus.glosses(row)) + 1 for row in signs.rows)


def test_sentences_are_aligned_by_the_model_of_a_trial(
    small_settings: CorpusSettings, small_corpus: PackedCorpus, tmp_path: Path
) -> None:
    session = TrainingSession(_settings(small_settings), small_corpus)
    session.run_epoch()
    session.save(tmp_path / "best.pt")
    settings = _settings(small_settings, labels="aligned", align_with=tmp_path / "best.pt", steps=2)
    signs = labelled_signs(settings, small_corpus)
    uniform = labelled_signs(_settings(small_settings, labels="uniform"), small_corpus)
    assert list(signs.rows) == list(uniform.rows)
    assert any(not np.allclose(signs.cuts[row], uniform.cuts[row]) for row in signs.rows)
    write_pretrained(tmp_path / "teacher.safetensors", settings, small_corpus, _ignore)
    recorded = read_weights(tmp_path / "teacher.safetensors").recorded["pretraining"]
    assert isinstance(recorded, dict) and recorded["labels"] == "aligned"


def test_alignment_without_a_fitting_model_is_refused(
    small_settings: CorpusSettings, small_corpus: PackedCorpus, tmp_path: Path
) -> None:
    for wrong in ({"labels": "aligned"}, {"labels": "uniform", "align_with": "best.pt"}):
        with pytest.raises(ValidationError, match="in align_with exactly where labels is 'aligned'"):
            PretrainingSettings.model_validate(wrong)
    (tmp_path / "cut.pt").write_bytes(b"PK")
    with pytest.raises(CheckpointError, match=r"cut\.pt: cannot be read as a checkpoint"):
        labelled_signs(_settings(small_settings, labels="aligned", align_with=tmp_path / "cut.pt"), small_corpus)
    torch.save({"model": {}}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match=r"other\.pt: is no checkpoint of a trial: best_wer, conditioning, epoch"):
        labelled_signs(_settings(small_settings, labels="aligned", align_with=tmp_path / "other.pt"), small_corpus)
    missing = _settings(small_settings, labels="aligned", align_with=tmp_path / "missing.pt")
    with pytest.raises(CheckpointError, match=r"missing\.pt: cannot be read \(No such file"):
        pretrained_weights(missing, small_corpus, _ignore)


def test_letters_that_no_training_word_shows_are_not_learned_from(corpus_cache: Path) -> None:
    settings = CorpusSettings(sentences=12, signers=("ase", "gsg", "psr"), cache=corpus_cache)
    corpus = pack_corpus(settings)
    words = corpus.table[corpus.table["split"] == "train"]
    shown = {path for paths in words["sources"] for path in paths}
    assert len(labelled_signs(_settings(settings), corpus).rows) == len(shown) < 78


def test_pretraining_that_diverges_leaves_nothing(
    small_settings: CorpusSettings, small_corpus: PackedCorpus, tmp_path: Path
) -> None:
    settings = _settings(small_settings, learning_rate=1000.0, steps=30)
    with pytest.raises(SettingError, match=r"pretraining\.learning_rate: pretraining diverged, its loss is"):
        write_pretrained(tmp_path / "teacher.safetensors", settings, small_corpus, _ignore)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_sentences_has_no_isolated_signs(phoenix_folder: Callable[[bool], Path], tmp_path: Path) -> None:
    root = phoenix_folder(False)
    corpus = CorpusSettings(kind="phoenix", root=root, layout="base", cache=tmp_path / "cache")
    packed = pack_corpus(corpus)
    assert labelled_signs(_settings(corpus), packed).labels == "uniform"
    with pytest.raises(SettingError, match="'isolated' needs one gloss an utterance, and 24 of 24 have more"):
        labelled_signs(_settings(corpus, labels="isolated"), packed)


def test_a_folder_of_single_signs_is_learned_sign_by_sign(
    phoenix_folder: Callable[[bool], Path], tmp_path: Path
) -> None:
    root = phoenix_folder(False)
    for file in root.glob("*.corpus.csv"):
        header, *rows = file.read_text(encoding="utf-8").splitlines()
        single = [row.rpartition("|")[0] + "|" + row.rpartition("|")[2].split()[0] for row in rows]
        file.write_text("\n".join([header, *single]) + "\n", encoding="utf-8")
    corpus = CorpusSettings(kind="phoenix", root=root, layout="base", cache=tmp_path / "cache")
    packed = pack_corpus(corpus)
    settings = _settings(corpus, steps=1)
    assert labelled_signs(settings, packed).labels == "isolated"
    write_pretrained(tmp_path / "teacher.safetensors", settings, packed, _ignore)
    assert "stem.0.weight" in read_weights(tmp_path / "teacher.safetensors").tensors
