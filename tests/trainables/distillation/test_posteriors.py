"""A teacher's posteriors are what it says, kept once, and refused where it reads or writes something else."""

import errno
import json
import pickle
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from glosstune.models import read_weights, write_weights
from glosstune.spaces.errors import CheckpointError, FolderError, GlosstuneError, SettingError
from glosstune.spaces.files.atomic import file_hash
from glosstune.trainables import TrainingSession, TrialSettings, load_recogniser, word_error_rate
from glosstune.trainables.corpora import PackedCorpus, pack_corpus
from glosstune.trainables.distillation import posteriors
from glosstune.trainables.distillation.posteriors import Posteriors, likeness, open_teacher, teacher_posteriors
from glosstune.trainables.settings import CorpusSettings

Change = Callable[[dict[str, object]], None]


@pytest.fixture
def settings(small_settings: CorpusSettings, exported_teacher: Path) -> TrialSettings:
    return TrialSettings(corpus=small_settings, teacher=exported_teacher)


@pytest.fixture
def elsewhere(settings: TrialSettings, tmp_path: Path) -> TrialSettings:
    """The same with a cache that has no posteriors yet."""
    return settings.model_copy(update={"corpus": settings.corpus.model_copy(update={"cache": tmp_path})})


@pytest.fixture
def kept(settings: TrialSettings, small_corpus: PackedCorpus) -> Posteriors:
    return _found(settings, small_corpus)


def _found(settings: TrialSettings, corpus: PackedCorpus) -> Posteriors:
    assert settings.teacher is not None
    return teacher_posteriors(settings, corpus, open_teacher(settings, corpus), file_hash(settings.teacher))


def test_they_are_what_the_teacher_says_to_half_precision(
    kept: Posteriors, exported_teacher: Path, small_corpus: PackedCorpus
) -> None:
    teacher = load_recogniser(exported_teacher)
    for row in small_corpus.rows("train")[:3]:
        said, lengths = teacher.log_probs([small_corpus.frames(row)])
        found = kept.log_probs(row)
        assert found.shape == (int(lengths[0]), len(small_corpus.vocabulary))
        np.testing.assert_allclose(np.exp(found.astype(np.float32)), said[:, 0].exp().numpy(), atol=5e-3)
        alike = kept.likeness(row).astype(np.float32)
        assert alike.shape == (len(found), len(found))
        np.testing.assert_allclose(np.diag(alike), 1, atol=2e-3)


def test_they_know_the_teachers_own_error_rate(
    kept: Posteriors, exported_teacher: Path, small_corpus: PackedCorpus
) -> None:
    written = TrainingSession.of_checkpoint(exported_teacher.with_suffix(".pt"), small_corpus).score("dev")
    references, hypotheses = ([text.split() for text in written[name]] for name in ("reference", "hypothesis"))
    assert kept.wer == word_error_rate(references, hypotheses).wer > 0


