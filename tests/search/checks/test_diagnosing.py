"""What a diagnosis names, and what it does not accuse."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glosstune.models import Check
from glosstune.search.checks import diagnosing
from glosstune.search.checks.curve import judge_curve
from glosstune.search.checks.diagnosing import _for_space, diagnose, judge_checks, middle
from glosstune.search.checks.inspecting import describe_findings
from glosstune.search.config.loading import load_sweep
from glosstune.search.config.sweep import Sweep
from glosstune.search.storage.record import Record
from glosstune.search.storage.sweep_folder import SweepFolder, write_sweep
from glosstune.spaces import Choice, Float, Int, Space
from glosstune.trainables.checks.findings import Finding, Inspection, cannot_tell, rank
from glosstune.trainables.corpora import PackedCorpus
from glosstune.trainables.settings import CorpusSettings, TrialSettings

Run = Callable[..., int]


def _sweep(settings: CorpusSettings, *overrides: str) -> Sweep:
    own = [f"corpus.signers={list(settings.signers or ())}", "corpus.sentences=100", f"corpus.cache={settings.cache}"]
    return load_sweep("student", ["model.width=0.25", "space={learning_rate: 1e-2}", *own, *overrides])


def _causes(sweep: Sweep, **options: object) -> list[str]:
    found = diagnose(sweep, lambda line: None, sample=40, **options)  # type: ignore[arg-type]  # as given
    return [finding.cause for finding in found if finding.accuses]


@pytest.mark.slow
def test_a_sound_recipe_is_not_accused(small_settings: CorpusSettings) -> None:
    assert _causes(_sweep(small_settings)) == []


def test_random_layers_that_are_frozen_are_named(small_settings: CorpusSettings) -> None:
    frozen = "space={strategy: feature-extraction, freeze_until: last, learning_rate: 1e-2}"
    assert "frozen layers are random" in _causes(_sweep(small_settings, frozen, "freezing.allow_random_frozen=true"))


def test_somebody_elses_model_is_verified_instead(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = (
        "import torch\n"
        "class Net(torch.nn.Module):\n"
        "    def __init__(self, glosses):\n"
        "        super().__init__()\n"
        "        self.out = torch.nn.Linear(6516, glosses)\n"
        "    def forward(self, features):\n"
        "        return self.out(features)\n"
        "def nothing():\n"
        "    return 3\n"
    )
    (tmp_path / "somebodys_net.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    assert run("verify", "--model", "somebodys_net:Net", "--vocabulary", "7") == 1
    told = capsys.readouterr().out
    assert "FAIL  normalised" in told and "end the model with log_softmax" in told
    assert "PASS  shape" in told
    for wrong, message in (
        ("somebodys_net:Gone", "cannot be imported"),
        ("no_such_module:Net", "cannot be imported"),
        ("somebodys_net:nothing", "which is no torch module"),
        ("somebodys_net", "must be package.module:Name"),
    ):
        assert run("verify", "--model", wrong) == 2
        assert message in capsys.readouterr().err


def test_verify_takes_models_and_files_and_nothing_else(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("verify", "student", "--width", "0.25", "--vocabulary", "9") == 0
    assert capsys.readouterr().out.count("PASS") == 8
    assert run("verify", "nobody") == 2
    assert "neither teacher nor student nor package.module:Name, and no such file" in capsys.readouterr().err
    assert run("verify") == 2
    assert "name teacher, student, or package.module:Name of your own; or a file" in capsys.readouterr().err
    assert run("verify", "student", "--width", "9") == 2
    assert "model.width: must be above 0 and at most 4.0; got 9.0" in capsys.readouterr().err
    (tmp_path / "a.pt").write_bytes(b"no checkpoint")
    assert run("verify", str(tmp_path / "a.pt")) == 2
    assert "cannot be read as a checkpoint" in capsys.readouterr().err
    assert run("verify", str(tmp_path / "a.pt"), "--layout", "hands-2d") == 2
    assert "--layout: goes with a kind of model, teacher or student; " in capsys.readouterr().err


def test_a_trial_is_diagnosed_by_its_own_sweep(
    run: Run, small_settings: CorpusSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = _sweep(small_settings, "model.time_stride=16", "space.learning_rate={float: [1e-3, 1e-1], log: true}")
    write_sweep(plan, SweepFolder(tmp_path))
    record = Record(tmp_path / "record.jsonl")
    record.append("sweep", format=1, id="a", samples=1, epochs=18, metric="wer", target=0.3)
    record.append("trial", trial=0, configuration={"learning_rate": 1e-2}, source="")
    sound = {"wer": 0.98, "train_loss": 3.0, "dev_loss": 3.0, "loss_below_floor": 0.01, "blank_ratio": 0.99}
    for epoch in range(1, 5):
        record.append("report", trial=0, epoch=epoch, node="box", metrics=sound)
    assert run("diagnose", "--trial", str(tmp_path), "0", "--model", "torch.nn:Identity", "--json") == 0
    causes = [finding["cause"] for finding in json.loads(capsys.readouterr().out)]
    assert causes[0] == "model does not run"
    assert {"time stride too large", "blank collapse"} < set(causes)
    assert run("diagnose", "--trial", str(tmp_path), "7") == 2
    assert "7" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "mend", "acts"),
    [
        ([], "model.time_stride=8", "model.time_stride=8"),
        (["space.time_stride={choice: [8, 16]}"], "model.time_stride=8", "space.time_stride=8"),
        ([], "pretrained=auto", "pretrained=auto space.strategy=full-finetune"),
        (["space.gains.face=0.5"], "corpus.gains=auto", "corpus.gains=auto, beside which space.gains.face are factors"),
    ],
)
def test_an_override_acts_where_the_space_has_the_key(
    small_settings: CorpusSettings, overrides: list[str], mend: str, acts: str
) -> None:
    assert _for_space(mend, _sweep(small_settings, *overrides)).startswith(acts)


def test_failed_checks_become_causes() -> None:
    passed = Check("shape", True, "")
    assert judge_checks([passed]) == []
    (finding,) = judge_checks([passed, Check("normalised", False, "sums to 3"), Check("log-probabilities", False, "2")])
    assert (finding.cause, finding.evidence) == ("no log-softmax", "sums to 3")
    assert [f.cause for f in judge_checks([Check("padding", False, "0.3")])] == ["model sees padding"]


def _curve(epochs: int = 6, **columns: float | list[float]) -> pd.DataFrame:
    sound = {"wer": 0.5, "train_loss": 1.0, "dev_loss": 1.2, "loss_below_floor": 0.7, "blank_ratio": 0.6}
    sound |= {"insertion_rate": 0.02, "deletion_rate": 0.2, "grad_norm": 2.0, "nonfinite_steps": 0.0}
    return pd.DataFrame({"epoch": range(1, epochs + 1), **sound, **columns})


@pytest.mark.parametrize(
    ("curve", "causes"),
    [
        (_curve(), []),
        (_curve(2, wer=1.0, blank_ratio=1.0), []),  # too early to tell
        (_curve(wer=0.98, blank_ratio=0.99, loss_below_floor=0.01), ["blank collapse"]),
        (
            _curve(blank_ratio=0.99, insertion_rate=0.99, deletion_rate=0.0, wer=1.0),
            ["reference and hypothesis swapped"],
        ),
        (_curve(train_loss=0.02, loss_below_floor=0.99, dev_loss=[2, 1.5, 3, 4, 5, 8.4]), ["overfitting"]),
        (_curve(nonfinite_steps=3.0), ["learning rate too high"]),
        (_curve(grad_norm=300.0), ["learning rate too high"]),
        (_curve(wer=1.0, loss_below_floor=0.4), ["stopped too early"]),
        (_curve()[["epoch", "wer"]], []),
    ],
)
def test_curves_are_judged_by_what_they_show(curve: pd.DataFrame, causes: list[str]) -> None:
    assert [finding.cause for finding in judge_curve(curve)] == causes


@given(
    st.floats(1e-6, 1e-2),
    st.floats(1.0, 1e4),
    st.integers(0, 20),
    st.integers(0, 20),
    st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3, unique=True),
)
def test_the_middle_lies_in_the_space(low: float, times: float, first: int, more: int, options: list[str]) -> None:
    space = Space(
        {
            "learning_rate": Float(low, low * times * 1.5, log=True),
            "warmup_epochs": Int(first, first + more + 1),
            "strategy": Choice(options),
            "dropout": 0.1,
        }
    )
    found = middle(space)
    space.check(found)
    assert found["strategy"] == options[0] and found["dropout"] == 0.1


def test_findings_are_told_with_how_sure_they_are_and_what_mends_them() -> None:
    assert describe_findings([]) == ["nothing wrong was found"]
    sure = Finding("a", 0.5, "seen", "do this", "certain", "3 files")
    assert describe_findings([sure]) == ["a (certain): seen", "    rests on: 3 files", "    mend: do this"]
    told = describe_findings([cannot_tell("b", "absent", "ask", "3 files")])
    assert told[0] == "cannot tell: b: absent" and told[2] == "    to find out: ask"
    assert told[3] == "nothing wrong was found in what could be looked at"


def test_findings_are_ranked_by_how_bad_and_how_sure_they_are() -> None:
    bad = Finding("bad", 0.9, "", "", "possible", "")
    counted = Finding("counted", 0.8, "", "", "certain", "")
    unknown = cannot_tell("unknown", "", "", "")
    assert rank([unknown, bad, counted]) == [counted, bad, unknown]
    assert counted.stops and not bad.stops and not unknown.accuses


def _told(monkeypatch: pytest.MonkeyPatch, sweep: Sweep, data: Finding, probed: list[Finding]) -> list[Finding]:
    """A diagnosis where the data shows one thing and the probe others."""
    inspect = diagnosing.inspect_corpus

    def seen(*arguments: object, **options: object) -> Inspection:
        return replace(inspect(*arguments, **options), findings=[data])  # type: ignore[arg-type]  # as given

    monkeypatch.setattr(diagnosing, "inspect_corpus", seen)
    monkeypatch.setattr(diagnosing, "probe_changes", lambda settings, corpus: probed)
    return diagnose(sweep, lambda line: None, sample=12)


def test_what_is_not_certain_is_probed_and_what_is_certain_is_not(
    small_settings: CorpusSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    probed = [Finding("learning rate too high", 0.9, "", "", "likely", "a probe")]
    likely = Finding("labels shuffled", 0.85, "", "", "likely", "")
    with monkeypatch.context() as patch:
        found = _told(patch, _sweep(small_settings), likely, probed)
    assert [each.cause for each in found] == ["learning rate too high", "labels shuffled"]
    with monkeypatch.context() as patch:
        found = _told(patch, _sweep(small_settings), replace(likely, sure="certain"), probed)
    assert [(each.cause, each.sure) for each in found] == [
        ("labels shuffled", "certain"),
        ("whether the recipe learns", "cannot tell"),
    ]


def test_a_cause_that_data_and_probe_name_is_told_once_as_the_surer_does(
    small_settings: CorpusSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Finding("noise drowns the hands", 0.5, "", "", "possible", "files")
    probed = [replace(data, weight=0.9, sure="likely", rests_on="a probe")]
    (found,) = _told(monkeypatch, _sweep(small_settings), data, probed)
    assert (found.sure, found.rests_on) == ("likely", "a probe")


def test_a_recipe_whose_weights_are_yet_to_be_made_is_probed_from_scratch(
    small_settings: CorpusSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Finding("rate too low", 0.9, "", "", "likely", "a probe")
    probed: list[TrialSettings] = []

    def probe(settings: TrialSettings, corpus: PackedCorpus) -> list[Finding]:
        probed.append(settings)
        return [found]

    monkeypatch.setattr(diagnosing, "probe_changes", probe)
    own = "space={strategy: fine-tune, freeze_until: block_8, learning_rate: 1e-2}"
    told = diagnose(_sweep(small_settings, own, "pretrained=auto"), lambda line: None, sample=40)
    assert (probed[0].tuned.strategy, probed[0].tuned.freeze_until) == ("baseline", None)
    (doubt,) = [each for each in told if each.cause == found.cause]
    assert (doubt.sure, doubt.rests_on) == ("possible", "a probe, from scratch")


def test_overfit_writes_picture_curve_and_report(
    run: Run, small_settings: CorpusSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = [f"corpus.signers={list(small_settings.signers or ())}", "corpus.sentences=24"]
    own += [f"corpus.cache={small_settings.cache}", "model.width=0.25"]
    options = ["--samples", "1", "--learning-rate", "5e-3", "--out", str(tmp_path / "a")]
    assert run("overfit", "student", *own, *options, "--epochs", "400") == 0
    told = capsys.readouterr()
    assert told.out.startswith("PASS  loss below 0.1 and WER 0 % at epoch ")
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"overfit.png", "overfit.csv", "overfit.json"}
    assert run("overfit", "student", *own, *options) == 2
    assert "exists already" in capsys.readouterr().err
    assert run("overfit", "student", "--learning-rate", "0") == 2
    assert "--learning-rate: must be a number above 0 and at most 1000" in capsys.readouterr().err
    options[-1] = str(tmp_path / "b")
    assert run("overfit", "student", *own, *options, "--epochs", "2") == 1
    told = capsys.readouterr()
    assert "FAIL  not learned in 2 epochs" in told.out and "--preset A, B or C" in told.out


def test_inspect_prints_a_page_or_json(
    run: Run, small_settings: CorpusSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = [f"corpus.signers={list(small_settings.signers or ())}", "corpus.sentences=24"]
    assert run("inspect", *own, "--sample", "12", "--picture", str(tmp_path / "a.pdf")) == 0
    page = capsys.readouterr().out
    assert "too few utterances (certain): 24 training utterances" in page
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    assert run("inspect", *own, "--sample", "12", "--json") == 0
    assert '"sampled": 12' in capsys.readouterr().out
    assert run("inspect", f"corpus.root={tmp_path / 'nowhere'}") == 2
    assert "corpus.root is no folder" in capsys.readouterr().err
