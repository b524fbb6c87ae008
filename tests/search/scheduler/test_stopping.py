import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from replay import Tape, metrics, run_through, sweep

from glosstune.search.config.settings import SearchSettings, StoppingSettings
from glosstune.search.scheduler.ranking import Metrics
from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.search.scheduler.stopping import Stop, judge_sweep, judge_trial
from glosstune.spaces import SettingError

RULES = StoppingSettings()


def _rule(curve: list[dict[str, Any]], grace: float = 3, rules: StoppingSettings = RULES) -> str | None:
    stop = judge_trial(curve, grace, rules)
    return stop and stop.rule


def test_a_trial_at_the_floor_is_stuck_after_grace_and_window_and_not_before() -> None:
    verdicts = [_rule([metrics(1.0, 0.0)] * epochs) for epochs in range(1, 8)]
    assert verdicts == [None] * 5 + ["stuck"] * 2


@pytest.mark.parametrize("below", [0.02, 0.3, 0.9])
def test_a_trial_whose_loss_has_left_the_floor_is_not_stuck_at_a_wer_of_one(below: float) -> None:
    assert _rule([metrics(1.0, below)] * 40) is None


def test_an_uncertain_loss_is_given_the_benefit_of_the_doubt() -> None:
    assert _rule([metrics(1.0, 0.01, loss_below_floor_se=0.001)] * 9) == "stuck"
    assert _rule([metrics(1.0, 0.01, loss_below_floor_se=0.01)] * 9) is None


def test_one_epoch_above_the_margin_or_below_the_wer_inside_the_window_saves_it() -> None:
    still = [metrics(1.0, 0.0)] * 5
    for saving in (metrics(0.9, 0.0), metrics(1.0, 0.05)):
        assert _rule([*still, saving]) is None
        assert _rule([*still, saving, *still[:2]]) is None
        assert _rule([*still, saving, *still[:3]]) == "stuck"


def test_blank_collapse_is_told_from_being_stuck_and_found_at_lower_wers() -> None:
    blank = metrics(0.9, 0.0, blank_ratio=0.96)
    assert _rule([blank] * 6) == "blank collapse"
    assert _rule([metrics(0.9, 0.0, blank_ratio=0.5)] * 6) is None
    assert _rule([metrics(0.9, 0.3, blank_ratio=0.96)] * 6) is None


def test_a_loss_without_a_floor_is_never_stuck() -> None:
    assert _rule([{**metrics(1.0, 0.0), "loss_below_floor": None}] * 30) is None


@pytest.mark.parametrize("epochs", [1, 2, 30])
def test_a_loss_that_is_no_number_has_diverged_even_within_grace(epochs: int) -> None:
    curve = [metrics(1.0, 0.3)] * (epochs - 1)
    assert _rule([*curve, {**metrics(1.0, 0.3), "train_loss": None}], grace=50) == "diverged"


def test_a_loss_over_a_multiple_of_its_start_has_diverged() -> None:
    start = {**metrics(1.0, 0.3), "train_loss": 2.0}
    assert _rule([start, {**start, "train_loss": 6.0}]) is None
    assert _rule([start, {**start, "train_loss": 6.1}]) == "diverged"
    lenient = StoppingSettings(divergence=None)
    assert _rule([start, {**start, "train_loss": 600.0}], rules=lenient) is None


def test_each_rule_can_be_switched_off() -> None:
    still = [metrics(1.0, 0.0, blank_ratio=1.0)] * 9
    assert _rule(still, rules=StoppingSettings(blank_ratio=None)) == "stuck"
    assert _rule(still, rules=StoppingSettings(stuck_wer=None)) == "blank collapse"
    assert _rule(still, rules=StoppingSettings(stuck_wer=None, blank_ratio=None)) is None


def test_the_reason_names_epoch_and_figures() -> None:
    stop = judge_trial([metrics(1.0, 0.0)] * 6, 3, RULES)
    assert stop is not None
    assert stop.reason == "stuck: WER 100.0%, loss surely less than 2% below the CTC floor for 3 epochs up to 6"


@given(
    st.lists(st.tuples(st.floats(0.5, 1.5), st.floats(-1, 1)), min_size=1, max_size=12),
    st.integers(0, 5),
    st.integers(1, 4),
)
def test_who_is_stuck_has_shown_nothing_for_the_whole_window(curve: list, grace: int, window: int) -> None:
    rules = StoppingSettings(window_epochs=window)
    if _rule([metrics(*epoch) for epoch in curve], grace, rules) == "stuck":
        assert len(curve) >= grace + window
        assert all(wer >= 0.97 and below < 0.02 for wer, below in curve[-window:])


def _sweep_rule(best_wer: float = 1.0, used_s: float = 0, epochs: int = 0, since_best: int = 0, **search: Any) -> Any:
    stop = judge_sweep(SearchSettings(**search), best_wer=best_wer, used_s=used_s, epochs=epochs, since_best=since_best)
    return stop and stop.rule


