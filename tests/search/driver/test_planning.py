from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from glosstune.search import load_sweep
from glosstune.search.driver import planning
from glosstune.search.driver.planning import (
    describe_plan,
    find_slots,
    longest_warmup,
    make_plan,
    propose,
    write_plan,
)
from glosstune.search.nodes import gpu_share
from glosstune.spaces import SettingError

FILE = """\
# my comment
name: mine
model: {kind: student}
training: {epochs: 40}  # long ones
search: {samples: 8, seed: 3}
space:
  learning_rate: {float: [1e-4, 1e-2], log: true}
"""


@given(
    st.floats(0.1, 1000),
    st.floats(0.5, 100),
    st.integers(1, 64),
    st.integers(2, 100),
    st.integers(2, 4),
    st.integers(0, 20),
    st.integers(1, 8),
)
def test_a_plan_fits_its_budget_and_is_compared_at_every_rung_past_the_longest_warm_up(
    epoch_s: float, hours: float, slots: int, epochs: int, reduction: int, warmup: int, sharing: int
) -> None:
    least = min(epochs, 2 + warmup)
    try:
        plan = propose(
            epoch_s=epoch_s,
            hours=hours,
            slots=slots,
            epochs=epochs,
            reduction=reduction,
            warmup_epochs=warmup,
            sharing=sharing,
        )
    except SettingError:
        assert 6 * least * epoch_s * sharing > hours * 3600 * slots * 0.5
        return
    assert plan.hours_of(epoch_s) <= hours * (1 + 1e-9)
    assert least <= plan.epochs <= epochs and plan.samples >= 6
    assert plan.samples >= reduction ** len(plan.rungs)
    assert all(warmup < rung < plan.epochs for rung in plan.rungs)


def test_trials_that_share_a_gpu_are_counted_as_quick_as_one_alone() -> None:
    fixed = {"epoch_s": 60.0, "hours": 12, "epochs": 40, "reduction": 3}
    shared, alone = propose(slots=16, sharing=4, **fixed), propose(slots=4, **fixed)
    assert (shared.samples, shared.epochs, shared.rungs) == (alone.samples, alone.epochs, alone.rungs)
    assert "4 of them on a GPU" in describe_plan(shared, 60.0)[-1]


def test_the_longest_warm_up_is_the_last_value_of_any_definition() -> None:
    assert longest_warmup(load_sweep("teacher-own", ["corpus.root=."]).space) == 2
    text = "space={warmup_epochs: {choice: [0, 7, 3]}, learning_rate: {float: [1e-4, 1e-2], log: true}}"
    assert longest_warmup(load_sweep("student", [text]).space) == 7
    assert longest_warmup(load_sweep("student", ["space={learning_rate: 1e-3}"]).space) == 0


def test_packaged_sweeps_have_the_first_rung_that_a_plan_gives_them() -> None:
    for name in ("teacher-own", "student-own"):
        sweep = load_sweep(name, ["corpus.root=."])
        plan = propose(
            epoch_s=1.0,
            hours=12,
            slots=1,
            epochs=sweep.training.epochs,
            reduction=sweep.halving.reduction,
            warmup_epochs=longest_warmup(sweep.space),
        )
        assert plan.min_epochs == sweep.halving.min_epochs


def test_a_plan_with_a_known_answer() -> None:
    # All 12 train 2 epochs, 4 of them 4 more, and 12/9 of those the last 12: 56 epochs.
    plan = propose(epoch_s=1.0, hours=56.1 / 3600, slots=1, epochs=18, reduction=3)
    assert (plan.samples, plan.epochs, plan.rungs) == (12, 18, [2, 6])
    assert plan.expected(1) == pytest.approx(12 / 9)


def test_a_budget_too_small_for_full_trials_gets_shorter_ones() -> None:
    plan = propose(epoch_s=1.0, hours=30 / 3600, slots=1, epochs=18, reduction=3)
    assert plan.epochs < 18 and plan.samples >= 6
    with pytest.raises(SettingError, match=r"--hours: .* are not enough"):
        propose(epoch_s=100.0, hours=0.01, slots=1, epochs=18, reduction=3)


def test_a_written_plan_keeps_the_comments_and_gives_the_sweep_that_it_says(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(FILE)
    said: list[str] = []
    plan = make_plan(file, [], 0.5, 0.0, 4.0, True, said.append)
    assert f"search.samples: {plan.samples}" in said
    text = file.read_text()
    assert "# my comment" in text and "# long ones" in text and yaml.safe_load(text)["search"]["seed"] == 3
    sweep = load_sweep(file)
    assert sweep.search.samples == plan.samples
    assert sweep.halving.min_epochs == plan.min_epochs
    assert sweep.resources.concurrent is None  # which memory bounds, where the sweep runs


def test_gpus_are_shared_out_by_what_a_trial_asks_for(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(FILE + "resources: {gpu: 0.25}\n")
    plan = make_plan(file, [], 1.0, 4.0, 10.0, False, lambda line: None)
    assert (plan.slots, plan.sharing) == (16, 4)


@pytest.mark.parametrize(
    ("memory_gb", "asked", "slots"),
    [(64, [], 8), (5, [], 3), (1, [], 1), (5, ["resources.concurrent=5"], 5), (64, ["resources.concurrent=2"], 2)],
    ids=str,
)
def test_a_plan_counts_on_as_many_at_a_time_as_a_sweep_runs_here(
    monkeypatch: pytest.MonkeyPatch, memory_gb: float, asked: list[str], slots: int
) -> None:
    monkeypatch.setattr(planning, "usable_cpus", lambda: 8)
    monkeypatch.setattr(gpu_share, "usable_memory", lambda: int(memory_gb * 1e9))
    sweep = load_sweep("student", asked)
    assert find_slots(sweep, 0) == (slots, 1)
    assert make_plan(None, asked, 1.0, 0.0, 4.0, False, lambda line: None).slots == slots


def test_memory_of_this_machine_bounds_no_trials_on_gpus_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_share, "usable_memory", lambda: 2_000_000_000)
    sweep = load_sweep("student", ["resources.gpu=0.25"])
    assert find_slots(sweep, 4, here=False) == (16, 4)
    assert find_slots(sweep, 4) == (1, 1)


def test_a_gpu_that_is_not_here_is_not_timed_on_a_cpu(tmp_path: Path, on_cpu: None) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(FILE)
    with pytest.raises(SettingError, match=r"--gpus: there is none here .* give --seconds-per-epoch"):
        make_plan(file, [], 1.0, 4.0, None, False, lambda line: None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, [], 0.0, 0.0, 1.0, False), "--hours: must be a number above 0; got 0"),
        ((None, [], 1.0, 0.0, -1.0, False), "--seconds-per-epoch: must be"),
        ((None, [], 1.0, 0.0, 1.0, True), "--write: name a sweep file of your own"),
        ((None, ["resources.gpu=0"], 1.0, 4.0, 1.0, False), "resources.gpu: a trial asks for none of the 4 GPUs"),
    ],
)
def test_a_plan_that_cannot_be_made_says_why(arguments: tuple, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        make_plan(*arguments, lambda line: None)


def test_a_plan_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    plan = propose(epoch_s=1.0, hours=1.0, slots=1, epochs=18, reduction=3)
    with pytest.raises(OSError, match="No such file"):
        write_plan(plan, tmp_path / "nowhere.yaml")
