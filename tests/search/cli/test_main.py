import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sweep_folder import SweepFolder

from glosstune.results import load_results
from glosstune.search import load_sweep
from glosstune.search.cli.main import app
from glosstune.search.driver.preparing import _describe as describe_corpus
from glosstune.spaces import STRATEGIES
from glosstune.trainables.corpora import pack_corpus
from glosstune.trainables.settings import CorpusSettings

SMALL = ["student", "model.width=0.25", "training.epochs=2", "training.batch_size=8", "search.samples=2"]

Run = Callable[..., int]


def _embedded(settings: CorpusSettings) -> list[str]:
    signers = list(settings.signers or ())
    return [f"corpus.signers={signers}", "corpus.sentences=24", f"corpus.cache={settings.cache}"]


def test_a_sweep_of_two_trials_leaves_everything_in_its_folder(
    run: Run, ray_cluster: None, small_settings: CorpusSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "runs" / "a"
    assert run("sweep", *SMALL, *_embedded(small_settings), "--out", str(folder)) == 0
    printed = capsys.readouterr()
    for part in ("best      trial", "recipe    ", f"look      glosstune report {folder}"):
        assert part in printed.out
    assert "2 waiting" not in printed.out

    results = load_results(folder)
    assert results.trials["status"].to_list() == ["finished", "finished"]
    assert results.epochs.groupby("trial")["epoch"].apply(list).to_list() == [[1, 2], [1, 2]]
    for trial in ("0000", "0001"):
        names = {path.name for path in (folder / "trials" / trial).iterdir()}
        assert names == {"best.pt", "last.pt", "hypotheses.parquet", "trial.log"}
    hypotheses = pd.read_parquet(folder / "trials" / "0000" / "hypotheses.parquet")
    assert list(hypotheses.columns) == ["key", "reference", "hypothesis"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["versions"]["ray"] and manifest["corpus"]["vocabulary_size"] > 2
    resolved = yaml.safe_load((folder / "sweep.yaml").read_text())
    assert resolved["training"]["epochs"] == 2
    assert (folder / "curves.png").stat().st_size > 1000

    assert run("results", str(folder), "--format", "csv") == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    for form in ("json", "parquet"):
        assert run("results", str(folder), "--format", form, "--out", str(tmp_path / f"trials.{form}")) == 0
    assert (
        len(pd.read_parquet(tmp_path / "trials.parquet"))
        == len(json.loads((tmp_path / "trials.json").read_text()))
        == 2
    )

    assert run("report", str(folder), "--picture", str(tmp_path / "curves.pdf")) == 0
    assert (folder / "report.html").stat().st_size > 1e6
    assert (tmp_path / "curves.pdf").read_bytes().startswith(b"%PDF")

    # The resolved file repeats the sweep; its folder exists, so it is refused before anything is touched.
    before = (folder / "record.jsonl").read_bytes()
    assert run("sweep", str(folder / "sweep.yaml"), "--out", str(folder)) == 2
    assert f"holds a sweep already; go on with it: glosstune resume {folder}" in capsys.readouterr().err
    assert (folder / "record.jsonl").read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("full", [True, False], ids=["6516 values", "1629 values"])
def test_a_sweep_over_a_phoenix_style_folder(
    run: Run, ray_cluster: None, phoenix_folder: Callable[[bool], Path], tmp_path: Path, full: bool
) -> None:
    phoenix_folder(full)
    file = tmp_path / "my.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "name": "phoenix",
                "corpus": {
                    "kind": "phoenix",
                    "root": "phoenix",
                    "cache": "cache",
                    "layout": "default" if full else "base",
                },
                "space": {
                    "learning_rate": {"float": ["1e-4", "1e-2"], "log": True},
                    "gains.face": {"choice": [0, 0.5]},
                },
            }
        )
    )
    assert run("sweep", str(file), *SMALL[1:], "search.samples=1", "--out", str(tmp_path / "sweep")) == 0
    trials = load_results(tmp_path / "sweep").trials
    assert trials["status"].to_list() == ["finished"]
    assert trials["gains.face"].isin([0, 0.5]).all()


