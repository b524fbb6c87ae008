"""The report is one file that shows what the frames hold, and asks nothing of anybody."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from sweep_folder import SweepFolder, at

from glosstune.results import load_results, rank_trials, write_report
from glosstune.results.analysis.confirmation import CONFIRMATION_COLUMNS
from glosstune.results.report.confusions import NOTHING, count_confusions
from glosstune.results.report.timeline import list_segments


@pytest.fixture
def page(searched: SweepFolder, tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    write_report(load_results(searched.path), path)
    return path


class Links(HTMLParser):
    """Collects whatever a page would load from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.found += [str(told[name]) for name in ("src", "href", "action") if name in told]


def test_the_page_loads_nothing_from_anywhere(page):
    links = Links()
    links.feed(page.read_text(encoding="utf-8"))
    assert links.found == ["data:,"]


def test_the_page_holds_the_trials_as_they_are(page, searched):
    (text,) = re.findall(
        r'<script id="data" type="application/json">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL
    )
    data = json.loads(text)
    trials = load_results(searched.path).trials
    for name in ("trial", "wer_best", "learning_rate", "strategy"):
        assert [row[data["columns"].index(name)] for row in data["trials"]] == trials[name].tolist()
    assert data["trials"][data["best"]][data["columns"].index("trial")] == 4
    assert "halving: <b>6th</b></script>" in data["trials"][0]  # and yet it did not end the element
    assert set(data["figures"]) == {"importance"}  # the others are drawn from the curves
    note = data["figures"]["importance"]["layout"]["meta"]["note"]
    assert note.startswith(
        "For the WER, of all 6 trials whatever the filter keeps. fANOVA says how much of the variance"
    )
    curve = data["curves"][4]
    assert (curve["epoch"], curve["wer"], curve["dev_loss"]) == ([1, 2, 3], [0.73333, 0.46667, 0.2], [0.8] * 3)
    assert curve["order"] == [13, 14, 15]  # of the epochs of all trials
    assert [metric["name"] for metric in data["metrics"]] == ["wer", "train_loss", "epoch_s"]
    assert data["explained"][4].startswith("trial 4 of demo: finished after 3 epochs")


@pytest.mark.parametrize(
    ("metric", "mode"), [("train_loss", None), ("train_loss", "max"), ("wer", None), ("wer", "max")]
)
def test_the_table_begins_sorted_by_what_the_report_ranks_by(searched, tmp_path, metric, mode):
    column = "wer_max" if (metric, mode) == ("wer", "max") else f"{metric}_best"  # wer_best is the lowest
    results = load_results(searched.path)
    write_report(results, tmp_path / "report.html", metric=metric, mode=mode)
    (text,) = re.findall(
        r'<script id="data" type="application/json">(.*?)</script>', (tmp_path / "report.html").read_text(), re.DOTALL
    )
    data = json.loads(text)
    assert data["sort"] == {"column": column, "down": mode == "max"}
    at = data["columns"].index(column)
    ranked = rank_trials(results, metric, mode=mode).set_index("trial")["value"]
    shown = {row[data["columns"].index("trial")]: row[at] for row in data["trials"] if row[at] is not None}
    assert shown == ranked.to_dict() and data["columns"][at] in data["shown"]


def test_headline_and_confusions_are_those_of_the_frames(page):
    text = page.read_text(encoding="utf-8")
    assert "<b>20.0%</b><span>best WER on dev</span>" in text
    assert "<b>30%</b><span>target, reached</span>" in text
    assert "<b>0.0</b><span>GPU hours</span>" in text
    assert "<b>45%</b><span>of a full search saved" in text  # 15 of 33 epochs
    assert '<td>B</td><td class="number">1</td>' in text


