"""The picture of a sweep is drawn for whatever the sweep has so far."""

import pytest
from PIL import Image

from glosstune.results import draw_curves, load_results
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


def test_sweep_without_reports_is_an_error(sweep, tmp_path):
    with pytest.raises(FolderError, match="no trial has reported"):
        draw_curves(load_results(sweep.path), tmp_path / "curves.png")


def test_path_that_cannot_be_written_is_an_error(four_trials, tmp_path):
    with pytest.raises(FolderError, match="cannot be written"):
        draw_curves(load_results(four_trials.path), tmp_path / "nowhere" / "curves.png")
