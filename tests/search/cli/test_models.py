"""``glosstune compare-models`` prints what was measured, and names what it refuses."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from glosstune.models import read_weights, write_weights
from glosstune.search.checks.comparing import place_corpus
from glosstune.spaces.errors import SettingError
from glosstune.trainables import ModelSettings, TrainingSession, TrialSettings, export_checkpoint
from glosstune.trainables.corpora import PackedCorpus, pack_corpus
from glosstune.trainables.export import comparing
from glosstune.trainables.settings import CorpusSettings

Run = Callable[..., int]


@pytest.fixture(scope="module")
def exported(
    small_settings: CorpusSettings, small_corpus: PackedCorpus, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The same student after one epoch and after none."""
    folder = tmp_path_factory.mktemp("exported")
    trial = TrialSettings.model_validate(
        {"corpus": small_settings.model_dump(), "model": {"kind": "student", "width": 0.25}, "training": {"epochs": 1}}
    )
    for name, epochs in (("teacher", 1), ("student", 0)):
        session = TrainingSession(trial, small_corpus, device=torch.device("cpu"))
        for _ in range(epochs):
            session.run_epoch()
        session.save(folder / f"{name}.pt")
        export_checkpoint(folder / f"{name}.pt", folder / f"{name}.safetensors", {"wer": 1.0})
    return folder / "teacher.safetensors", folder / "student.safetensors"


def test_a_file_whose_name_holds_an_equals_sign_is_a_file(
    run: Run, few: None, exported: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for source, name in zip(exported, ("teacher top1=32.48.safetensors", "lr=0.01.safetensors"), strict=True):
        shutil.copy(source, name)
    assert run("compare-models", "teacher top1=32.48.safetensors", "lr=0.01.safetensors", "--rounds", "1") == 0
    capsys.readouterr()
    assert run("compare-models", "lr=0.01.safetensors", "lr=0.1.safetensors") == 2
    assert "got 1, and no file but a setting in 'lr=0.1.safetensors'" in capsys.readouterr().err


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "TIMED_UTTERANCES", 2)


