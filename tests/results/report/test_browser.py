"""The report in a real browser: what a reader sees and does, by day and night, on a phone, without a network."""

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from sweep_folder import SweepFolder

from glosstune.results import explain_trial, load_results, write_report

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

FIGURES = ("incumbent", "learning", "best", "strategies", "parallel", "slices", "importance", "stops", "timeline")
DRAWN = """() => [...document.querySelectorAll("main .figure")].every(
  (box) => box.hidden || box.closest("section").hidden || box.querySelector("svg")
           || ("due" in box.dataset && box.getBoundingClientRect().top > innerHeight))"""

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens a page; whatever it asks of a host, or complains of, fails the test at its end."""
    wrong: list[str] = []
    pages: list[Page] = []

    def open_page(address: Path | str, width: int = 1280, mode: str = "light") -> Page:
        own = "file:" if isinstance(address, Path) else address
        viewport = {"width": width, "height": 900}
        page = browser.new_context(viewport=viewport, color_scheme=mode, accept_downloads=True).new_page()  # type: ignore[arg-type]
        pages.append(page)
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request", lambda asked: None if asked.url.startswith((own, "data:", "blob:")) else wrong.append(asked.url)
        )
        page.goto(address.as_uri() if isinstance(address, Path) else address)
        page.wait_for_function(DRAWN)
        return page

    yield open_page
    for page in pages:
        page.context.close()
    assert wrong == []


@pytest.fixture
def page(searched: SweepFolder, tmp_path: Path, open_page: Open) -> Page:
    write_report(load_results(searched.path), tmp_path / "report.html")
    return open_page(tmp_path / "report.html")


def listed(page: Page, column: str = "trial") -> list[str]:
    heads = page.locator("#trials th").all_inner_texts()
    at = [head.rstrip(" ↑↓") for head in heads].index(column)
    return page.locator(f"#trials tbody td:nth-child({at + 1})").all_inner_texts()


def _wait_for_filter(page: Page, words: str) -> None:
    page.wait_for_function("words => document.documentElement.dataset.filter === words", arg=words)


def keep(page: Page, words: str) -> str:
    """Filter; what the page says of it."""
    page.locator("#filter").fill(words)
    _wait_for_filter(page, words)
    return page.locator("#wrong").inner_text()


def show(page: Page, *figures: str) -> None:
    """Scroll to each figure, so that it is drawn."""
    for name in figures:
        page.locator(f"#{name}").scroll_into_view_if_needed()
        page.wait_for_selector(f"#{name}:not([data-due]) svg")


def drawn(page: Page, figure: str) -> set[int]:
    """The places of trials that a figure has points of."""
    show(page, figure)
    points = page.evaluate(
        "(id) => document.getElementById(id).data.flatMap((trace) => trace.customdata ?? [])", figure
    )
    return set(points)


def due(page: Page) -> list[str]:
    return page.locator("[data-due]").evaluate_all("(all) => all.map((each) => each.id)")


def test_a_figure_is_drawn_once_it_comes_near_and_a_heading_sorts(page):
    show(page, "incumbent")
    assert due(page) == list(FIGURES[3:])
    show(page, *FIGURES)
    assert due(page) == []
    keep(page, "trial=1")
    assert "incumbent" in due(page) and "timeline" not in due(page)
    keep(page, "strategy=full")
    assert not set(due(page)) - {"best", "importance"}  # others have nothing to draw
    keep(page, "")
    assert listed(page) == ["4", "2", "0", "3", "1", "5"]  # by the lowest WER
    page.locator("#trials th", has_text="learning_rate").click()
    assert listed(page) == ["1", "3", "0", "4", "2", "5"]
    page.locator("#trials th", has_text="learning_rate").press("Enter")
    assert listed(page) == ["5", "2", "4", "0", "3", "1"]


KEPT = {
    "trial=1": {1},
    "learning_rate<0.001": {1, 3},
    "learning_rate <= 1e-3 and strategy == 'baseline'": {0},
    "learning_rate=0.003": {4},
    "strategy=prog…": {1, 3, 5},
    "strategy!=baseline": {1, 3, 5},
    "wer_best<40%": {4},
    "wer_best=0.5": {0},
    "unfreeze_stages=none": {0, 2, 4},
    "unfreeze_stages>=3": {3, 5},
    "status=stopped progressive": {1, 3, 5},
    '"all epochs"': {4},
}


def test_the_filter_rules_table_and_figures(page):
    for words, kept in KEPT.items():
        assert keep(page, words) == "", words
        assert {int(trial) for trial in listed(page)} == kept, words
        assert page.locator("#count").inner_text() == f"{len(kept)} of 6 trials"
        assert drawn(page, "learning") == drawn(page, "timeline") == kept, words
        assert drawn(page, "incumbent") <= kept, words
        if len(kept) > 1:
            assert drawn(page, "slices") == kept, words
    keep(page, "strategy=full")
    assert listed(page) == []
    assert "No trial passes the filter." in page.locator("main").inner_text()


def test_a_wer_is_listed_in_percent(page):
    at = page.locator("#trials th").all_inner_texts().index("wer_best")
    cells = page.locator("#trials tbody tr").first.locator("td").all_inner_texts()
    assert cells[at] == "20.0 %"


def test_what_the_filter_does_not_understand_is_said_beside_it(page):
    for words, told in {
        "lerning_rate<0.001": "lerning_rate<0.001: no such column; did you mean learning_rate?",
        "strategy<3": "strategy<3: strategy is no number; compare it with = or !=",
        "learning_rate<fast": "learning_rate<fast: fast is no number",
        "trial=one": "trial=one: one is no number",
        "learning_rate< status=stopped": "learning_rate<: a value is missing",
        "trial=1 or trial=2": "or: not understood",
    }.items():
        assert f"left out: {told}" in keep(page, words)


def test_a_click_on_a_curve_or_a_row_tells_the_trial(page, searched):
    page.locator("#trials tbody tr", has_text="halving").first.click()
    told = page.locator("#told")
    first = listed(page)[1]
    assert told.locator("h2").inner_text() == f"trial {first}"
    page.keyboard.press("Escape")
    assert told.is_hidden()

    show(page, "learning")
    at = page.evaluate(
        """() => {
          const box = document.getElementById("learning"), here = box.getBoundingClientRect();
          const { xaxis, yaxis } = box._fullLayout;
          const trace = box.data.find((each) => each.mode === "lines" && each.customdata.includes(3));
          const point = trace.customdata.indexOf(3) + 1;
          const x = xaxis._offset + xaxis.d2p(trace.x[point]), y = yaxis._offset + yaxis.d2p(trace.y[point]);
          return [here.x + x, here.y + y];
        }"""
    )
    page.mouse.move(*at)
    page.wait_for_selector("#learning .hovertext")
    hover = str(page.locator("#learning .hovertext").text_content())
    assert "trial 3" in hover and "epoch 2, WER" in hover and "learning_rate=0.0001" in hover
    page.mouse.click(*at)
    page.wait_for_function("!document.getElementById('told').hidden")
    assert told.locator("h2").inner_text() == "trial 3"
    assert "stopped: halving: <b>6th</b></script>" in told.locator(".lead").inner_text()
    assert told.locator("code").all_inner_texts() == [
        "learning_rate=0.0001",
        "strategy=progressive",
        "unfreeze_stages=3",
    ]
    assert told.locator("pre").inner_text() == explain_trial(load_results(searched.path), 3)
    assert told.locator(".figure svg").count() > 0
    assert page.locator("#trials tr.chosen td").first.inner_text() == "3"


def test_a_click_on_a_bar_of_a_rule_keeps_its_trials(page):
    show(page, "stops")
    page.locator("#stops .point path").last.click(force=True)
    _wait_for_filter(page, 'stop_rule="all epochs"')
    assert listed(page) == ["4"]


def test_the_metric_rules_every_figure(page):
    for label, axis, counts in (
        ("loss", "training loss, nats a gloss", "lowest loss"),
        ("time", "seconds an epoch", "mean time"),
        ("WER", "WER on dev", "lowest WER"),
    ):
        page.locator("#metrics label", has_text=label).click()
        layouts = {}
        for name in ("learning", "strategies", "slices"):
            show(page, name)
            layouts[name] = page.evaluate("(id) => document.getElementById(id).layout", name)
        assert layouts["learning"]["yaxis"]["title"]["text"] == axis
        assert layouts["slices"]["yaxis"]["title"]["text"] == counts
        assert layouts["strategies"]["xaxis"]["title"]["text"] == counts
    assert page.locator("#metrics label").all_inner_texts() == ["WER", "loss", "time"]  # nothing is below the floor


def test_columns_are_chosen_and_the_csv_holds_what_is_shown(page, tmp_path, searched):
    assert "dev_loss_follows" not in page.locator("#trials th").all_inner_texts()
    page.locator("#chooser summary").click()
    page.locator("#chooser label", has_text="dev_loss_follows").locator("input").check()
    page.locator("#chooser label", has_text="epoch_of_best").locator("input").uncheck()
    assert page.locator("#chooser label", has_text="trial").first.locator("input").is_disabled()
    keep(page, "strategy=progressive")
    with page.expect_download() as download:
        page.locator("#csv").click()
    download.value.save_as(tmp_path / "trials.csv")
    with (tmp_path / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == listed(page) == ["3", "1", "5"]
    assert "dev_loss_follows" in rows[0] and "epoch_of_best" not in rows[0]
    rates = load_results(searched.path).trials.set_index("trial")["learning_rate"]
    assert [float(row["learning_rate"]) for row in rows] == [rates[3], rates[1], rates[5]]


def test_the_first_column_stays_where_the_others_scroll(page):
    page.set_viewport_size({"width": 390, "height": 900})
    page.locator("#listed").evaluate("(box) => { box.scrollLeft = 400; }")
    left = page.locator("#trials tbody td.fixed").first.bounding_box()["x"]
    assert 0 <= left - page.locator("#listed").bounding_box()["x"] <= 2


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_page_fits_by_day_and_night(searched, tmp_path, open_page, width, mode):
    write_report(load_results(searched.path), tmp_path / "report.html")
    page = open_page(tmp_path / "report.html", width, mode)
    show(page, *FIGURES)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    overlaps = page.evaluate(
        """() => [...document.querySelectorAll("main .figure")].flatMap((figure) => {
          const boxes = (query) => [...figure.querySelectorAll(query)].map((each) => each.getBoundingClientRect());
          const beside = (a, b) => a.right <= b.left + 1 || b.right <= a.left + 1;
          const apart = (a, b) => beside(a, b) || a.bottom <= b.top + 1 || b.bottom <= a.top + 1;
          const plots = boxes(".cartesianlayer .bg, .bglayer .bg"), legend = boxes(".legend");
          const titles = boxes(".xtitle, .ytitle"), ticks = boxes(".xtick text, .ytick text");
          const hits = [...legend.flatMap((a) => [...plots, ...titles].filter((b) => !apart(a, b))),
                        ...titles.flatMap((a) => ticks.filter((b) => !apart(a, b)))];
          return hits.map(() => figure.id);
        })"""
    )
    assert overlaps == []
    paths = page.locator("#learning .lines path, #incumbent .lines path")
    lines = paths.evaluate_all("(all) => all.map((path) => getComputedStyle(path).stroke)")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert lines and min(contrast(line, paper) for line in lines) > 2.5
    page.locator("#trials tbody tr").first.click()
    panel = page.locator("#told").bounding_box()
    assert panel["x"] >= 0 and panel["x"] + panel["width"] <= width + 1


def contrast(one: str, other: str) -> float:
    """Of two colours of CSS, as WCAG 2 counts it."""

    def light(colour: str) -> float:
        parts = [float(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_what_is_printed_holds_every_figure(searched, tmp_path, open_page, mode):
    write_report(load_results(searched.path), tmp_path / "report.html")
    page = open_page(tmp_path / "report.html", mode=mode)
    page.pdf()
    assert due(page) == [] and [page.locator(f"#{name} svg").count() > 0 for name in FIGURES] == [True] * 9


def test_no_button_uploads_a_figure(page):
    show(page, "learning")
    page.locator("#learning").hover()
    buttons = page.locator("#learning .modebar-btn").evaluate_all("(all) => all.map((each) => each.dataset.title)")
    assert buttons and not [title for title in buttons if "hare" in title or "loud" in title]


def test_several_sweeps_are_coloured_by_sweep_and_lose_no_trial(tmp_path, open_page):
    for name, kind in (("one", "fingerspelling"), ("two", "<i>phoenix2014</i>")):
        folder = SweepFolder(tmp_path / name)
        folder.settle(f"name: demo\ncorpus: {{kind: {kind}}}\n")
        for trial in (0, 1):
            folder.start(trial, learning_rate=1e-3 * (trial + 1), **({"strategy": "baseline"} if name == "one" else {}))
            for epoch in (1, 2):
                folder.report(trial, epoch, second=10 * epoch, wer=0.9 / epoch / (trial + 1), epoch_s=9.0)
    write_report(load_results([tmp_path / "one", tmp_path / "two"]), tmp_path / "both.html")
    page = open_page(tmp_path / "both.html")
    assert page.locator(".warning").inner_text() == (
        "Warning: these sweeps are of different corpora, so their WER does not compare: "
        "corpus.kind is <i>phoenix2014</i> in two; fingerspelling in one"
    )
    assert drawn(page, "learning") == drawn(page, "slices") == {0, 1, 2, 3}
    show(page, "learning", "strategies", "timeline")
    coloured = "(all) => all.filter((each) => each.mode === 'lines').map((each) => [each.name, each.line.color])"
    colours = page.evaluate(f"({coloured})(document.getElementById('learning').data)")
    assert [name for name, _ in colours] == ["one", "two"] and colours[0][1] != colours[1][1]
    clock = page.evaluate("() => document.getElementById('timeline').layout.xaxis.title.text")
    assert clock == "minutes since the sweep began"  # which may have been on different days
    names = page.evaluate("() => document.getElementById('strategies').data.flatMap((each) => each.y)")
    assert set(names) == {"baseline", "no strategy"}
    keep(page, "sweep=two trial=1")
    assert listed(page, "sweep") == ["two"]
    page.locator("#trials tbody tr").first.click()
    assert page.locator("#told h2").inner_text() == "trial 1 of two"


def test_a_sweep_that_has_only_begun_is_shown(sweep, tmp_path, open_page):
    write_report(load_results(sweep.path), tmp_path / "none.html")
    assert open_page(tmp_path / "none.html").locator("#count").inner_text() == "0 of 0 trials"
    sweep.start(0, dropout=0.1)
    write_report(load_results(sweep.path), tmp_path / "one.html")
    page = open_page(tmp_path / "one.html")
    page.locator("#trials tbody tr").click()
    assert page.locator("#told pre").inner_text().startswith("trial 0 of demo: running after 0 epochs")
    assert json.loads(page.locator("#data").inner_text())["metrics"] == []
