import math
import random
import statistics
import sys
from functools import partial
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.samplers import NSGAIISampler, RandomSampler
from optuna.trial import TrialState as OptunaState

from glosstune.search import load_sweep
from glosstune.search.scheduler.sampler import Sampler, check_sampler, distribution, freeze
from glosstune.search.scheduler.trial import TrialState
from glosstune.spaces import Choice, Float, Int, SettingError, Space

SPACE = Space({"learning_rate": Float(1e-5, 1e-1, log=True), "dropout": Float(0.0, 0.5)})


def _distance(configuration: dict) -> float:
    return abs(math.log10(configuration["learning_rate"]) + 3) + configuration["dropout"]


def _trial(number: int, **known: object) -> TrialState:
    configuration = SPACE.sample(random.Random(number))
    return TrialState(number, configuration, "tpe", **known)  # type: ignore[arg-type]  # any of its fields


def _judged(number: int, status: str = "paused") -> TrialState:
    score = _distance(SPACE.sample(random.Random(number)))
    return _trial(number, scores=[score], score=score, status=status)


def test_a_trial_is_shown_as_what_it_is_worth() -> None:
    shown = {
        name: freeze(trial, SPACE, 1)
        for name, trial in {
            "running": _trial(0),
            "paused": _trial(1, scores=[0.9, 0.5], status="paused"),
            "past a rung": _trial(2, scores=[0.9]),
            "finished": _trial(3, scores=[0.9, 0.5], score=0.2, status="finished"),
            "stuck": _trial(4, scores=[2.0], status="stopped", faulty=True, reason="stuck: WER 100%"),
            "crashed": _trial(5, scores=[0.1], status="failed", rule="process died", faulty=True),
        }.items()
    }
    assert {name: trial.state for name, trial in shown.items()} == {
        "running": OptunaState.RUNNING,
        "paused": OptunaState.PRUNED,
        "past a rung": OptunaState.PRUNED,
        "finished": OptunaState.COMPLETE,
        "stuck": OptunaState.PRUNED,
        "crashed": OptunaState.PRUNED,
    }
    assert shown["finished"].value == 0.2
    assert shown["paused"].intermediate_values == {0: 0.9, 1: 0.5}
    assert shown["stuck"].intermediate_values == shown["crashed"].intermediate_values == {}
    assert shown["stuck"].user_attrs == {"reason": "stuck: WER 100%"}


@given(st.integers(0, 2**32 - 1), st.integers(0, 50), st.sampled_from(["tpe", "random"]))
@settings(max_examples=30)
def test_the_same_seed_number_and_trials_give_the_same_configuration(seed: int, number: int, sampler: str) -> None:
    trials = [_judged(each) for each in range(20)]
    first, again = (Sampler(SPACE, sampler, seed).suggest(number, trials) for _ in range(2))
    assert first == again
    SPACE.check(first)
    # Nor does it matter what was asked for before: a resumed sweep starts with a new sampler.
    used = Sampler(SPACE, sampler, seed)
    for each in range(3):
        used.suggest(each, trials[:each])
    assert used.suggest(number, trials) == first


def test_other_numbers_and_seeds_draw_other_configurations() -> None:
    drawn = [Sampler(SPACE, "tpe", seed).suggest(number, []) for seed in range(3) for number in range(3)]
    assert len({each["learning_rate"] for each in drawn}) == 9


@pytest.mark.parametrize("status", ["paused", "finished", "running"])
def test_tpe_learns_from_trials_that_wait_at_rungs_as_from_finished_ones(status: str) -> None:
    trials = [_judged(number, status) for number in range(40)]
    sampler = Sampler(SPACE, "tpe", 0)
    learned = statistics.mean(_distance(sampler.suggest(number, trials)) for number in range(40, 60))
    blind = statistics.mean(_distance(SPACE.sample(random.Random(number))) for number in range(40, 60))
    assert learned < 0.6 * blind


def test_tpe_keeps_away_from_where_trials_were_stuck() -> None:
    def stuck(number: int) -> TrialState:
        trial = _judged(number)
        if trial.configuration["learning_rate"] > 1e-3:
            trial.status, trial.rule, trial.scores = "stopped", "stuck", []
        else:
            trial.scores = [0.5]
        return trial

    trials = [stuck(number) for number in range(40)]
    sampler = Sampler(SPACE, "tpe", 0)
    drawn = [sampler.suggest(number, trials)["learning_rate"] for number in range(40, 60)]
    assert sum(rate > 1e-3 for rate in drawn) <= 4


def test_trials_outside_a_narrowed_space_leave_the_samplers_view() -> None:
    narrow = Space({"learning_rate": Float(1e-4, 1e-3, log=True), "dropout": Float(0.0, 0.5)})
    sampler = Sampler(narrow, "tpe", 0)
    for number in range(30):
        narrow.check(sampler.suggest(number, [_judged(each) for each in range(30)]))


def test_earlier_trials_are_learned_from_too() -> None:
    earlier = [_judged(number, "finished") for number in range(40)]
    told = Sampler(SPACE, "tpe", 0, earlier=earlier)
    assert statistics.mean(_distance(told.suggest(number, [])) for number in range(20)) < 0.8


