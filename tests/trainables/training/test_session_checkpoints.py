"""Sessions that go on from a checkpoint, and checkpoints that open again or are refused."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from sessions import curve, trial_settings

from glosstune.models import build_model
from glosstune.models.weights.weights_file import read_weights, write_weights
from glosstune.spaces import STRATEGIES, CheckpointError
from glosstune.trainables import TrainingSession, TrialSettings
from glosstune.trainables.corpora import PackedCorpus
from glosstune.trainables.settings import CorpusSettings


@cache
def _whole_curve(settings: TrialSettings, corpus: PackedCorpus) -> list[dict[str, float]]:
    return curve(TrainingSession(settings, corpus), settings.training.epochs)


@pytest.mark.usefixtures("on_cpu")
def test_the_same_seed_gives_the_same_curve_and_another_seed_another(small_corpus: PackedCorpus) -> None:
    settings = trial_settings(training={"augment": "speed+time-masks"})
    first, again = (curve(TrainingSession(settings, small_corpus), 2) for _ in range(2))
    assert first == again
    other = curve(TrainingSession(trial_settings(training={"seed": 1}), small_corpus), 2)
    assert other != first


@pytest.fixture(scope="module")
def student_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All layers before the LSTM of a student."""
    path = tmp_path_factory.mktemp("weights") / "student.safetensors"
    state = build_model("student", 9, width=0.125, norm="batch", seed=7).state_dict()
    write_weights(path, {name: each for name, each in state.items() if not name.startswith(("lstm.", "class"))}, {})
    return path


