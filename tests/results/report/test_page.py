"""The report is one file that shows what the frames hold, and asks nothing of anybody."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from sweep_folder import SweepFolder

from glosstune.results import load_results, write_report
from glosstune.results.analysis.confirmation import CONFIRMATION_COLUMNS
from glosstune.results.report.confusions import NOTHING, count_confusions
from glosstune.results.report.timeline import list_segments
from glosstune.spaces.errors import FolderError

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

# What the page does when somebody sorts and filters it, told in its title.
DRIVE = """
<script>
window.onerror = (message) => { document.title = "error: " + message; };
const told = {};
const cells = () => [...document.querySelectorAll("#trials tbody tr")].map((row) => row.firstChild.textContent);
told.first = cells();
const head = (name) => [...document.querySelectorAll("#trials th")].find((cell) => cell.textContent === name);
head("learning_rate").click();
told.up = cells();
head("learning_rate").click();
told.down = cells();
const filter = document.getElementById("filter");
filter.value = "strategy=progressive";
filter.dispatchEvent(new Event("input"));
told.filtered = cells();
told.count = document.getElementById("count").textContent;
setTimeout(() => {
  const boxes = [...document.querySelectorAll(".figure")];
  told.empty = boxes.filter((box) => !box.querySelector("svg")).map((box) => box.id);
  told.drawn = boxes.length;
  document.body.dataset.told = JSON.stringify(told);
}, 3000);
</script>
"""


@pytest.fixture
def searched(sweep: SweepFolder) -> SweepFolder:
    """Six trials of two strategies that came to a rung, one of which goes on, with the best one's hypotheses."""
    sweep.settle("space: {learning_rate: {float: [1e-5, 1e-1], log: true}}\nresources: {cpu: 1, gpu: 0.5}\n")
    for trial, (rate, wer) in enumerate(
        [(1e-3, 0.5), (1e-5, 0.9), (1e-2, 0.4), (1e-4, 0.7), (3e-3, 0.2), (5e-2, 0.95)]
    ):
        depth = (
            {"strategy": "progressive", "unfreeze_stages": 2 + trial // 2} if trial % 2 else {"strategy": "baseline"}
        )
        sweep.start(trial, learning_rate=rate, **depth)
        for epoch in (1, 2, 3):
            metrics = {"train_loss": wer * 4 / epoch, "dev_loss": wer * 4, "epoch_s": 9.0}
            sweep.report(trial, epoch, second=40 * trial + 10 * epoch, wer=1 - (1 - wer) * epoch / 3, **metrics)
        if trial != 4:
            sweep.append(
                event="end", trial=trial, status="stopped", rule="halving", reason="halving: <b>6th</b></script>"
            )
    sweep.end(4, "finished", "all epochs")
    pd.DataFrame({"key": ["a"], "reference": ["A B C"], "hypothesis": ["A X"]}).to_parquet(
        sweep.add_file(4, "hypotheses.parquet")
    )
    sweep.add_file(4, "best.pt")
    return sweep


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
    expected = {"incumbent", "learning", "best", "strategies", "parallel", "slices", "importance", "stops", "timeline"}
    assert set(data["figures"]) == expected


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
    with pytest.raises(FolderError, match="no trial has reported a WER yet"):
        write_report(load_results(sweep.path), tmp_path / "report.html")
    sweep.start(0, dropout=0.1)
    sweep.report(0, 1, wer=1.2)
    write_report(load_results(sweep.path), tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<b>120.0%</b><span>best WER on dev</span>" in text and 'id="parallel"' not in text


def test_hypotheses_of_another_kind_are_named(searched, tmp_path):
    searched.add_file(4, "hypotheses.parquet", b"nonsense")
    with pytest.raises(FolderError, match=r"hypotheses\.parquet: cannot be read as hypotheses"):
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


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_draws_every_figure_and_sorts_and_filters(page, tmp_path):
    page.write_text(page.read_text(encoding="utf-8").replace("</body>", f"{DRIVE}</body>"), encoding="utf-8")
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command += [f"--user-data-dir={tmp_path / 'chromium'}", "--virtual-time-budget=20000", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    assert "<title>error" not in done.stdout
    (told,) = re.findall(r'data-told="(.*?)"', done.stdout)
    told = json.loads(told.replace("&quot;", '"'))
    assert told["first"] == ["4", "2", "0", "3", "1", "5"]  # by the lowest WER
    assert told["up"] == ["1", "3", "0", "4", "2", "5"]
    assert told["down"] == told["up"][::-1]
    assert told["filtered"] == ["5", "3", "1"]
    assert told["count"] == "3 of 6 trials"
    assert (told["empty"], told["drawn"]) == ([], 9)