def test_no_text_of_a_sweep_becomes_a_part_of_the_page(searched, tmp_path):
    told = {"key": ["a"], "reference": ["<i>A</i> & 'B'"], "hypothesis": ["</table>"]}
    pd.DataFrame(told).to_parquet(searched.path / "trials" / "0004" / "hypotheses.parquet")
    write_report(load_results(searched.path), tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<td>&lt;i&gt;A&lt;/i&gt;</td>" in text and "<td>&lt;/table&gt;</td>" in text
    assert text.count("</table>") == 3


def test_a_confirmation_is_told_first(searched, tmp_path):
    row = dict.fromkeys(CONFIRMATION_COLUMNS) | {"scoring": "greedy", "trial": 4, "seeds": 1, "sweep_wer": 0.2}
    confirmed = pd.DataFrame([row | {"dev_wer": 0.21, "test_wer": 0.25, "test_low": 0.2, "test_high": 0.3}])
    write_report(load_results(searched.path), tmp_path / "report.html", confirmed)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<b>25.0%</b><span>confirmed on test, 20.0% to 30.0%</span>" in text
    assert "<td>20.0 to 30.0</td>" in text
    assert text.index("<h2>Confirmed</h2>") < text.index("<h2>The best so far</h2>")


def test_a_sweep_that_has_only_begun_shows_what_there_is(sweep, tmp_path):
    for _ in range(2):  # without a trial, and with one that has not reported
        write_report(load_results(sweep.path), tmp_path / "report.html")
        assert "No trial has reported a WER yet." in (tmp_path / "report.html").read_text(encoding="utf-8")
        sweep.start(0, dropout=0.1)
    sweep.report(0, 1, wer=1.2)
    write_report(load_results(sweep.path), tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<b>120.0%</b><span>best WER on dev</span>" in text


def test_hypotheses_of_another_kind_are_named(searched, tmp_path):
    searched.add_file(4, "hypotheses.parquet", b"nonsense")
    with pytest.warns(UserWarning, match=r"hypotheses\.parquet: cannot be read as hypotheses.*; what was confused is"):
        write_report(load_results(searched.path), tmp_path / "report.html")


def test_confusions_are_counted_from_the_alignment():
    told = [("A B C", "A X"), ("B B", "B B D"), ("C", ""), ("", "D")]
    hypotheses = pd.DataFrame(told, columns=["reference", "hypothesis"])
    worst, confused = count_confusions(hypotheses)
    assert worst.values.tolist() == [["C", 2, 2, 1.0], ["B", 3, 1, 1 / 3], ["A", 1, 0, 0.0]]
    pairs = {(row["reference"], row["hypothesis"]): row["times"] for row in confused.to_dict("records")}
    assert pairs[NOTHING, "D"] == 2
    assert sum(pairs.values()) == 5  # two and one wrong in the first, one inserted, one deleted, one inserted
    assert confused["times"].is_monotonic_decreasing


def test_segments_end_where_a_trial_waits_and_lanes_hold_one_at_a_time(sweep):
    for trial in (0, 1):
        sweep.start(trial)
    for trial, epoch, second in ((0, 1, 10), (1, 1, 12), (0, 2, 20), (1, 2, 22), (0, 3, 60)):
        sweep.report(trial, epoch, second=second, wer=0.5, epoch_s=10.0)
    segments = list_segments(load_results(sweep.path))
    assert segments[["trial", "epochs", "lane"]].values.tolist() == [[0, 2, 0], [1, 2, 1], [0, 1, 0]]
    assert (segments["ended"] - segments["begun"]).dt.total_seconds().tolist() == [20, 20, 10]


def test_under_a_clock_that_was_set_back_nothing_takes_less_than_no_time(sweep):
    sweep.start(0)
    sweep.report(0, 1, second=4000, wer=0.5, epoch_s=10.0)
    sweep.append(event="resume", time=at(100), changes={})
    sweep.report(0, 2, second=110, wer=0.4, epoch_s=10.0)
    results = load_results(sweep.path)
    segments = list_segments(results)
    assert sorted((segments["ended"] - segments["begun"]).dt.total_seconds()) == [10, 10]
    assert (results.sweeps["seconds"] >= 0).all()
    assert (results.clock_s(results.sweeps["sweep"][0], results.epochs["time"]) >= 0).all()
