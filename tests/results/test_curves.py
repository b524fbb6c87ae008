"""The picture of a sweep is drawn for whatever the sweep has so far."""

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from glosstune.results import draw_curves, load_results
from glosstune.spaces import STRATEGIES
from glosstune.spaces.errors import FolderError


def test_picture_is_a_png_of_1200_by_600(four_trials, tmp_path):
    path = tmp_path / "curves.png"
    draw_curves(load_results(four_trials.path), path)
    with Image.open(path) as picture:
        picture.verify()
        assert (picture.format, picture.size) == ("PNG", (1200, 600))


def test_sweep_of_one_epoch_without_target_or_strategy_is_drawn(sweep, tmp_path):
    sweep.record.write_text("")
    sweep.start(0, dropout=0.1)
    sweep.report(0, 1, wer=1.7)
    draw_curves(load_results(sweep.path), tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 0


@pytest.fixture
def figures(monkeypatch):
    """The figures that were drawn, in place of their files."""
    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **_: (drawn.append(figure), path.touch()))
    return drawn


def test_legend_and_titles_of_five_strategies_have_room(sweep, tmp_path, figures):
    for trial, strategy in enumerate([*reversed(STRATEGIES)] * 2):
        sweep.start(trial, strategy=strategy)
        for epoch in range(1, 51):
            sweep.report(trial, epoch, wer=0.2 + 0.01 * trial + 0.8 / epoch, loss_below_floor=1 - 2 / epoch)
        sweep.end(trial, ("finished", "stopped", "failed")[trial % 3], "reason")
    draw_curves(load_results(sweep.path), tmp_path / "curves.png")
    (figure,) = figures
    figure.draw_without_rendering()
    (legend,) = figure.legends
    words = [text.get_text() for text in legend.get_texts()]
    assert words == [*STRATEGIES, "finished", "stopped early", "failed"]
    best, left, right = (
        next(text for text in figure.findobj(Text) if words in text.get_text()).get_window_extent()
        for words in ("trial 0: 21.6% in epoch 50", "WER on", "Training loss")
    )
    assert left.x1 < best.x0 and best.x1 < right.x0
    for box in (legend.get_window_extent(), left, right):
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1


def test_trial_that_failed_before_its_first_epoch_has_no_mark_to_explain(four_trials, tmp_path, figures):
    draw_curves(load_results(four_trials.path), tmp_path / "curves.png")
    words = [text.get_text() for text in figures[0].legends[0].get_texts()]
    assert words == ["baseline", "progressive", "finished", "stopped early"]


def test_sweep_without_reports_is_an_error(sweep, tmp_path):
    with pytest.raises(FolderError, match="no trial has reported"):
        draw_curves(load_results(sweep.path), tmp_path / "curves.png")


def test_path_that_cannot_be_written_is_an_error(four_trials, tmp_path):
    with pytest.raises(FolderError, match="cannot be written"):
        draw_curves(load_results(four_trials.path), tmp_path / "nowhere" / "curves.png")
