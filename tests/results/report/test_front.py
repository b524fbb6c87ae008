"""The figure of trade-offs."""

from sweep_folder import SweepFolder

from glosstune.results import load_results, write_report
from glosstune.results.report.figures import draw_front


def test_every_trial_is_a_point_and_the_front_is_joined(weighed: SweepFolder) -> None:
    figure = draw_front(load_results(weighed.path))
    assert figure is not None
    others, front = figure.data
    assert list(front.x) == [90_000, 40_000, 20_000] and list(front.y) == [0.2, 0.3, 0.5]
    assert "lines" in front.mode and others.mode == "markers" and len(others.x) == 4
    assert front.text[0] == "trial 0<br>width=0.1<br>strategy=baseline"


def test_there_is_none_where_all_trials_cost_the_same(weighed: SweepFolder, four_trials: SweepFolder) -> None:
    assert draw_front(load_results(four_trials.path)) is None
    write_report(load_results(weighed.path), weighed.path / "report.html")
    assert "beaten by none" in (weighed.path / "report.html").read_text()
