"""The picture of a sweep is drawn for whatever the sweep has so far."""

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from sweep_folder import SweepFolder

from glosstune.results import draw_curves, draw_trial, load_results
from glosstune.spaces import STRATEGIES
from glosstune.spaces.errors import FolderError, SettingError


def test_picture_is_a_png_of_1200_by_600(four_trials, tmp_path):
    path = tmp_path / "curves.png"
    draw_curves(load_results(four_trials.path), path)
    with Image.open(path) as picture:
        picture.verify()
        assert (picture.format, picture.size) == ("PNG", (1200, 600))


def test_sweep_of_one_epoch_without_target_or_strategy_is_drawn(sweep, tmp_path):
    sweep.record.write_text("")
    sweep.append(event="sweep", format=1, id="1", samples=1, epochs=1, metric="wer", target=None)
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
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match="cannot be written"):
        draw_curves(load_results(four_trials.path), tmp_path / "file" / "curves.png")


def test_the_picture_of_a_trial_has_four_panels_with_floor_and_target(sweep, tmp_path, figures):
    sweep.start(0, dropout=0.1)
    for epoch in range(1, 6):
        below = epoch / 10
        metrics = {"train_loss": 3.0 * (1 - below), "loss_below_floor": below, "grad_norm": 2.0, "learning_rate": 1e-3}
        sweep.report(0, epoch, wer=1 - below, dev_loss=3.0, **metrics)
    draw_trial(load_results(sweep.path), 0, tmp_path / "trial.pdf")
    (figure,) = figures
    words = [text.get_text() for text in figure.findobj(Text)]
    assert {"Loss, nats a gloss", "WER on the dev set", "Learning rate", "Gradient norm before clipping"} <= set(words)
    assert "CTC floor 3.00" in words and "target 30%" in words
    assert "trial 0 of demo: running after 5 epochs, best WER 50.0%" in words


def test_the_picture_of_a_trial_is_a_file_of_its_ending(four_trials, tmp_path):
    results = load_results(four_trials.path)
    draw_trial(results, 0, tmp_path / "trial.pdf")
    draw_trial(results, 3, tmp_path / "trial.png")
    assert (tmp_path / "trial.pdf").read_bytes().startswith(b"%PDF")
    with Image.open(tmp_path / "trial.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (1200, 900))
    with pytest.raises(SettingError, match=r"must end in \.png or \.pdf"):
        draw_curves(results, tmp_path / "curves.gif")
    with pytest.raises(FolderError, match="trial 2 has not reported yet"):
        draw_trial(results, 2, tmp_path / "trial.png")


def test_trials_of_one_number_in_two_sweeps_are_two_lines(tmp_path, figures):
    for name, wer in (("a", 0.5), ("b", 0.4)):
        folder = SweepFolder(tmp_path / name)
        folder.start(0, dropout=0.1)
        for epoch in (1, 2, 3):
            folder.report(0, epoch, wer=wer / epoch)
    draw_curves(load_results([tmp_path / "a", tmp_path / "b"]), tmp_path / "curves.png")
    (figure,) = figures
    drawn = [list(line.get_ydata()) for line in figure.axes[0].lines]
    assert [wer / epoch for wer in (0.5,) for epoch in (1, 2, 3)] in drawn
    assert [wer / epoch for wer in (0.4,) for epoch in (1, 2, 3)] in drawn
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