def test_a_sweep_ends_at_each_of_its_limits_and_at_none_that_is_not_set() -> None:
    assert _sweep_rule(0.0, 1e9, 10**9, 10**9) is None
    assert _sweep_rule(0.29, stop_at_target=True) == "target"
    assert _sweep_rule(0.30, stop_at_target=True) is None
    assert _sweep_rule(used_s=60, time_budget_min=1) == "time budget"
    assert _sweep_rule(used_s=59, time_budget_min=1) is None
    assert _sweep_rule(epochs=10, epoch_budget=10) == "epoch budget"
    assert _sweep_rule(since_best=5, patience_trials=5) == "patience"
    assert _sweep_rule(since_best=4, patience_trials=5) is None


def test_every_rule_of_ours_marks_the_trial_as_faulty() -> None:
    for curve in ([metrics(1.0, 0.0)] * 9, [{**metrics(1.0, 0.3), "train_loss": None}]):
        stop = judge_trial(curve, 3, RULES)
        assert stop is not None and stop.faulty


def late(curve: Sequence[Metrics], grace_epochs: float, settings: StoppingSettings) -> Stop | None:
    return Stop("late", f"late: epoch {len(curve)}") if len(curve) >= 2 else None


def failing(curve: Sequence[Metrics], grace_epochs: float, settings: StoppingSettings) -> Stop | None:
    raise KeyError("wer_of_dev")


def wordy(curve: Sequence[Metrics], grace_epochs: float, settings: StoppingSettings) -> str:
    return "stop"


def _giving(stop: Stop) -> Callable[..., Stop]:
    return lambda curve, grace_epochs, settings: stop


UNFIT = {
    "number": _giving(Stop(3, "r")),  # type: ignore[arg-type]
    "numpy": _giving(Stop("r", "r", np.bool_(True))),  # type: ignore[arg-type]
    "ours": _giving(Stop("halving", "x")),
    "escape": _giving(Stop("r", "\x1b[2J")),
    "empty": _giving(Stop("", "r")),
}


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> str:
    """The module name of the rules above, as a sweep would give it."""
    module = ModuleType("own_rules")
    vars(module).update(late=late, failing=failing, wordy=wordy, **UNFIT)
    monkeypatch.setitem(sys.modules, "own_rules", module)
    return "own_rules"


def test_a_rule_of_ones_own_is_asked_after_ours(own: str) -> None:
    rules = StoppingSettings(rules=(f"{own}:late",))
    assert [_rule([metrics(0.5, 0.5)] * epochs, rules=rules) for epochs in (1, 2)] == [None, "late"]
    assert _rule([{**metrics(0.5, 0.5), "train_loss": None}] * 2, rules=rules) == "diverged"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("failing", r"own_rules:failing failed on a trial of 1 epochs \(KeyError: 'wer_of_dev'\)"),
        ("wordy", "own_rules:wordy must give None, or a Stop of two texts and a bool; it gave 'stop'"),
        ("missing", "own_rules:missing cannot be imported"),
    ],
)
def test_a_rule_that_fails_is_named(own: str, name: str, told: str) -> None:
    with pytest.raises(SettingError, match=rf"^stopping\.rules: {told}"):
        judge_trial([metrics(0.5, 0.5)], 3, StoppingSettings(rules=(f"{own}:{name}",)))


@pytest.mark.parametrize("name", UNFIT)
def test_a_stop_that_no_record_can_hold_ends_the_sweep_before_it_is_written(own: str, name: str) -> None:
    scheduler, tape = run_through(sweep("search.samples=2", f"stopping.rules=[{own}:{name}]"))
    assert f"own_rules:{name} must give " in str(scheduler.broken)
    assert tape.told and {event["status"] for event in tape.named("end")} == {"interrupted"}


def test_a_rule_cannot_change_the_curve_that_it_is_shown(own: str) -> None:
    curve = [metrics(0.5, 0.5)]
    vars(sys.modules[own]).update(emptying=lambda curve, grace_epochs, settings: curve.clear())
    assert judge_trial(curve, 3, StoppingSettings(rules=(f"{own}:emptying",))) is None
    assert curve == [metrics(0.5, 0.5)]


def test_a_trial_that_a_lenient_rule_has_stopped_keeps_its_score_and_the_record_says_so(own: str) -> None:
    scheduler, tape = run_through(sweep("search.samples=3", f"stopping.rules=[{own}:late]"))
    assert {trial.rule for trial in scheduler.state.trials.values()} == {"late"}
    assert not any(trial.faulty for trial in scheduler.state.trials.values())
    assert [event.get("faulty", False) for event in tape.named("end")] == [False] * 3
    again = Scheduler(sweep("search.samples=3"), Tape().append, events=tape.told)  # without the rule
    assert [trial.reason for trial in again.state.trials.values()] == ["late: epoch 2"] * 3


def test_a_rule_that_fails_ends_the_sweep_and_not_the_trial(own: str) -> None:
    scheduler, tape = run_through(sweep("search.samples=3", f"stopping.rules=[{own}:failing]"))
    assert "own_rules:failing failed" in str(scheduler.broken)
    assert [event["rule"] for event in tape.named("over")] == ["interrupt"]
    assert {trial.status for trial in scheduler.state.trials.values()} == {"interrupted"}
