"""The commands about keys: init and keys, and what a shell completes."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from glosstune.search import load_sweep
from glosstune.search.cli.config import SCHEMA
from glosstune.search.cli.main import app
from glosstune.search.cli.words import split_files

Run = Callable[..., int]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_init_writes_a_file_that_a_sweep_reads(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("init", "student", "conf/my.yaml") == 0
    assert capsys.readouterr().out == (
        "conf/my.yaml: student, with comments; next: glosstune sweep conf/my.yaml --check\n"
    )
    assert load_sweep("conf/my.yaml") == load_sweep("student")
    assert run("init", "mine.yaml") == 0
    assert load_sweep("mine.yaml") == load_sweep(None)


def test_init_overwrites_nothing(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    Path("my.yaml").write_text("mine")
    assert run("init", "my.yaml") == 2
    assert "my.yaml: exists already; name another file, or remove it" in capsys.readouterr().err
    assert Path("my.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name the file to write last"),
        (["student"], "with the ending .yaml, such as my.yaml; got student"),
        (["a.yaml", "b.yaml", "c.yaml"], "name the file to write last"),
        (["studnt", "my.yaml"], "studnt: no such file, and no packaged sweep"),
        (["my.yaml", "training.epochs=0"], "training.epochs: must be greater than 0"),
    ],
)
def test_init_refuses_what_it_cannot_write(
    run: Run, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("init", *arguments) == 2
    assert told in capsys.readouterr().err
    assert list(Path().iterdir()) == []


def test_init_writes_what_editors_complete_from_where_the_file_says(run: Run) -> None:
    assert run("init", "my.yaml", "--schema") == 0
    assert Path("my.yaml").read_text().splitlines()[0] == f"# yaml-language-server: $schema={SCHEMA}"
    assert "halving" in json.loads(Path(SCHEMA).read_text())["properties"]


def test_keys_are_listed_found_and_printed_as_schema(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("keys", "clip_norm") == 0
    assert capsys.readouterr().out.splitlines()[0] == "training.clip_norm=1.0  (number above 0)"
    assert run("keys") == 0
    assert len(capsys.readouterr().out.splitlines()) > 200
    assert run("keys", "--schema") == 0
    assert json.loads(capsys.readouterr().out)["additionalProperties"] is False
    assert run("keys", "lerning") == 2
    assert "did you mean" in capsys.readouterr().err
    assert run("keys", "lr", "--schema") == 2


@pytest.fixture
def completed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[str], list[str]]:
    """What bash would offer at the end of a line, whose words are those of bash: ``key = value``."""

    def complete(line: str) -> list[str]:
        monkeypatch.setenv("_GLOSSTUNE_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(shlex.split(line)) - 1 + line.endswith(" ")))
        with pytest.raises(SystemExit):
            app(prog_name="glosstune")
        return [line for line in capsys.readouterr().out.splitlines() if line]

    return complete


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("glosstune sweep stu", ["student", "student-own"]),
        ("glosstune init stu", ["student", "student-own"]),
        ("glosstune sweep my", ["my.yaml"]),
        ("glosstune sweep conf/", ["conf/other.yml"]),
        ("glosstune sweep student training.epo", ["training.epochs=18"]),  # as the sweep has it
        ("glosstune sweep training.epo", ["training.epochs=20"]),
        ("glosstune sweep corpus.root = /x training.epo", ["training.epochs=40"]),  # teacher-own
        ("glosstune sweep nowhere.yaml training.epo", ["training.epochs=24"]),
        ("glosstune resume runs/a training.epo", ["training.epochs=7"]),
        ("glosstune plan training.opt", ["training.optimizer=adamw", "training.optimizer=adam"]),
        ("glosstune pack training.optimizer = adamw", ["adamw"]),
        ("glosstune sweep student training.optimizer = a", ["adamw", "adam"]),
        ("glosstune sweep student training.optimizer =", ["adamw", "adam"]),
        ("glosstune sweep corpus.root =", ["null"]),
        ("glosstune sweep corpus.root = /no", []),  # files are the shell's
        ("glosstune sweep student 'space.dropout={float: [0, 0.5]}' training.epo", ["training.epochs=18"]),
        ("glosstune resume runs/b search.sampl", ["search.samples=8", "search.sampler=tpe", "search.sampler=random"]),
        ("glosstune submit my.yaml halving.lea", ["halving.lead=0.85"]),
        ("glosstune overfit teacher model.nor", ["model.norm=batch", "model.norm=group"]),
        ("glosstune keys halving.re", ["halving.resource", "halving.reduction"]),
        ("glosstune resume runs/b space.dro", ["space.dropout=0.1"]),
        ("glosstune sweep space.dro", ["space.dropout="]),
        ("glosstune sweep lr=0.01/m", ["lr=0.01/my.yaml"]),  # as zsh and fish have it
        ("glosstune sweep lr = 0.01/m", ["0.01/my.yaml"]),
        ("glosstune sweep lr = 0.01/my.yaml training.epo", ["training.epochs=9"]),
        ("glosstune sweep a=b.yaml training.epo", ["training.epochs=9"]),
    ],
)
def test_a_shell_completes_sweeps_files_keys_and_values(
    completed: Callable[[str], list[str]], line: str, offered: list[str]
) -> None:
    for file in ("my.yaml", ".hidden.yaml", "conf/other.yml"):
        Path(file).parent.mkdir(exist_ok=True)
        Path(file).touch()
    for file in ("lr=0.01/my.yaml", "a=b.yaml"):
        Path(file).parent.mkdir(exist_ok=True)
        Path(file).write_text("training: {epochs: 9}")
    Path("runs/a").mkdir(parents=True)
    Path("runs/a/sweep.yaml").write_text("training: {epochs: 7}")
    assert completed(line) == offered


def test_a_default_that_would_have_to_be_quoted_is_left_to_the_user(completed: Callable[[str], list[str]]) -> None:
    assert completed("glosstune sweep space")[0] == "space="
    assert not any(" " in offered for offered in completed("glosstune sweep s"))


def test_a_path_with_an_equals_sign_is_a_path(run: Run) -> None:
    assert run("init", "student", "lr=0.01/my.yaml", "search.samples=3") == 2  # not a path yet, and no key
    assert run("init", "student", "./lr=0.01/my.yaml", "search.samples=3") == 0
    Path("a=b.yaml").write_text("search: {samples: 5}\n")
    assert split_files(["a=b.yaml", "lr=0.01/my.yaml", "search.samples=3"]) == (
        ["a=b.yaml", "lr=0.01/my.yaml"],
        ["search.samples=3"],
    )