def test_a_sweep_whose_trials_all_fail_says_where_to_look(
    run: Run, ray_cluster: None, small_settings: CorpusSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = _embedded(small_settings.model_copy(update={"cache": tmp_path / "cache"}))
    assert run("pack", *sources) == 0
    (store,) = (tmp_path / "cache").glob("fingerspelling-*/")
    wrong = np.zeros(10, dtype=np.float32)
    np.savez(store / "statistics.npz", mean=wrong, deviation=wrong, mirror_order=wrong)
    folder = tmp_path / "sweep"
    assert run("sweep", *SMALL, *sources, "--out", str(folder)) == 1
    trials = load_results(folder).trials
    assert trials["status"].to_list() == ["failed", "failed"]
    assert trials["error"].str.contains("could not be broadcast").all()
    assert "Traceback" in (folder / "trials" / "0000" / "trial.log").read_text()
    assert "trial.log" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sweep", "trainig.epochs=3"], "did you mean 'training'"),
        (["sweep", "training.epochs=many"], "training.epochs"),
        (["sweep", "missing.yaml"], "missing.yaml: no such file"),
        (["sweep", "a.yaml", "b.yaml"], "expected one sweep file"),
        (["sweep", "model.kind=resnet"], "model.kind"),
        (["sweep", "search.metric=werr"], "search.metric"),
        (["sweep", "corpus.signers=[ase, fsl]"], "same recordings"),
        (["sweep", "corpus.kind=phoenix", "corpus.root=nowhere"], "nowhere: corpus.root is no folder"),
        (["sweep", "pretrained=missing.pt"], "missing.pt: no such file"),
        (["sweep", "studnt"], "studnt: no such file, and no packaged sweep: those are baseline, distil, "),
        (["sweep", "space.strategy=baseline"], "pretrained: is never used"),
        (["pretrain", "--out", "teacher.pt"], "--out teacher.pt: must end in .safetensors"),
        (["pretrain", "--out", "t.safetensors", "--labels", "aligned"], "must name a CTC model's checkpoint"),
        (["pretrain", "--out", "t.safetensors", "--align-with", "x.pt"], "must name a CTC model's checkpoint"),
        (["pretrain", "--out", "t.safetensors", "corpus.root=nowhere"], "nowhere: corpus.root is no folder"),
        (["pretrain", "--out", "no/t.safetensors", "pretraining.steps=0"], "pretraining.steps"),
        (["results", "nowhere"], "nowhere"),
        (["pack", "corpus.fold=9"], "corpus.fold"),
        (["sweep", "training.seed=99999999999"], "training.seed"),
        (["sweep", "corpus.signers=[]"], "corpus.signers"),
        (["sweep", "--out", "x" * 300], "File name too long"),
    ],
)
def test_bad_input_is_one_message_and_status_2_and_writes_nothing(
    run: Run,
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err + captured.out
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_that_asks_for_more_than_there_is_is_refused(
    run: Run, ray_cluster: None, small_settings: CorpusSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "sweep"
    assert run("sweep", *SMALL, *_embedded(small_settings), "resources.cpu=64", "--out", str(folder)) == 2
    assert "resources.cpu: a trial asks for 64, but the largest machine has 2" in capsys.readouterr().err
    assert not folder.exists()


@pytest.mark.parametrize(
    ("address", "told"),
    [("127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1"), ("nonsense", "must be auto, or HOST:PORT of the head")],
)
def test_a_cluster_that_does_not_answer_is_named(
    run: Run,
    small_settings: CorpusSettings,
    address: str,
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    folder = tmp_path / "sweep"
    assert run("sweep", *SMALL, *_embedded(small_settings), "--out", str(folder)) == 2
    assert f"RAY_ADDRESS: {told}" in capsys.readouterr().err
    assert not folder.exists()


def test_bash_completes_commands_and_options(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def completed(line: str) -> list[str]:
        monkeypatch.setenv("_GLOSSTUNE_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
        with pytest.raises(SystemExit):
            app(prog_name="glosstune")
        return capsys.readouterr().out.split()

    assert completed("glosstune re") == ["resume", "results", "report", "reproduce"]
    assert completed("glosstune results --fo") == ["--format"]


@pytest.mark.slow
def test_the_teacher_is_pretrained_and_searched_over_all_strategies(
    run: Run, ray_cluster: None, small_settings: CorpusSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = [*_embedded(small_settings), "model.width=0.25", "pretraining.steps=9"]
    weights = tmp_path / "teacher.safetensors"
    assert run("pretrain", *small, "--out", str(weights)) == 0
    assert "right at the end" in capsys.readouterr().out
    folder = tmp_path / "sweep"
    tiny = ["training.epochs=3", "search.samples=5", "training.batch_size=8", f"pretrained={weights}"]
    tiny += ["search.start_points=strategies", "search.prior=none"]
    assert run("sweep", *small, *tiny, "--out", str(folder)) == 0
    printed = capsys.readouterr()
    assert "401 taken" in printed.err
    assert "baseline (from scratch)" in printed.out
    trials = load_results(folder).trials
    assert sorted(trials["strategy"]) == sorted(STRATEGIES)
    assert set(trials["status"]) <= {"finished", "stopped"}
    for _, trial in trials.iterrows():
        kept = (folder / "trials" / f"{trial['trial']:04d}" / "pretrained.json").exists()
        assert kept == (trial["strategy"] != "baseline")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["pretrained"]["counts"]["taken"] == 401 and len(manifest["pretrained"]["sha256"]) == 64
    assert load_sweep(folder / "sweep.yaml").pretrained == str(weights)


def test_pack_says_where_the_corpus_lies(
    run: Run, small_settings: CorpusSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("pack", *_embedded(small_settings)) == 0
    assert "32 utterances" in capsys.readouterr().out


def test_pack_and_sweep_tell_glosses_that_only_look_the_same(
    run: Run, phoenix_folder: Callable[[bool], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = phoenix_folder(False)
    settings = CorpusSettings(kind="phoenix", root=root, layout="base", cache=tmp_path / "cache")
    corpus = [f"corpus.root={root}", "corpus.layout=base", f"corpus.cache={settings.cache}"]
    told = "look-alike glosses, which count as different ones (1): "
    assert run("pack", *corpus) == 0
    assert told not in capsys.readouterr().out and told not in describe_corpus(pack_corpus(settings))
    train = root / "train.corpus.csv"
    text = train.read_text(encoding="utf-8").rstrip("\n")
    assert " E" in text
    train.write_text(f"{text} \u0415", encoding="utf-8")
    assert run("pack", *corpus) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "look-alike" in line]
    assert line.startswith(told) and line.endswith("with U+0415 CYRILLIC CAPITAL LETTER IE)")
    assert line in describe_corpus(pack_corpus(settings)).splitlines()


def test_an_interrupt_before_the_search_says_so(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("glosstune.search.driver.launching.prepare", interrupted)
    assert run("sweep", "student", "--out", "nowhere") == 130
    assert "interrupted while no trial ran" in capsys.readouterr().err


def test_what_a_message_names_reaches_no_terminal_as_a_command(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("results", "a\x1b[31mb\u202ec") == 2
    assert r"a\x1b[31mb\u202ec: no such folder" in capsys.readouterr().err


def test_an_empty_place_starts_no_sweep(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("sweep", "student", "--out", "") == 2
    assert capsys.readouterr().err == "glosstune: --out: is empty; name a folder, or leave it out\n"


def test_a_closed_standard_output_is_no_fault_of_the_command(
    run: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", None)
    SweepFolder(tmp_path / "a").start(0)
    assert run("results", str(tmp_path / "a")) == 0
