"""Trials can be read in a terminal and handed on without loss."""

import csv
import io
import json
import os
import re
from pathlib import Path

import pandas as pd
import pytest
from sweep_folder import SweepFolder
from terminal import check_screen

from glosstune.results import format_results, format_table, load_results, select_trials, write_results
from glosstune.spaces.errors import FolderError, SettingError


@pytest.fixture
def trials(four_trials):
    return load_results(four_trials.path).trials


def test_table_shows_the_best_trial_first(trials):
    ordered = select_trials(trials, sort="wer_best")
    _, heading, _, *rows, _ = [line.split() for line in format_results(ordered, "table").splitlines()]
    assert heading[:3] == ["trial", "status", "epochs"]
    assert [row[0] for row in rows] == ["0", "3", "1", "2"]
    assert rows[0][:7] == ["0", "finished", "6", "28.0%", "4", "baseline", "0.001"]
    assert rows[-1][-3:] == ["out", "of", "memory"]


@pytest.mark.parametrize("width", [80, 100, 160])
def test_a_terminal_gets_a_line_a_trial_and_hears_what_it_has_no_room_for(trials, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    screen = re.sub(r"\x1b\[\d*m", "", format_results(select_trials(trials, sort="wer_best"), "table"))
    check_screen(screen, Path(__file__).parent / "screens" / f"results-{width}.txt")
    lines = screen.splitlines()
    assert max(map(len, lines)) <= width
    assert [line.split()[0] for line in lines[3:7]] == ["0", "3", "1", "2"]
    assert ("no room for: " in screen) == (width < 160)


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
    with pytest.raises(SettingError, match=r"^format: must be one of table, csv, json, markdown, latex; got 'xml'"):
        format_results(trials, "xml")
    with pytest.raises(SettingError, match="table, csv, json, markdown, latex, parquet; got 'xml'"):
        write_results(trials, "xml", tmp_path / "trials.xml")


@pytest.mark.parametrize("format", ["table", "csv", "json", "markdown", "latex"])
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
    for path in (tmp_path / "file" / "trials", tmp_path):
        with pytest.raises(FolderError, match="cannot be written"):
            write_results(trials, format, path)


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_full_disk_leaves_the_old_file(trials, tmp_path, format):
    path = tmp_path / "trials"
    path.write_text("old")
    os.symlink("/dev/full", tmp_path / f"trials.{os.getpid()}.partial")
    with pytest.raises(FolderError, match=r"trials: cannot be written: no space left on the disk"):
        write_results(trials, format, path)
    assert path.read_text() == "old"
    assert list(tmp_path.glob("*trials*")) == [path]


def test_trials_are_selected_sorted_and_cut_to_columns(trials):
    chosen = select_trials(trials, "strategy == 'baseline' and epochs > 0", "wer_best", columns=["trial", "wer_best"])
    assert chosen.values.tolist() == [[0, 0.28], [3, 0.97]]
    assert select_trials(trials, sort="wer_best", reverse=True)["trial"].tolist() == [1, 3, 0, 2]  # NA last
    assert select_trials(trials)["trial"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("selection", "told"),
    [
        ({"sort": "best_wer"}, r"sort: no column 'best_wer'; did you mean 'wer_best'\?"),
        ({"sort": "gh"}, r"sort: no column 'gh'; did you mean 'gpu_hours'\?$"),
        ({"sort": "xyz"}, r"sort: no column 'xyz'; columns are sweep, trial"),
        ({"columns": ["trial", "wer"]}, r"columns: no column 'wer'"),
        ({"where": "wer_best <"}, r"where: 'wer_best <' is no condition: .*; columns are sweep, trial, strategy"),
        ({"where": "strategy = 'baseline'"}, r"is neither true nor false of a trial; compare by =="),
        ({"where": "nothing > 1"}, r"where: 'nothing > 1' is no condition"),
        ({"where": "__import__('os').getcwd()"}, r"where: "),
        ({"where": "1"}, r"where: '1' is neither true nor false of a trial"),
        ({"where": "trial"}, r"where: 'trial' is neither"),
        ({"where": "[0]"}, r"where: "),
        ({"where": ""}, r"where: "),
        ({"where": "x" * 10_000}, r"^where: 'x{50,80}\.\.\. is no condition"),
        ({"sort": ""}, r"sort: no column ''"),
        ({"columns": ["trial", "trial"]}, r"columns: 'trial' is named twice"),
    ],
)
def test_a_selection_that_cannot_be_is_refused(trials, selection, told):
    with pytest.raises(SettingError, match=told):
        select_trials(trials, **selection)


def test_the_sweep_is_told_of_trials_that_are_left_of_several(trials):
    assert "sweep" not in format_results(trials.head(1), "table")
    assert "sweep" in format_results(trials.head(1), "table", several=True)


def test_chosen_columns_are_a_plain_table(trials):
    table = format_results(select_trials(trials, columns=["trial", "stop_reason"]), "table")
    assert [line.split()[0] for line in table.splitlines() if line.strip()][2:] == ["0", "1", "2", "3"]
    assert "indi-" not in table
    assert "28.0%" in format_table(trials[["wer_best"]])


def test_a_page_takes_the_trials_whatever_their_texts_hold(sweep):
    sweep.start(0, layout="a|b_c")
    sweep.end(0, "stopped", "stuck: WER 97%")
    trials = load_results(sweep.path).trials[["trial", "layout", "stop_reason"]]
    assert format_results(trials, "markdown").splitlines() == [
        "| trial | layout | stop_reason |",
        "| --- | --- | --- |",
        "| 0 | a\\|b_c | stuck: WER 97% |",
    ]
    latex = format_results(trials, "latex")
    assert r"stop\_reason" in latex and r"WER 97\%" in latex and r"a|b\_c" in latex


def test_trials_of_several_sweeps_say_of_which(tmp_path):
    for name in ("a", "b"):
        folder = SweepFolder(tmp_path / name)
        folder.start(0, dropout=0.1)
        folder.report(0, 1, wer=0.5)
    _, heading, _, first, second, _ = format_results(
        load_results([tmp_path / "a", tmp_path / "b"]).trials, "table"
    ).splitlines()
    assert heading.split()[:2] == ["sweep", "trial"]
    assert (first.split()[:2], second.split()[:2]) == (["a", "0"], ["b", "0"])


def test_json_stays_json_where_a_parameter_is_infinite(sweep):
    sweep.start(0, max_norm=1.0)
    sweep.start(1, max_norm=float("inf"))
    text = format_results(load_results(sweep.path).trials, "json")
    rows = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert [row["max_norm"] for row in rows] == [1.0, "Infinity"]


@pytest.mark.parametrize("name", ["record.jsonl", "sweep.yaml"])
def test_a_file_that_a_sweep_goes_on_from_is_not_written_over(four_trials, name):
    before = (four_trials.path / name).read_text()
    results = load_results(four_trials.path)
    with pytest.raises(FolderError, match=rf"{name}: belongs to the sweep in its folder; name another file"):
        write_results(results.trials, "csv", four_trials.path / name)
    with pytest.raises(FolderError, match="belongs to the sweep"):
        results.report(four_trials.path / name)
    assert (four_trials.path / name).read_text() == before


HOSTILE = ("\x1b[31mred", "a\u202eb", "\x9b31m", "two\nlines")


@pytest.mark.parametrize("format", ["table", "csv", "markdown", "latex"])
def test_no_name_and_no_text_of_a_record_reaches_a_terminal_as_a_command(sweep, format):
    sweep.start(0, layout="base", **dict.fromkeys(HOSTILE, "".join(HOSTILE)))
    sweep.end(0, "stopped", "".join(HOSTILE))
    text = format_results(load_results(sweep.path).trials, format)
    assert not [character for character in text if not character.isprintable() and character != "\n"]
    assert "two lines" in text.replace("\n", " ")


@pytest.mark.parametrize("text", ['=cmd("calc")', "@SUM(1)", "+1", "-1+cmd", "\t=1", "\r=1"])
def test_no_text_is_a_formula_in_csv(sweep, text):
    sweep.start(0, **{"layout": text, text: -1.5})
    rows = list(csv.reader(io.StringIO(format_results(load_results(sweep.path).trials, "csv"))))
    assert "'" + text.replace("\t", " ").replace("\r", " ") in rows[0] and "-1.5" in rows[1]
    assert not [cell for row in rows for cell in row if cell.strip()[:1] in ("=", "+", "@")]
