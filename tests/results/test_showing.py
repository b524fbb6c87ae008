import re

import pytest
from sweep_folder import SweepFolder

from glosstune.results import Results, load_results


@pytest.fixture
def results(four_trials: SweepFolder) -> Results:
    return load_results(four_trials.path)


def test_a_prompt_shows_a_few_lines(results: Results) -> None:
    assert repr(results).splitlines() == [
        "demo: 4 trials (1 finished, 1 stopped, 1 failed, 1 running), 9 epochs",
        "best: trial 0, WER 28.0% at epoch 4; target 30% reached",
        "with strategy=baseline learning_rate=0.001 warmup_epochs=2 discriminative=True",
        "see .trials, .epochs, .best, .report()",
    ]


def test_a_notebook_shows_the_best_trials_from_the_best_on_and_their_curves(results: Results) -> None:
    page = results._repr_html_()
    assert page.startswith("<p>demo: 4 trials")
    rows = re.findall(r"<tr>(.*?)</tr>", page)
    assert re.findall(r"<th>(.*?)</th>", rows[0])[:6] == [
        "trial",
        "status",
        "epochs",
        "best WER",
        "at epoch",
        "strategy",
    ]
    assert [re.findall(r"<td>(.*?)</td>", row)[0] for row in rows[1:]] == ["0", "3", "1"]
    assert "<td>28.0%</td><td>4</td><td>baseline</td>" in rows[1]
    assert '<img src="data:image/png;base64,iVBOR' in page


def test_nothing_that_a_sweep_wrote_is_taken_for_html_or_a_command(sweep: SweepFolder) -> None:
    sweep.start(0, **{"<script>alert(1)</script>": "<b>&\x1b[2J"})
    sweep.report(0, 1, wer=0.5)
    results = load_results(sweep.path)
    page = results._repr_html_()
    assert "<script>" not in page and "<b>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;=&lt;b&gt;&amp;" in page
    assert "\x1b" not in page and "\x1b" not in repr(results)


def test_a_sweep_without_a_wer_shows_that(sweep: SweepFolder) -> None:
    results = load_results(sweep.path)
    assert repr(results).splitlines()[:2] == ["demo: 0 trials, 0 epochs", "no trial has reported a WER yet"]
    assert results._repr_html_() == "<p>demo: 0 trials, 0 epochs<br>\nno trial has reported a WER yet</p>"
    assert "No trial has reported a WER yet." in results.report().read_text(encoding="utf-8")


def test_several_sweeps_say_which_trial_is_the_best(four_trials: SweepFolder) -> None:
    other = SweepFolder(four_trials.path.parent / "other")
    other.start(0, learning_rate=1e-3)
    other.report(0, 1, wer=0.1)
    results = load_results([four_trials.path, other.path])
    assert "best: trial 0 of other, WER 10.0% at epoch 1" in repr(results)
    assert "<th>sweep</th><th>trial</th>" in results._repr_html_()


def test_the_report_lies_in_the_folder_or_where_it_is_asked_for(results: Results, four_trials: SweepFolder) -> None:
    assert results.report() == four_trials.path / "report.html"
    elsewhere = four_trials.path.parent / "pages" / "a.html"
    assert results.report(elsewhere) == elsewhere
    assert elsewhere.read_text(encoding="utf-8").startswith("<!")
