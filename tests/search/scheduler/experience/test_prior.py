"""Configurations that are drawn near the best of other sweeps."""

import math
import random

from hypothesis import given
from hypothesis import strategies as st
from replay import run_through, sweep

from glosstune.search.scheduler.experience.known import KnownSweep, known_to
from glosstune.search.scheduler.experience.prior import Prior
from glosstune.spaces import Choice, Float, Int, Space

SPACE = Space(
    {
        "strategy": Choice(("baseline", "full-finetune")),
        "learning_rate": Float(1e-5, 1e-2, log=True),
        "warmup_epochs": Int(0, 3),
        "dropout": Float(0.0, 0.5),
    }
)


def _known(*rates: float) -> KnownSweep:
    fixed = {"strategy": "full-finetune", "dropout": 0.2, "warmup_epochs": 1}
    return KnownSweep("a", None, [{**fixed, "learning_rate": rate} for rate in rates])


def test_draws_lie_near_the_best() -> None:
    prior = Prior([_known(1e-3), _known(1e-3)])
    drawn = [prior.draw(SPACE, random.Random(seed)) for seed in range(200)]
    decades = [abs(math.log10(each["learning_rate"]) + 3) for each in drawn]
    assert sum(decade < 0.3 for decade in decades) > 180
    assert {each["strategy"] for each in drawn} == {"full-finetune"}
    assert {each["warmup_epochs"] for each in drawn} == {1}


def test_the_first_is_the_good_one_that_is_most_like_the_others() -> None:
    first = Prior([_known(1.2e-3), _known(1e-3), _known(9e-3)]).first(SPACE, random.Random(0))
    assert first == {"strategy": "full-finetune", "learning_rate": 1.2e-3, "warmup_epochs": 1, "dropout": 0.2}


def test_a_good_value_at_a_bound_is_not_drawn_over_the_whole_range() -> None:
    space = Space({"learning_rate": Float(1e-5, 1e-3, log=True), "dropout": Float(0.0, 0.6, step=0.2)})
    drawn = [Prior([_known(1e-3)]).draw(space, random.Random(seed)) for seed in range(200)]
    assert sum(each["learning_rate"] > 5e-4 for each in drawn) > 180
    assert {round(each["dropout"], 6) for each in drawn} <= {0.0, 0.2, 0.4}


@given(st.floats(-6, -1), st.floats(0.01, 3), st.integers(0, 2), st.integers(0, 1000))
def test_whatever_the_space_its_draws_lie_in_it(decade: float, width: float, first: int, seed: int) -> None:
    space = Space(
        {
            "learning_rate": Float(10**decade, 10 ** (decade + width), log=True),
            "warmup_epochs": Int(first, first + 2),
            "strategy": Choice(("baseline", "progressive")),
            "unfreeze_stages": Int(2, 5, when={"strategy": "progressive"}),
            "width": Choice((1.0, 0.5)),
        }
    )
    drawn = Prior([_known(1e-3)]).draw(space, random.Random(seed))
    space.check(drawn)
    space.check(Prior([_known(1e-3)]).first(space, random.Random(seed)))
    assert drawn == Prior([_known(1e-3)]).draw(space, random.Random(seed))


def test_every_other_one_of_the_first_trials_is_drawn_so_and_told_as_that() -> None:
    scheduler, _ = run_through(sweep("search.samples=20", "search.prior=packaged"))
    sources = [trial.source for trial in scheduler.state.trials.values()]
    assert sources == ["prior", "tpe"] * 4 + ["tpe"] * 12


def test_start_points_take_none_of_its_places() -> None:
    point = "{learning_rate: 1e-3, dropout: 0.1, warmup_epochs: 0}"
    plan = sweep("search.samples=20", "search.prior=packaged", f"search.start_points=[{point}]")
    trials = list(run_through(plan)[0].state.trials.values())
    assert [trial.source for trial in trials] == ["start point"] + ["prior", "tpe"] * 4 + ["tpe"] * 11
    first = Prior(known_to(plan)).first(plan.space, random.Random("0 1"))
    assert dict(trials[1].configuration) == first