def test_a_teacher_runs_once_and_again_when_it_or_its_corpus_changes(
    kept: Posteriors,
    settings: TrialSettings,
    small_settings: CorpusSettings,
    small_corpus: PackedCorpus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forbidden(*arguments: object) -> None:
        raise AssertionError("ran again")

    monkeypatch.setattr(posteriors, "_write", forbidden)
    assert _found(settings, small_corpus) == kept
    monkeypatch.undo()
    changed = _changed(settings, tmp_path, lambda recorded: None, shift=0.01)
    other = _found(changed, small_corpus)
    assert other.folder != kept.folder and other.sha256 != kept.sha256
    more = small_settings.model_copy(update={"sentences": 30})
    assert _found(settings, pack_corpus(more)).folder not in (kept.folder, other.folder)


def test_two_builders_at_once_make_one_store(
    elsewhere: TrialSettings, small_corpus: PackedCorpus, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(2) as pool:  # threads, but the lock is on a file that each opens for itself
        both = list(pool.map(lambda _: _found(elsewhere, small_corpus), range(2)))
    assert both[0] == both[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == [both[0].folder.name, f"{both[0].folder.name}.lock"]


def test_a_full_disk_leaves_nothing_half_written(
    elsewhere: TrialSettings, small_corpus: PackedCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **arrays: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(posteriors.np, "savez", full)
    with pytest.raises(FolderError, match=r"No space left on device.*corpus\.cache"):
        _found(elsewhere, small_corpus)
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".lock"]


@pytest.mark.parametrize("name", ["log_probs.f16", "likeness.f16", "rows.npz", "posteriors.json"])
def test_a_damaged_store_is_named(kept: Posteriors, tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(kept.folder, tmp_path / "posteriors"))
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=f"{folder}.*remove this folder"):
        Posteriors.open(folder)


def test_a_store_of_another_version_is_refused(kept: Posteriors, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(kept.folder, tmp_path / "posteriors"))
    meta = json.loads((folder / "posteriors.json").read_text())
    (folder / "posteriors.json").write_text(json.dumps({**meta, "format": 99}))
    with pytest.raises(CheckpointError, match="another version"):
        Posteriors.open(folder)


def _changed(settings: TrialSettings, folder: Path, change: Change, shift: float = 0.0) -> TrialSettings:
    """The same with a teacher whose file says something else of itself."""
    assert settings.teacher is not None
    file = read_weights(settings.teacher)
    recorded = json.loads(json.dumps(file.recorded))
    change(recorded)
    path = folder / "changed.safetensors"
    write_weights(path, {name: value + shift for name, value in file.tensors.items()}, recorded)
    return settings.model_copy(update={"teacher": path})


def _put(*keys: str, value: object) -> Change:
    def change(recorded: dict[str, object]) -> None:
        section = recorded
        for key in keys[:-1]:
            section = section[key]  # type: ignore[assignment]  # nested sections
        section[keys[-1]] = value

    return change


def _put_layout(recorded: dict[str, object]) -> None:
    """A face of as many landmarks, of which nobody knows which is which."""
    recorded["layout"][-1]["skeleton"] = None  # type: ignore[index]  # nested sections


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        (lambda r: r["vocabulary"].reverse(), CheckpointError, r"changed.safetensors: .*\(the same in another"),
        (lambda r: r["vocabulary"].__setitem__(0, "?"), CheckpointError, r"'\?' only there, 'A' only here"),
        (_put_layout, SettingError, r"must be that of changed\.safetensors.* frames are \[pose.*skeleton: null\}\]"),
        (_put("settings", "corpus", "noise_floor", value=0.2), SettingError, "corpus.noise_floor=0.2"),
        (_put("settings", "corpus", "gains", "face", value=0.5), SettingError, "corpus.gains={.*face: 0.5"),
        (
            _put("settings", "model", "width", value=0.5),
            CheckpointError,
            "^[^\n]*do not fit its settings .*size mismatch for modality_fusion[^\n]*export it again$",
        ),
        (
            _put("settings", "model", "time_stride", value=3),
            CheckpointError,
            "^[^\n]*another version .model.time_stride: .* got 3.; export it again$",
        ),
    ],
    ids=["order", "vocabulary", "layout", "floor", "gains", "width", "stride"],
)
def test_a_teacher_of_something_else_is_refused(
    settings: TrialSettings,
    small_corpus: PackedCorpus,
    tmp_path: Path,
    change: Change,
    error: type[GlosstuneError],
    told: str,
) -> None:
    with pytest.raises(error, match=told):
        open_teacher(_changed(settings, tmp_path, change), small_corpus)


def test_a_teacher_that_has_seen_what_dev_holds_out_is_refused(
    settings: TrialSettings, small_settings: CorpusSettings, exported_teacher: Path, tmp_path: Path
) -> None:
    apart = pack_corpus(small_settings.model_copy(update={"split": "unseen-clips", "sentences": 60}))
    change = _put("vocabulary", value=list(apart.vocabulary.glosses))
    with pytest.raises(CheckpointError, match=r"learned from .* recordings that dev and test hold out"):
        open_teacher(_changed(settings, tmp_path, change), apart)


def test_a_planted_pickle_does_not_run(settings: TrialSettings, small_corpus: PackedCorpus, tmp_path: Path) -> None:
    class Planted:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (str(tmp_path / "ran"),))

    for name in ("teacher.safetensors", "teacher.pt"):
        path = tmp_path / name
        path.write_bytes(pickle.dumps({"model": Planted()}))
        with pytest.raises(CheckpointError, match=name):
            open_teacher(settings.model_copy(update={"teacher": path}), small_corpus)
    assert not (tmp_path / "ran").exists()


def test_a_cache_that_cannot_be_written_is_named(
    settings: TrialSettings, small_corpus: PackedCorpus, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    blocked = settings.corpus.model_copy(update={"cache": tmp_path / "file"})
    with pytest.raises(FolderError, match=r"corpus\.cache=FOLDER"):
        _found(settings.model_copy(update={"corpus": blocked}), small_corpus)


def test_a_frame_is_most_like_itself() -> None:
    alike = likeness(torch.randn(1, 7, 5, generator=torch.Generator().manual_seed(0)), torch.tensor([7]))
    torch.testing.assert_close(alike[0].diagonal(), torch.ones(7))
    assert (alike[0].argmax(-1) == torch.arange(7)).all()
