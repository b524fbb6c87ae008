"""Models are verified by name: one's own as ours, and a file of one's own only where its code is named."""

from collections.abc import Callable
from pathlib import Path

import pytest

from glosstune.search.checks.diagnosing import diagnose, middle_settings
from glosstune.search.config.loading import load_named
from glosstune.trainables import TrainingSession, TrialSettings
from glosstune.trainables.corpora import PackedCorpus
from glosstune.trainables.settings import CorpusSettings

Run = Callable[..., int]
OWN = "own_models:Tiny"


def test_a_model_of_ones_own_is_verified_by_its_name(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", OWN, "--vocabulary", "9", "--time-stride", "2") == 0
    assert "PASS  padding" in capsys.readouterr().out
    assert run("verify", "--model", OWN, "--vocabulary", "9") == 0


def test_a_recogniser_is_verified_on_as_many_values_as_it_reads(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", "--model", "own_models:hands_alone", "--vocabulary", "9") == 0
    assert run("verify", "--model", "own_models:hands_alone", "--vocabulary", "9", "--features", "12") == 1
    assert "must be (batch, time, 336), a frame being hands 84 | temporal 252" in capsys.readouterr().out


@pytest.mark.parametrize("command", [("verify", "student"), ("diagnose",)], ids=["verify", "diagnose"])
def test_a_number_of_features_is_for_somebody_elses_model_alone(
    run: Run, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*command, "--features", "336") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--features: goes with --model alone: other models read what their layout has" in line


def test_what_a_model_of_ones_own_lacks_is_one_line_and_status_2(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", "own_models:Unsaid") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "model.kind: own_models:Unsaid lacks architecture; see docs/extending.md" in line


def test_a_wrong_kind_lists_those_that_there_are(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("overfit", "techer") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "model.kind: must be 'teacher' or 'student', or package.module:Name of one of your own; got 'techer'" in line


def test_a_checkpoint_of_ones_own_model_is_read_where_it_is_named(
    run: Run,
    small_settings: CorpusSettings,
    small_corpus: PackedCorpus,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = TrialSettings.model_validate({"model": {"kind": OWN}, "corpus": small_settings})
    TrainingSession(settings, small_corpus).save(tmp_path / "best.pt")
    assert run("verify", str(tmp_path / "best.pt")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"its model is {OWN}, code that is not glosstune's" in line
    assert run("verify", str(tmp_path / "best.pt"), "--kind", OWN) == 0


def test_the_packaged_sweep_of_a_model_of_ones_own_is_the_students(tmp_path: Path) -> None:
    own, student = load_named(OWN, ["model.width=0.5"]), load_named("student", ["model.width=0.5"])
    assert own.model == student.model.model_copy(update={"kind": OWN})
    assert own.space == student.space


def test_a_sweep_of_a_model_of_ones_own_is_diagnosed(small_settings: CorpusSettings) -> None:
    few = [f"corpus.signers={list(small_settings.signers or ())}", "corpus.sentences=24"]
    few += [f"corpus.cache={small_settings.cache}", "space={learning_rate: 1e-2}"]
    sweep = load_named(OWN, few)
    assert middle_settings(sweep).model.kind == OWN
    causes = {finding.cause for finding in diagnose(sweep, lambda line: None, sample=24)}
    assert not causes & {"model does not run", "model sees padding", "gradients do not arrive"}
