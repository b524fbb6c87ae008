"""Averaged weights: what they are, that they are scored, kept and handed on."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sessions import curve, trial_settings

from glosstune.models import build_model
from glosstune.models.recogniser import Recogniser
from glosstune.trainables import TrainingSession, TrialSettings
from glosstune.trainables.corpora import PackedCorpus
from glosstune.trainables.export.exporting import export_checkpoint, load_recogniser
from glosstune.trainables.training.averaging import YOUNG_STEPS, AveragedWeights


def _settings(average_epochs: float) -> TrialSettings:
    return trial_settings(model={"norm": "batch"}, training={"average_epochs": average_epochs})


def _model(seed: int = 0) -> Recogniser:
    return build_model("student", 5, width=0.25, norm="batch", seed=seed)


def _fill(model: Recogniser, value: float) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)


@given(values=st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=30), span=st.floats(1, 50))
def test_an_average_is_that_of_the_formula(values: list[float], span: float) -> None:
    model = _SMALL
    averaged, expected = AveragedWeights(model, span), float(next(model.parameters()).detach().flatten()[0])
    for step, value in enumerate(values, start=1):
        _fill(model, value)
        averaged.update(model)
        share = max(1 / span, YOUNG_STEPS / (YOUNG_STEPS + step))
        expected += share * (value - expected)
    weights = torch.cat([parameter.flatten() for parameter in averaged.model.parameters()])
    assert torch.allclose(weights, torch.tensor(expected), atol=1e-3)
    assert not any(parameter.requires_grad for parameter in averaged.model.parameters())


_SMALL = _model()
_fill(_SMALL, 0.5)


def test_counters_of_normalisation_are_taken_over_and_statistics_averaged() -> None:
    model = _model()
    averaged = AveragedWeights(model, 1000)
    buffers = dict(model.named_buffers())
    with torch.no_grad():
        for buffer in buffers.values():
            buffer += 2
    averaged.update(model)
    for name, buffer in averaged.model.named_buffers():
        share = 1.0 if not buffer.is_floating_point() else YOUNG_STEPS / (YOUNG_STEPS + 1)
        start = 1.0 if name.endswith("var") else 0.0
        assert torch.allclose(buffer.float(), torch.tensor(start + 2 * share)), name


def test_weights_are_averaged_beside_a_training_that_does_not_see_it(small_corpus: PackedCorpus) -> None:
    plain, averaging = (TrainingSession(_settings(span), small_corpus) for span in (0, 1))
    assert plain.recogniser is plain.model and averaging.recogniser is not averaging.model
    for _ in range(2):
        curves = [session.run_epoch() for session in (plain, averaging)]
    assert curves[0]["train_loss"] == curves[1]["train_loss"] and curves[0]["dev_loss"] != curves[1]["dev_loss"]
    trained, seen = plain.model.state_dict(), averaging.model.state_dict()
    assert all(torch.equal(trained[name], seen[name]) for name in trained)
    # A short training looks back on all of itself; what it scores is what it reports.
    averaging.model = averaging.recogniser
    averaging.averaged = None
    assert averaging._score("dev")[2]["dev_loss"] == pytest.approx(curves[1]["dev_loss"])


def test_resuming_gives_the_curve_of_no_interruption(small_corpus: PackedCorpus, tmp_path: Path) -> None:
    settings = _settings(0.5)
    whole = TrainingSession(settings, small_corpus)
    expected = curve(whole, 4)
    begun = TrainingSession(settings, small_corpus)
    curve(begun, 2)
    begun.save(tmp_path / "last.pt")
    resumed = TrainingSession(settings, small_corpus)
    resumed.load(tmp_path / "last.pt")
    assert curve(resumed, 2) == expected[2:]
    for one, other in ((whole.model, resumed.model), (whole.recogniser, resumed.recogniser)):
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_what_is_handed_on_are_the_averaged_weights(small_corpus: PackedCorpus, tmp_path: Path) -> None:
    session = TrainingSession(_settings(1), small_corpus)
    session.run_epoch()
    session.save(tmp_path / "best.pt")
    export_checkpoint(tmp_path / "best.pt", tmp_path / "model.safetensors", {})
    handed_on = load_recogniser(tmp_path / "model.safetensors").model.state_dict()
    averaged, trained = session.recogniser.state_dict(), session.model.state_dict()
    assert all(torch.equal(handed_on[name], averaged[name]) for name in averaged)
    assert any(not torch.equal(handed_on[name], trained[name]) for name in trained)