def _assert_same(one: Any, other: Any, where: str) -> None:
    """Two checkpoints hold the same bits, but for what a clock tells."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for name in one.keys() - {"frames_per_s", "epoch_s"}:
            _assert_same(one[name], other[name], f"{where}.{name}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for place, pair in enumerate(zip(one, other, strict=True)):
            _assert_same(*pair, f"{where}.{place}")
    elif isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype and torch.equal(one, other), where
    else:
        assert one == other, where


@pytest.mark.usefixtures("on_cpu")
@pytest.mark.parametrize(
    ("strategy", "taught", "cached", "parts"),
    [
        *((strategy, together, together, 1 + together) for strategy in STRATEGIES for together in (False, True)),
        ("progressive", True, False, 1),
        ("progressive", False, True, 1),
        ("progressive", False, False, 2),
    ],
)
def test_interrupted_after_every_epoch_is_uninterrupted_to_the_bit(
    small_corpus: PackedCorpus,
    small_settings: CorpusSettings,
    exported_teacher: Path,
    student_weights: Path,
    tmp_path: Path,
    strategy: str,
    taught: bool,
    cached: bool,
    parts: int,
) -> None:
    # Activations are kept of a corpus that is not augmented before them.
    augmented = {"augment_activations": "speed+noise"} if cached else {"augment": "speed+time-masks"}
    settings = trial_settings(
        model={"norm": "batch", "width": 0.125},
        pretrained=student_weights,
        training={"epochs": 2, "average_epochs": 0.5, **augmented},
        tuned={"strategy": strategy, "unfreeze_stages": 2 if strategy == "progressive" else None},
        distillation={"feature_weight": 1.0},
    )
    changes = {"teacher": exported_teacher if taught else None, "corpus": small_settings, "activation_cache": cached}
    settings = settings.model_copy(update=changes)
    whole = TrainingSession(settings, small_corpus)
    whole.micro_batches = parts
    for epoch in range(2):
        whole.run_epoch()
        whole.save(tmp_path / "whole.pt")
        torch.manual_seed(epoch)  # of another process
        session = TrainingSession(settings, small_corpus)
        session.micro_batches = parts if epoch == 0 else 1  # the checkpoint knows
        if epoch:
            session.load(tmp_path / "last.pt")
        session.run_epoch()
        session.save(tmp_path / "last.pt")
        frozen = STRATEGIES[strategy].freeze_until is not None
        assert epoch or any(session._activations._found.values()) == (cached and frozen)
        states = [torch.load(tmp_path / name, weights_only=True) for name in ("whole.pt", "last.pt")]
        _assert_same(*states, f"epoch {epoch + 1}")


@pytest.mark.usefixtures("on_cpu")
@pytest.mark.parametrize("interruption", [1, 2, 3, 4, 5])
def test_resuming_inside_any_stage_of_unfreezing_gives_the_curve_of_no_interruption(
    small_corpus: PackedCorpus, weights: Path, tmp_path: Path, interruption: int
) -> None:
    settings = trial_settings(
        model={"kind": "teacher", "norm": "batch"},
        pretrained=weights,
        training={"epochs": 6},
        freezing={"discriminative": 0.5, "warmup_at_thaw": 1},
        tuned={"strategy": "progressive", "unfreeze_stages": 3, "warmup_epochs": 1},
    )
    whole = _whole_curve(settings, small_corpus)
    assert [metrics["trainable_params"] for metrics in whole] == sorted(m["trainable_params"] for m in whole)
    session = TrainingSession(settings, small_corpus)
    begun = curve(session, interruption)
    session.save(tmp_path / "last.pt")
    resumed = TrainingSession(settings, small_corpus)
    resumed.load(tmp_path / "last.pt")
    assert begun + curve(resumed, 6 - interruption) == whole


def test_a_checkpoint_opens_again_as_the_session_that_wrote_it(
    small_corpus: PackedCorpus, weights: Path, tmp_path: Path
) -> None:
    gone = tmp_path / "gone.safetensors"
    gone.write_bytes(weights.read_bytes())
    settings = trial_settings(
        model={"kind": "teacher", "norm": "batch"}, pretrained=gone, tuned={"strategy": "full-finetune"}
    )
    session = TrainingSession(settings, small_corpus)
    session.run_epoch()
    session.save(tmp_path / "best.pt")
    gone.unlink()
    again = TrainingSession.of_checkpoint(tmp_path / "best.pt", small_corpus)
    assert again.epoch == 1 and again.settings.tuned == settings.tuned
    assert all(torch.equal(a, b) for a, b in zip(session.model.parameters(), again.model.parameters(), strict=True))


def test_what_trains_below_the_depth_is_kept_with_the_checkpoint(
    small_corpus: PackedCorpus, weights: Path, tmp_path: Path
) -> None:
    tensors = read_weights(weights).tensors
    partial = {name: value for name, value in tensors.items() if not name.startswith("stem")}
    write_weights(tmp_path / "partial.safetensors", partial, {})
    settings = trial_settings(
        model={"kind": "teacher", "norm": "batch"},
        pretrained=tmp_path / "partial.safetensors",
        tuned={"strategy": "feature-extraction"},
    )
    session = TrainingSession(settings, small_corpus)
    curve(session, 1)
    session.save(tmp_path / "last.pt")
    again = TrainingSession.of_checkpoint(tmp_path / "last.pt", small_corpus)
    assert again.fresh == session.fresh and "stem.0.weight" in again.fresh
    assert curve(again, 1) == curve(session, 1)


def test_a_checkpoint_of_other_glosses_is_refused(small_corpus: PackedCorpus, tmp_path: Path) -> None:
    session = TrainingSession(trial_settings(), small_corpus)
    session.save(tmp_path / "last.pt")
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    state["vocabulary"][0] = "ZEBRA"
    torch.save(state, tmp_path / "last.pt")
    with pytest.raises(CheckpointError, match=r"last\.pt: its model writes other glosses"):
        session.load(tmp_path / "last.pt")


@pytest.mark.parametrize("damage", ["truncated", "of another width", "a planted pickle"])
def test_a_damaged_checkpoint_is_refused_and_runs_nothing(
    small_corpus: PackedCorpus, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "last.pt"
    session = TrainingSession(trial_settings(), small_corpus)
    if damage == "of another width":
        TrainingSession(trial_settings(model={"width": 0.5}), small_corpus).save(path)
    elif damage == "truncated":
        session.save(path)
        path.write_bytes(path.read_bytes()[:1000])
    else:
        torch.save(_Planted(tmp_path / "ran"), path)
    with pytest.raises(CheckpointError, match=r"last\.pt"):
        session.load(path)
    assert not (tmp_path / "ran").exists()


class _Planted:
    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.sentinel,)
