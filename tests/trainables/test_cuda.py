"""On a GPU a trial does what it does on a CPU; needs one, and is skipped without."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from sessions import curve, trial_settings

from glosstune.models import build_model
from glosstune.models.layers.masking import Frames
from glosstune.models.layers.normalisation import WrittenOut, normalise
from glosstune.trainables import TrainingSession, TrialSettings
from glosstune.trainables.batches.batching import collate
from glosstune.trainables.corpora import PackedCorpus
from glosstune.trainables.settings import CorpusSettings

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU"),
    # Within a graph each direction of the LSTM is run by itself, and what a replay gives has a stream of its own.
    pytest.mark.filterwarnings("ignore:RNN module weights are not part of single contiguous chunk"),
    pytest.mark.filterwarnings("ignore:The AccumulateGrad node's stream does not match"),
]

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """Products in single precision, not in TensorFloat-32."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@pytest.mark.parametrize("activation", [None, "relu", "hardswish"])
@pytest.mark.parametrize("groups", [0, 8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_fused_normalisation_is_what_is_written_out(
    activation: str | None, groups: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(0)
    lengths, found = torch.tensor([200, 131, 1, 60]), []
    values = [torch.randn(shape, generator=generator) for shape in ((4, 200, 48), (48,), (48,), (48,), (4, 200, 48))]
    for written in (False, True):
        x, added, weight, bias, grad = (value.to(GPU) for value in values)
        inputs = [x.to(dtype).requires_grad_(), *(each.requires_grad_() for each in (added, weight, bias))]
        frames = Frames.of(lengths, 200, GPU)
        if written:
            monkeypatch.setattr("glosstune.models.layers.normalisation._function", lambda device: WrittenOut)
        y = normalise(*inputs, frames, groups, 1e-5, activation)  # type: ignore[arg-type]
        found.append([y.detach(), *torch.autograd.grad(y, inputs, grad.to(dtype))])
    most = 1e-4 if dtype == torch.float32 else 5e-2
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=most, atol=most * max(1.0, float(theirs.abs().max())))


@pytest.mark.parametrize("kind", ["teacher", "student"])
@pytest.mark.parametrize("norm", ["group", "batch"])
def test_both_models_score_as_on_a_cpu(kind: str, norm: str) -> None:
    model = build_model(kind, 20, width=0.25, norm=norm, seed=0)
    features, lengths = torch.randn(3, 90, 6516), torch.tensor([90, 41, 7])
    for training in (True, False):
        model.train(training)
        model.dropout = 0.0
        scores = []
        for device in (CPU, GPU):
            with torch.no_grad():
                log_probs, own = model.to(device)(features.to(device), lengths)
            scores.append([log_probs[:length, row].cpu() for row, length in enumerate(own.tolist())])
        for ours, theirs in zip(*scores, strict=True):
            torch.testing.assert_close(theirs, ours, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("norm", ["group", "batch"])
@pytest.mark.parametrize("taught", [False, True], ids=["alone", "taught"])
def test_replayed_steps_are_those_that_run_as_they_come(
    norm: str, taught: bool, small_corpus: PackedCorpus, small_settings: CorpusSettings, exported_teacher: Path
) -> None:
    curves = {}
    for graphs in (True, False):
        said: list[str] = []
        settings = trial_settings(model={"norm": norm}, training={"cuda_graphs": graphs})
        settings = settings.model_copy(
            update={"corpus": small_settings, "teacher": exported_teacher if taught else None}
        )
        curves[graphs] = curve(TrainingSession(settings, small_corpus, device=GPU, say=said.append), 3)
        assert not [line for line in said if "captured" in line]
    for ours, theirs in zip(curves[True], curves[False], strict=True):
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=2e-2)
        assert ours["dev_loss"] == pytest.approx(theirs["dev_loss"], rel=5e-2)


def test_stages_that_thaw_are_replayed_too(small_corpus: PackedCorpus, small_settings: CorpusSettings) -> None:
    said: list[str] = []
    tuned = {"strategy": "progressive", "unfreeze_stages": 2}
    settings = trial_settings(
        model={"kind": "teacher", "norm": "batch"}, tuned=tuned, freezing={"allow_random_frozen": True}
    )
    settings = settings.model_copy(update={"corpus": small_settings})
    session = TrainingSession(settings, small_corpus, device=GPU, say=said.append)
    trained = [metrics["trainable_params"] for metrics in curve(session, 4)]
    assert trained[0] < trained[-1] and not [line for line in said if "captured" in line]


def test_losses_fall_as_on_a_cpu(small_corpus: PackedCorpus, small_settings: CorpusSettings) -> None:
    settings = trial_settings(tuned={"dropout": 0.0}).model_copy(update={"corpus": small_settings})
    ours, theirs = (curve(TrainingSession(settings, small_corpus, device=device), 3) for device in (GPU, CPU))
    for one, other in zip(ours, theirs, strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=5e-2)
    assert ours[0]["peak_gpu_mb"] > 0


def test_a_trial_goes_on_where_it_was(
    small_corpus: PackedCorpus, small_settings: CorpusSettings, tmp_path: Path
) -> None:
    settings: TrialSettings = trial_settings().model_copy(update={"corpus": small_settings})
    whole = TrainingSession(settings, small_corpus, device=GPU)
    begun = TrainingSession(settings, small_corpus, device=GPU)
    expected = curve(whole, 3)[-1]
    curve(begun, 2)
    begun.save(tmp_path / "last.pt")
    resumed = TrainingSession(settings, small_corpus, device=GPU)
    resumed.load(tmp_path / "last.pt")
    assert curve(resumed, 1)[-1]["train_loss"] == pytest.approx(expected["train_loss"], rel=2e-2)


def test_half_precision_is_near_single(small_corpus: PackedCorpus, small_settings: CorpusSettings) -> None:
    losses = []
    for precision in ("fp32", "bf16"):
        settings = trial_settings(training={"precision": precision}).model_copy(update={"corpus": small_settings})
        losses.append(curve(TrainingSession(settings, small_corpus, device=GPU), 2)[-1]["train_loss"])
    assert losses[1] == pytest.approx(losses[0], rel=0.1)


def test_features_are_derived_there(small_corpus: PackedCorpus, small_settings: CorpusSettings) -> None:
    settings = trial_settings().model_copy(update={"corpus": small_settings})
    rows = small_corpus.rows("train")[:5]
    ours, theirs = (
        collate(small_corpus, rows, TrainingSession(settings, small_corpus, device=device).conditioning).features
        for device in (GPU, CPU)
    )
    torch.testing.assert_close(ours.cpu(), theirs, rtol=1e-4, atol=1e-4)
