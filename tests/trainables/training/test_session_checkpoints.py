"""Sessions that go on from a checkpoint, and checkpoints that open again or are refused."""

from functools import cache
from pathlib import Path

import pytest
import torch
from sessions import curve, trial_settings

from glosstune.models.weights.weights_file import read_weights, write_weights
from glosstune.spaces import CheckpointError
from glosstune.trainables import TrainingSession, TrialSettings
from glosstune.trainables.corpora import PackedCorpus


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


@pytest.mark.usefixtures("on_cpu")
def test_resuming_gives_the_curve_of_no_interruption(small_corpus: PackedCorpus, tmp_path: Path) -> None:
    whole = curve(TrainingSession(trial_settings(), small_corpus), 4)
    session = TrainingSession(trial_settings(), small_corpus)
    begun = curve(session, 2)
    session.save(tmp_path / "last.pt")
    resumed = TrainingSession(trial_settings(), small_corpus)
    resumed.load(tmp_path / "last.pt")
    assert begun + curve(resumed, 2) == whole


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