def test_it_prints_a_table_or_json_of_all_files(
    run: Run, few: None, exported: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher, student = map(str, exported)
    # The corpus has moved: it is packed again where the override says.
    moved = f"corpus.cache={tmp_path / 'moved'}"
    assert run("compare-models", teacher, student, moved, "--json", "--rounds", "1") == 0
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert "scoring" in printed.err and "timing 2 models" in printed.err
    assert [model["file"] for model in told["models"]] == [teacher, student]
    assert told["corpus"].startswith(str(tmp_path / "moved")) and told["rounds"] == 1
    assert told["models"][1]["parameter_ratio"] == 1
    assert [speed["batch_size"] for speed in told["models"][0]["speeds"]] == [1, 16]
    rates = [model["rates"] for model in told["models"]]
    for each in rates:
        parts = each["substitution_rate"] + each["deletion_rate"] + each["insertion_rate"]
        assert each["wer"] == pytest.approx(parts)

    assert run("compare-models", student, teacher, student, "--rounds", "1") == 0
    table = capsys.readouterr().out
    assert table.count("student, width 0.25") == 3
    for part in ("parameters", "file, compression", f"{rates[0]['wer']:.1%}", "batch 16: frames/s", "CPU, 1 CPU"):
        assert part in table
    # The untrained student stands first now, as if it were the teacher.
    assert ("warning: " in table) == (rates[1]["wer"] > rates[0]["wer"])


def test_bad_files_are_named_in_one_line_and_status_2(
    run: Run, exported: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher, _ = exported
    planted = tmp_path / "planted.safetensors"
    planted.write_bytes(pickle.dumps(Path("never unpickled")))
    renamed = tmp_path / "renamed.safetensors"
    shutil.copy(teacher.with_suffix(".pt"), renamed)
    file = read_weights(teacher)
    bare = tmp_path / "bare.safetensors"
    write_weights(bare, file.tensors, {name: value for name, value in file.recorded.items() if name != "vocabulary"})
    other = tmp_path / "other.safetensors"
    glosses = [f"{gloss}2" for gloss in file.recorded["vocabulary"]]  # type: ignore[attr-defined]  # a list
    write_weights(other, file.tensors, {**file.recorded, "vocabulary": glosses})
    for wrong, message in {
        tmp_path / "missing.safetensors": "no such file",
        tmp_path: "is a folder",
        planted: "is damaged or no safetensors file",
        renamed: "is damaged or no safetensors file",
        teacher.with_suffix(".pt"): "is no exported recogniser; write one with glosstune export",
        bare: "is no exported recogniser; write one with glosstune export",
        other: f"writes other glosses than {teacher}",
    }.items():
        assert run("compare-models", str(teacher), str(wrong)) == 2
        captured = capsys.readouterr()
        (line,) = captured.err.splitlines()
        assert f"{wrong}: " in line and message in line
        assert captured.out == ""


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.width=1", "override 'model.width=1': the files record their models"),
        ("corpus.split=unseen-clips", "only corpus.root, corpus.cache, corpus.layout, corpus.missing may change"),
        ("corpus.gains.face=0", "only corpus.root"),
        ("corpus.rot=x", "only corpus.root"),
        ("corpus.missing=never", "override 'corpus.missing=never': corpus.missing: must be 'error' or 'skip'"),
        ("corpus.root=nowhere", "corpus.root: has no meaning where corpus.kind is 'fingerspelling'"),
        ("corpus.cache=s3://bucket", "must be a path on this machine"),
    ],
)
def test_an_override_other_than_of_the_corpus_place_is_refused(
    run: Run, exported: tuple[Path, Path], override: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("compare-models", *map(str, exported), override) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_one_file_is_nothing_to_compare(
    run: Run, exported: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("compare-models", str(exported[0]), "corpus.cache=x") == 2
    assert "name two or more exported .safetensors files; got 1" in capsys.readouterr().err
    assert run("compare-models", *map(str, exported), "--rounds", "0") == 2


def test_a_corpus_keeps_all_but_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recorded = CorpusSettings(
        kind="phoenix",
        root=Path("/elsewhere"),
        split="unseen-signers",
        signers=("a", "b"),
        layout=("face", "pose", "hands"),
    )
    moved = place_corpus(recorded, ["corpus.root=here", "corpus.missing=skip"])
    assert moved == recorded.model_copy(update={"root": tmp_path / "here", "missing": "skip"})
    assert place_corpus(recorded, []) == recorded
    cached = recorded.model_copy(update={"cache": Path("/somebody/elses")})
    assert place_corpus(cached, []) == recorded
    assert place_corpus(cached, ["corpus.root=/elsewhere"]) == recorded
    assert place_corpus(cached, ["corpus.cache=mine"]).cache == tmp_path / "mine"
    with pytest.raises(SettingError, match=r"corpus\.root: must name the corpus"):
        place_corpus(recorded, ["corpus.root=null"])


def test_a_corpus_that_only_the_file_names_is_not_imported() -> None:
    recorded = CorpusSettings(kind="planted_corpus:Corpus")
    with pytest.raises(SettingError, match=r"if you trust it, name it: --kind planted_corpus:Corpus"):
        place_corpus(recorded, [])
    assert place_corpus(recorded, [], ["planted_corpus:Corpus"]) == recorded


def test_models_of_a_folder_that_was_moved_are_compared_where_it_lies_now(
    run: Run, few: None, phoenix_folder: Callable[[bool], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = CorpusSettings(kind="phoenix", root=phoenix_folder(False), layout="base", cache=tmp_path / "cache")
    assert corpus.root is not None
    trial = TrialSettings(corpus=corpus, model=ModelSettings(kind="student", width=0.25))
    TrainingSession(trial, pack_corpus(corpus)).save(tmp_path / "best.pt")
    paths = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    for path in paths:
        export_checkpoint(tmp_path / "best.pt", path, {})
    moved = corpus.root.rename(tmp_path / "moved")
    assert run("compare-models", *map(str, paths), "--rounds", "1") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{paths[0]}: " in line and "phoenix: corpus.root is no folder" in line and "say corpus.root=FOLDER" in line
    assert run("compare-models", *map(str, paths), f"corpus.root={moved}", "--rounds", "1") == 0
    assert capsys.readouterr().out.split()[:2] == ["a.safetensors", "b.safetensors"]
