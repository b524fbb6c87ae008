"""Whatever strangers write into a sweep's folder, whoever reads it sees text, and nothing else happens."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from hostile import ESCAPE, MATHS, NAMES, OUTSIDE, SCRIPT, TAG, TURNED, sparse
from sweep_folder import TIME, SweepFolder

from glosstune.results import load_results
from glosstune.results.reading.names import RECORD
from glosstune.spaces.errors import CorpusError
from glosstune.trainables.corpora.files.rows import read_rows
from glosstune.trainables.corpora.phoenix import PhoenixCorpus

Run = Callable[..., int]


def _plain(text: str) -> bool:
    """Whether nothing in a text turns it around or commands a terminal."""
    return all(sign.isprintable() or sign == "\n" for sign in text)


def _write(folder: Path) -> Path:
    sweep = SweepFolder(folder, scoring=SCRIPT)
    for number, name in enumerate(NAMES):
        sweep.start(number, **{name: NAMES[-number], "strategy": name, "learning_rate": 10.0**-number})
        for epoch in (1, 2):
            sweep.report(number, epoch, second=10 * number + epoch, wer=0.9 / (number + epoch), train_loss=1.0 / epoch)
        sweep.end(number, "failed", name, error=NAMES[-number])
        hypotheses = pd.DataFrame({"key": ["a"], "reference": [f"A {TAG} {TURNED}"], "hypothesis": [ESCAPE]})
        hypotheses.to_parquet(sweep.add_file(number, "hypotheses.parquet"))
    (folder / "manifest.json").write_text(json.dumps({"versions": {TAG: ESCAPE}, "commit": TURNED}))
    return folder


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write(tmp_path_factory.mktemp("hostile") / "sweep")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands run in a folder of their own, and nothing appears in it that was not asked for."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    yield
    assert list((tmp_path / "here").iterdir()) == []
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("format", ["table", "csv", "json", "markdown", "latex"])
def test_names_reach_no_terminal_as_commands(
    format: str, run: Run, hostile: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("results", str(hostile), "--format", format) == 0
    told = capsys.readouterr()
    assert _plain(told.out) and _plain(told.err)
    if format == "json":
        rows = json.loads(told.out)
        assert [row["strategy"] for row in rows][:-1] == list(NAMES)[:-1]  # whole, but for half a surrogate pair
    if format == "markdown":
        assert "<" not in told.out and "](" not in told.out
    if format == "latex":
        assert "\\input" not in told.out and "$\\frac" not in told.out


def test_a_life_and_a_line_are_plain_text(run: Run, hostile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(len(NAMES)):
        assert run("explain", str(hostile), str(number)) == 0
    for command in ("status", "watch"):
        assert run(command, str(hostile)) == 0
    assert run("results", str(hostile), "--where", f"nonsense {ESCAPE}") == 2
    told = capsys.readouterr()
    assert _plain(told.out) and _plain(told.err)


def test_no_cell_of_a_csv_file_is_a_formula(run: Run, hostile: Path, tmp_path: Path) -> None:
    path = tmp_path / "trials.csv"
    assert run("results", str(hostile), "--out", str(path)) == 0
    cells = pd.read_csv(path, dtype=str).to_numpy().ravel()
    texts = [cell for cell in cells if isinstance(cell, str)]
    assert any("HYPERLINK" in text for text in texts)
    # Where semicolons divide cells too; numbers are none.
    assert not [part for text in texts for part in text.split(";") if re.match(r"\s*[=@\uff1d]", part)]


def test_the_report_is_a_page_of_text_that_may_load_nothing(run: Run, hostile: Path, tmp_path: Path) -> None:
    out, picture = tmp_path / "a.html", tmp_path / "a.png"
    assert run("report", str(hostile), "--out", str(out), "--picture", str(picture)) == 0
    page = out.read_text()
    assert TAG not in page and SCRIPT not in page
    assert page.count("<script>") == 2  # plotly and ours, whose hashes the policy has
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert "default-src &#39;none&#39;" in policy and "&#39;unsafe-inline&#39;" not in policy.split("style-src")[0]
    (data,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert _plain(json.loads(f"[{data}]")[0]["explained"][6])
    assert not {"\x1b", "\x9b", "\u202e"} & set(page.replace("\\u001b", ""))
    assert picture.stat().st_size > 1000  # MATHS, which would be no formula, is drawn as it stands
    assert MATHS in load_results(hostile).trials["strategy"].tolist()


def test_what_names_code_imports_none_where_it_is_only_read(
    run: Run, hostile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _write(tmp_path / "planted")
    for place in (folder, tmp_path / "code"):
        place.mkdir(exist_ok=True)
        (place / "planted_part.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass A: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    part = "planted_part:A"
    sections = {"corpus": {"kind": part}, "model": {"kind": part}, "search": {"sampler": part}}
    (folder / "sweep.yaml").write_text(json.dumps({"name": "a", **sections, "stopping": {"rules": [part]}}))
    for command in (["results"], ["explain"], ["status"], ["watch"], ["report"], ["export"]):
        more = {"explain": ["0"], "report": ["--out", str(tmp_path / "a.html")]}.get(command[0], [])
        more += ["--out", str(tmp_path / "a.safetensors")] * (command == ["export"])
        assert run(*command, str(folder), *more) in (0, 2)
    assert not (tmp_path / "ran").exists()
    assert "planted_part" not in sys.modules


@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # to those who only read, what is damaged is a warning
@pytest.mark.parametrize("name", [RECORD, "sweep.yaml", "manifest.json", "trials/0000/hypotheses.parquet"])
@pytest.mark.parametrize("kind", ["pipe", "device", "terabyte", "deep"])
def test_a_file_that_is_none_or_never_ends_is_told_at_once(
    name: str, kind: str, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = SweepFolder(tmp_path / "sweep")
    folder.start(0, strategy="a")
    folder.report(0, 1, wer=0.5, train_loss=1.0)
    path = folder.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "terabyte":
        sparse(path, b"{}", 2**40)
    else:
        path.write_text("[" * 100_000 + "\n{}\n")
    assert run("report", str(folder.path), "--out", str(tmp_path / "a.html")) in (0, 2)
    assert run("results", str(folder.path)) in (0, 2)
    told = capsys.readouterr().err
    assert "Traceback" not in told and all(line.startswith(("glosstune: ", "warning: ")) for line in told.splitlines())


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.parametrize(
    ("event", "field", "value"),
    [
        *(("sweep", name, 10**400) for name in ("samples", "epochs", "target", "gpu")),
        *(("report", name, 10**20) for name in ("epoch", "trainable_params", "epoch_s")),
        ("report", "wer", 10**400),
        *(("report", "time", time) for time in ("9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00-23:59", TAG)),
    ],
)
def test_numbers_and_times_beyond_all_measure_are_told_or_left_out(
    event: str, field: str, value: object, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = SweepFolder(tmp_path / "sweep", **({field: value} if event == "sweep" else {}))
    folder.start(0, learning_rate=0.1)
    line = {"event": "report", "trial": 0, "epoch": 1, "time": TIME, "metrics": {"wer": 0.5, "train_loss": 1.0}}
    if event == "report":
        place = line if field in line else line["metrics"]
        place[field] = value
    folder.append(**line)
    assert run("results", str(folder.path)) in (0, 2)
    assert run("status", str(folder.path)) in (0, 2)
    assert run("report", str(folder.path), "--out", str(tmp_path / "a.html")) in (0, 2)
    assert "Traceback" not in capsys.readouterr().err


def test_a_trial_of_ray_that_is_called_like_a_path_is_looked_for_in_the_folder(tmp_path: Path) -> None:
    trial = tmp_path / "ray" / "trial"
    trial.mkdir(parents=True)
    row = {"training_iteration": 1, "wer": 0.5, "trial_id": f"../{OUTSIDE}"}
    (trial / "result.json").write_text(json.dumps(row) + "\n")
    theirs = tmp_path / "outside"
    theirs.mkdir()
    (theirs / "best.pt").write_bytes(b"mine")
    assert load_results(tmp_path / "ray").trials["best_checkpoint"].isna().all()
    (theirs / "best.pt").unlink()
    theirs.rmdir()


def test_names_of_a_corpus_are_printable_or_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"path,glosses,{TURNED}\na,b,c\n", encoding="utf-8")
    assert _plain("".join(read_rows(tmp_path / "a.csv")[1]))
    for row in (f"{TURNED}|f|01|A", f"a|f|{ESCAPE}|A", f"a|f|01|{TURNED}"):
        for split in ("train", "dev"):
            text = f"id|folder|signer|annotation\n{row}\n"
            (tmp_path / f"{split}.corpus.csv").write_text(text, encoding="utf-8")
        with pytest.raises(CorpusError, match="must be printable text"):
            PhoenixCorpus(tmp_path).utterances()