def test_only_what_changed_is_converted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    converted = []

    def count(trial: TrialState, space: Space, number: int) -> object:
        converted.append(trial.number)
        return freeze(trial, space, number)

    monkeypatch.setattr("glosstune.search.scheduler.sampler.freeze", count)
    sampler, trials = Sampler(SPACE, "tpe", 0), [_judged(number) for number in range(12)]
    sampler.suggest(12, trials)
    trials[3].scores.append(0.1)
    sampler.suggest(13, trials)
    assert converted == [*range(12), 3]


@pytest.mark.parametrize(
    "parameter", [Float(0.1, 0.5, step=0.2), Float(1e-4, 1.0, log=True), Int(2, 8, step=3), Choice(["a", 1, None])]
)
def test_optuna_takes_exactly_the_values_of_a_parameter(parameter: Float | Int | Choice) -> None:
    counterpart = distribution(parameter)
    for seed in range(20):
        value = parameter.sample(random.Random(seed))
        assert counterpart._contains(counterpart.to_internal_repr(value))


def test_a_conditional_space_is_asked_by_its_labels_and_answers_by_its_names() -> None:
    space = Space(
        {
            "norm": Choice(["group", "batch"]),
            "learning_rate": [
                Float(1e-4, 1e-3, log=True, when={"norm": "group"}),
                Float(1e-3, 1e-2, log=True, when={"norm": "batch"}),
            ],
        }
    )
    trials = []
    sampler = Sampler(space, "tpe", 0)
    for number in range(25):
        configuration = sampler.suggest(number, trials)
        space.check(configuration)
        assert (configuration["learning_rate"] <= 1e-3) == (configuration["norm"] == "group")
        trials.append(TrialState(number, configuration, "tpe", scores=[number / 25], status="paused"))
    assert set(freeze(trials[0], space, 1).params) <= {"norm", "learning_rate@group", "learning_rate@batch"}


GP = "optuna.samplers:GPSampler"


def test_any_sampler_of_optuna_learns_from_trials_that_wait_at_rungs() -> None:
    trials = [_judged(number) for number in range(20)]
    sampler = Sampler(SPACE, GP, 0, startup=5)
    learned = statistics.mean(_distance(sampler.suggest(number, trials)) for number in range(40, 44))
    assert learned < statistics.mean(_distance(trial.configuration) for trial in trials) / 2
    assert sampler.suggest(40, trials) == Sampler(SPACE, GP, 0, startup=5).suggest(40, trials)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("optuna.samplers:NSGAIISampler", "draws its first 50 trials at random, and search.samples is 8; set more"),
        ("optuna.samplers:GridSampler", r"fails \(TypeError: GridSampler.__init__\(\) missing 1 required"),
        ("builtins:dict", "is no "),
        ("optuna.samplers:QMCSampler", "draws the same for every trial; it may keep its state in the study"),
        (
            "own_samplers:Outside",
            "draws what the space has not: dropout: must be a number from 0.0 to 0.5; got 1000000000.0",
        ),
        ("own_samplers:Exiting", r"fails \(SystemExit: 0\)"),
        ("own_samplers:Lacking", r"fails \(ModuleNotFoundError: No module named 'cmaes2'\)"),
    ],
)
def test_a_sampler_that_cannot_draw_is_named_before_the_sweep_begins(
    monkeypatch: pytest.MonkeyPatch, name: str, told: str
) -> None:
    class Lacking(RandomSampler):
        def infer_relative_search_space(self, *arguments: object) -> dict:
            raise ModuleNotFoundError("No module named 'cmaes2'")

    class Outside(RandomSampler):
        def sample_independent(self, *arguments: object) -> float:
            return 1e9

    class Exiting(RandomSampler):
        def sample_independent(self, *arguments: object) -> float:
            sys.exit(0)

    module = ModuleType("own_samplers")
    vars(module).update(Lacking=Lacking, Outside=Outside, Exiting=Exiting)
    monkeypatch.setitem(sys.modules, "own_samplers", module)
    with pytest.raises(SettingError, match=rf"^search\.sampler: {name} {told}"):
        check_sampler(load_sweep("student", [f"search.sampler={name}", "search.samples=8"]), print)


def test_what_depends_on_other_parameters_is_said_to_be_drawn_at_random() -> None:
    said: list[str] = []
    check_sampler(load_sweep("teacher", ["search.sampler=optuna.samplers:RandomSampler"]), said.append)
    (line,) = said
    assert "other than tpe" in line and "learning_rate" in line and "warmup_epochs" not in line
    check_sampler(load_sweep("student", ["search.sampler=optuna.samplers:RandomSampler"]), said.append)
    check_sampler(load_sweep("teacher"), said.append)
    assert said == [line]


def test_a_sampler_that_keeps_its_state_with_its_trials_goes_on_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("own_samplers")
    vars(module).update(evolving=partial(NSGAIISampler, population_size=6))
    monkeypatch.setitem(sys.modules, "own_samplers", module)
    sampler, trials = Sampler(SPACE, "own_samplers:evolving", 0), []
    for number in range(90):
        drawn = sampler.suggest(number, trials)
        score = _distance(drawn)
        trials.append(TrialState(number, drawn, "evolving", scores=[score], score=score, status="paused"))
    assert statistics.mean(trial.score for trial in trials[-30:]) < 0.9  # 1.1 where it begins anew for every trial
