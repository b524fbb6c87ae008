from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from glosstune.models.recogniser import Recogniser, State
from glosstune.results.reading.objectives import COSTS
from glosstune.trainables import CTCTrainable, TrialSettings
from glosstune.trainables.settings import CorpusSettings
from glosstune.trainables.trainable import TrialContext, in_sweep


@pytest.fixture
def configured(small_settings: CorpusSettings) -> Any:
    """The configuration of a trial as a sweep gives it."""

    def configured(trial: int = 0, from_epoch: int = 0, learning_rate: float = 1e-3) -> dict[str, Any]:
        settings = {
            "model": {"width": 0.25},
            "corpus": small_settings.model_dump(mode="json"),
            "training": {"batch_size": 8, "precision": "fp32"},
            "tuned": {"learning_rate": learning_rate},
        }
        return {"trial": trial, "from_epoch": from_epoch, "settings": settings}

    return configured


@pytest.fixture
def trainable(ray_cluster: None, tmp_path: Path) -> Any:
    return in_sweep(CTCTrainable, TrialContext(str(tmp_path), threads=1))


def _losses(trial: Any, epochs: int) -> list[float]:
    return [trial.train()["train_loss"] for _ in range(epochs)]


def test_a_trial_goes_on_from_its_newest_epoch(trainable: Any, configured: Any) -> None:
    whole = trainable(config=configured())
    losses = _losses(whole, 2)
    further = trainable(config=configured(from_epoch=2))
    assert _losses(further, 1) == _losses(whole, 1) != losses[:1]
    whole.stop()
    further.stop()


def test_an_epoch_that_was_never_reported_is_reported_first(trainable: Any, configured: Any) -> None:
    lost = trainable(config=configured())
    losses = _losses(lost, 3)
    again = trainable(config=configured(from_epoch=2))
    assert _losses(again, 2) == [losses[2], *_losses(lost, 1)]
    lost.stop()
    again.stop()


@pytest.mark.slow
def test_what_a_recogniser_costs_is_reported_once_with_its_first_epoch(
    ray_cluster: None, configured: Any, tmp_path: Path
) -> None:
    context = TrialContext(str(tmp_path), threads=1, objectives=("wer", "parameters", "latency_ms"))
    trainable = in_sweep(CTCTrainable, context)
    trial = trainable(config=configured())
    first, second = trial.train(), trial.train()
    assert set(COSTS) & set(first) == {"parameters", "size_mb", "latency_ms"} and not set(COSTS) & set(second)
    # The first epoch was stored, and its report lost: it is reported again, with costs that nobody has yet.
    lost = trainable(config=configured(1))
    lost.train()
    again = trainable(config=configured(1))
    assert again.train()["parameters"] == first["parameters"]
    for each in (trial, lost, again):
        each.stop()


def test_measuring_costs_changes_nothing_that_is_trained(trainable: Any, configured: Any, tmp_path: Path) -> None:
    context = TrialContext(str(tmp_path), threads=1, objectives=("wer", "latency_ms", "dev_frames_per_s"))
    measured = in_sweep(CTCTrainable, context)(config=configured(1))
    plain = trainable(config=configured())
    assert _losses(measured, 2) == _losses(plain, 2)
    measured.stop()
    plain.stop()


def test_the_best_epoch_is_kept_and_so_is_the_last(trainable: Any, configured: Any, tmp_path: Path) -> None:
    trial, folder = trainable(config=configured()), tmp_path / "trials" / "0000"
    reports, kept = [], []
    for _ in range(3):
        reports.append(trial.train())
        kept.append([torch.load(folder / name, weights_only=True)["metrics"]["wer"] for name in ("best.pt", "last.pt")])
    trial.stop()
    assert kept == [[report["best_wer"], report["wer"]] for report in reports]
    assert {path.name for path in folder.iterdir()} == {"best.pt", "hypotheses.parquet", "last.pt", "trial.log"}


def test_a_damaged_checkpoint_lets_the_trial_start_over_under_its_seed(
    trainable: Any, configured: Any, tmp_path: Path
) -> None:
    first = trainable(config=configured())
    losses = _losses(first, 2)
    first.stop()
    (tmp_path / "trials" / "0000" / "last.pt").write_bytes(b"torn")
    again = trainable(config=configured(from_epoch=2))
    assert _losses(again, 2) == losses
    again.stop()
    assert "starts over" in (tmp_path / "trials" / "0000" / "trial.log").read_text()


def test_an_error_is_a_report_that_names_it(trainable: Any, configured: Any, tmp_path: Path) -> None:
    broken = trainable(config=configured(learning_rate=-1.0))
    report = broken.train()
    assert report["failure_rule"] == "error" and "ValidationError" in report["failure"]
    broken.stop()


def _run_out(monkeypatch: pytest.MonkeyPatch, most: int, error: Exception) -> None:
    """Let every forward pass over more than so many utterances run out of memory."""
    forward = Recogniser.forward_from

    def limited(model: Recogniser, layer: str, state: State, lengths: Tensor) -> Any:
        if len(lengths) > most:
            raise error
        return forward(model, layer, state, lengths)

    monkeypatch.setattr(Recogniser, "forward_from", limited)


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")],
    ids=["gpu", "cpu"],
)
def test_out_of_memory_halves_the_batch_and_the_trial_goes_on(
    trainable: Any, configured: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    first = trainable(config=configured())
    assert first.train()["micro_batches"] == 1
    _run_out(monkeypatch, 4, error)
    reports = [first.train() for _ in range(2)]
    assert [report["epoch"] for report in reports] == [2, 3]
    assert [report["micro_batches"] for report in reports] == [2, 2]
    assert "out of memory" in (tmp_path / "trials" / "0000" / "trial.log").read_text()
    first.stop()
    further = trainable(config=configured(from_epoch=3))  # which does not run out again first
    report = further.train()
    assert (report["epoch"], report["micro_batches"]) == (4, 2)
    assert (tmp_path / "trials" / "0000" / "trial.log").read_text().count("WARNING out of memory") == 1
    further.stop()


def test_a_trial_that_runs_out_of_memory_with_half_a_batch_fails(
    trainable: Any, configured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _run_out(monkeypatch, 2, torch.OutOfMemoryError("CUDA out of memory"))
    trial = trainable(config=configured())
    report = trial.train()
    assert (report["failure_rule"], report["failure"]) == ("out of memory", "OutOfMemoryError: CUDA out of memory")
    trial.stop()


def test_out_of_memory_while_it_begins_again_is_told_as_that(
    trainable: Any, configured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = trainable(config=configured())
    _run_out(monkeypatch, 4, torch.OutOfMemoryError("CUDA out of memory"))

    def full(self: CTCTrainable, settings: TrialSettings) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory, again")

    monkeypatch.setattr(CTCTrainable, "_new_session", full)
    report = trial.train()
    assert report["failure"] == "OutOfMemoryError: CUDA out of memory, again"
    assert report["failure_rule"] == "out of memory"
    trial.stop()


def test_a_reused_process_trains_the_next_trial_as_a_fresh_one_would(
    trainable: Any, configured: Any, tmp_path: Path
) -> None:
    reused = trainable(config=configured())
    _losses(reused, 1)
    assert reused.reset(configured(1, learning_rate=2e-3))
    fresh = trainable(config=configured(2, learning_rate=2e-3))
    assert _losses(reused, 1) == _losses(fresh, 1)
    reused.stop()
    fresh.stop()
    assert {path.name for path in (tmp_path / "trials").iterdir()} == {"0000", "0001", "0002"}
    assert "configuration" in (tmp_path / "trials" / "0001" / "trial.log").read_text()
