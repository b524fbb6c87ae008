"""Trials can be read in a terminal and handed on without loss."""

import io
import json
import os
import re

import pandas as pd
import pytest

from glosstune.results import format_results, load_results, write_results
from glosstune.spaces.errors import FolderError, SettingError


@pytest.fixture
def trials(four_trials):
    return load_results(four_trials.path).trials


def test_table_shows_the_best_trial_first(trials):
    _, heading, _, *rows, _ = [line.split() for line in format_results(trials, "table").splitlines()]
    assert heading[:3] == ["trial", "status", "epochs"]
    assert [row[0] for row in rows] == ["0", "3", "1", "2"]
    assert rows[0][:7] == ["0", "finished", "6", "28.0", "4", "✓✓✓✓·", "baseline"]
    assert rows[-1][-3:] == ["out", "of", "memory"]


def test_narrow_terminal_gets_the_parameters_in_one_column(trials, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    table = format_results(trials, "table")
    assert "parameters" in table
    assert "learning_rate=0.001" in table
    assert max(len(line) for line in re.sub(r"\x1b\[\d*m", "", table).splitlines()) <= 100


def test_indicators_are_five_marks_and_a_line_that_explains_them(sweep):
    sweep.start(0)
    for epoch in range(1, 11):
        sweep.report(0, epoch, wer=0.7, train_loss=4.0 / epoch, dev_loss=4.0 + epoch)
    sweep.start(1)
    *_, first, second, explanation = format_results(load_results(sweep.path).trials, "table").splitlines()
    assert (first.split()[5], second.split()[5]) == ("✗··✓✗", "·····")
    assert explanation.startswith("✓ yes, ✗ no, · open: WER <60% by epoch 10,")
    assert len(explanation) <= 100


def test_terminal_that_knows_ascii_only_gets_nothing_else(trials, monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", terminal)
    table = format_results(trials, "table")
    assert table.isascii()
    assert "++++." in table


def test_text_of_a_foreign_record_cannot_steer_the_terminal(sweep):
    sweep.start(0, strategy="[/red]\x1b[2J", learning_rate=1e-3)
    sweep.end(0, "failed", "line one\nline two")
    table = format_results(load_results(sweep.path).trials, "table")
    assert "[/red] [2J" in table
    assert "line one line two" in table


def test_table_of_an_empty_sweep_has_only_a_heading(sweep):
    table = format_results(load_results(sweep.path).trials, "table")
    assert "status" in table
    assert "yes" not in table


def test_csv_holds_every_column_exactly(trials):
    read = pd.read_csv(io.StringIO(format_results(trials, "csv")), dtype=trials.dtypes.to_dict())
    pd.testing.assert_frame_equal(read, trials)


def test_json_holds_every_column_exactly(sweep):
    sweep.start(0, learning_rate=0.1 + 0.2, layout="größe")
    sweep.report(0, 1, wer=1 / 3)
    trials = load_results(sweep.path).trials
    (row,) = json.loads(format_results(trials, "json"))
    assert list(row) == list(trials.columns)
    assert (row["learning_rate"], row["wer_best"], row["layout"]) == (0.1 + 0.2, 1 / 3, "größe")
    assert row["error"] is None
    assert row["loss_best"] is None


def test_unknown_format_names_the_known_ones(trials, tmp_path):
    with pytest.raises(SettingError, match=r"^format: must be one of table, csv, json; got 'xml'"):
        format_results(trials, "xml")
    with pytest.raises(SettingError, match="table, csv, json, parquet; got 'xml'"):
        write_results(trials, "xml", tmp_path / "trials.xml")


@pytest.mark.parametrize("format", ["table", "csv", "json"])
def test_written_file_is_what_the_terminal_shows(trials, tmp_path, format):
    path = tmp_path / "trials.txt"
    path.write_text("old")
    write_results(trials, format, path)
    assert path.read_text(encoding="utf-8") == format_results(trials, format)
    assert not list(tmp_path.glob(".*"))


def test_written_parquet_is_the_frame(trials, tmp_path):
    write_results(trials, "parquet", str(tmp_path / "trials.parquet"))
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "trials.parquet"), trials)


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_path_that_cannot_be_written_is_an_error(trials, tmp_path, format):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "nowhere" / "trials", tmp_path / "file" / "trials", tmp_path):
        with pytest.raises(FolderError, match="cannot be written"):
            write_results(trials, format, path)


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_full_disk_leaves_the_old_file(trials, tmp_path, format):
    path = tmp_path / "trials"
    path.write_text("old")
    os.symlink("/dev/full", tmp_path / ".trials.partial")
    with pytest.raises(FolderError, match=r"trials: cannot be written: .*No space left on device"):
        write_results(trials, format, path)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []
