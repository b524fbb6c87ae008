"""A definition that makes no sense is refused where it is made, and its values stay inside it."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glosstune.spaces import Choice, Float, Int, SettingError
from glosstune.spaces.parameters import Constant


@pytest.mark.parametrize(
    ("low", "high", "arguments", "message"),
    [
        (0.5, 0.5, {}, "low must be less than high; got low=0.5 and high=0.5"),
        (0.5, 0.1, {}, "low must be less than high; got low=0.5 and high=0.1"),
        (0.0, 1.0, {"log": True}, "low must be greater than 0 when log is true; got 0.0"),
        (-1.0, 1.0, {"log": True}, "low must be greater than 0 when log is true; got -1.0"),
        (0.0, 1.0, {"log": "yes"}, "log must be true or false; got 'yes'"),
        (0.0, math.inf, {}, "high must be a finite number; got inf"),
        (math.nan, 1.0, {}, "low must be a finite number; got nan"),
        ("low", 1.0, {}, "low must be a finite number; got 'low'"),
        (False, 1.0, {}, "low must be a finite number; got false"),
        (0.0, 10**400, {}, "high must be a finite number; got 1000"),
        (-1e308, 1e308, {}, "high - low must be finite"),
        (0.0, 1.0, {"step": 0.0}, "step must be greater than 0; got 0.0"),
        (0.0, 1.0, {"step": -0.1}, "step must be greater than 0; got -0.1"),
        (0.0, 1.0, {"step": math.inf}, "step must be a finite number; got inf"),
        (0.0, 1.0, {"step": 0.3}, "step must divide high - low; got step=0.3 from low=0.0 to high=1.0"),
        (0.0, 1.0, {"step": 2.0}, "step must divide high - low; got step=2.0"),
        (0.0, 1.0, {"step": 1e-9}, "step must leave at most 1000000 values"),
        (0.1, 1.0, {"step": 0.1, "log": True}, "step must be left out when log is true; got 0.1"),
        (0.0, 1.0, {"when": ["strategy"]}, "when must be a mapping of parameter to value; got ['strategy']"),
        (0.0, 1.0, {"when": {1: 2}}, "when must name parameters by text; got 1"),
        (0.0, 1.0, {"when": {"a": []}}, "when: a must be a list of at least one value; got []"),
        (0.0, 1.0, {"when": {"a": [1, 1]}}, "when: a must differ from each other; got 1 twice"),
        (0.0, 1.0, {"when": {"a": [[1]]}}, "when: a: a value must be text, a finite number, true, false or null"),
    ],
)
def test_float_that_makes_no_sense_is_refused(low, high, arguments, message):
    with pytest.raises(SettingError) as refusal:
        Float(low, high, **arguments)
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("low", "high", "arguments", "message"),
    [
        (3, 3, {}, "low must be less than high; got low=3 and high=3"),
        (0, 8, {"log": True}, "low must be greater than 0 when log is true; got 0"),
        (0, 8, {"step": 0}, "step must be greater than 0; got 0"),
        (0, 8, {"step": -2}, "step must be greater than 0; got -2"),
        (0, 8, {"step": 3}, "step must divide high - low; got step=3 from low=0 to high=8"),
        (1, 9, {"step": 2, "log": True}, "step must be 1 when log is true; got 2"),
        (0, 8, {"step": 2.0}, "step must be a whole number within ±2**53; got 2.0"),
        (0.0, 8, {}, "low must be a whole number within ±2**53; got 0.0"),
        (0, True, {}, "high must be a whole number within ±2**53; got true"),
        (0, 2**53 + 1, {}, "high must be a whole number within ±2**53; got 9007199254740993"),
    ],
)
def test_int_that_makes_no_sense_is_refused(low, high, arguments, message):
    with pytest.raises(SettingError) as refusal:
        Int(low, high, **arguments)
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "options must be a list of at least one value; got []"),
        ("adam", "options must be a list of at least one value; got 'adam'"),
        (["adam", "adam"], "options must differ from each other; got 'adam' twice"),
        ([1, True], "options must differ from each other; got true twice"),
        ([math.nan], "options: a value must be text, a finite number, true, false or null; got nan"),
        ([("a",)], "options: a value must be text, a finite number, true, false or null; got ['a']"),
        (["1e-5"], "options: a value must be written as a number, not as the text '1e-5'"),
    ],
)
def test_choice_that_makes_no_sense_is_refused(options, message):
    with pytest.raises(SettingError) as refusal:
        Choice(options)
    assert message in str(refusal.value)


def test_constant_must_be_a_plain_value():
    with pytest.raises(SettingError, match=r"a constant must be text, a finite number, true, false or null; got \{\}"):
        Constant({})


@pytest.mark.parametrize(
    ("definition", "inside", "outside"),
    [
        (Float(0, 1), [0, 0.0, 0.3, 1], [-0.1, 1.1, "0.3", True, None, math.nan, math.inf]),
        (Float(0.1, 0.4, step=0.1), [0.1, 0.2, 0.1 + 0.2, 0.3, 0.4], [0.15, 0.0, 0.5]),
        (Int(2, 5), [2, 3, 5], [1, 6, 3.0, True, "3", None]),
        (Int(0, 6, step=3), [0, 3, 6], [1, 4]),
        (Choice(["a", 1, None, 0.5]), ["a", 1, 1.0, None, 0.5], ["b", True, "1", 0]),
        (Choice([True, "x"]), [True], [1, False]),
        (Constant(3), [3], [4, True, "3"]),
    ],
)
def test_bounds_are_inclusive_and_types_are_told_apart(definition, inside, outside):
    assert [value for value in inside if not definition.takes(value)] == []
    assert [value for value in outside if definition.takes(value)] == []


def test_steps_are_decimal():
    values = {Float(0.1, 0.5, step=0.1).sample(random.Random(seed)) for seed in range(100)}
    assert values == {0.1, 0.2, 0.3, 0.4, 0.5}


def test_logarithm_spreads_draws_over_the_decades():
    generator = random.Random(0)
    draws = [Float(1e-5, 1e-1, log=True).sample(generator) for _ in range(2000)]
    assert 0.45 < sum(draw < 1e-3 for draw in draws) / 2000 < 0.55
    counts = [Int(1, 4, log=True).sample(generator) for _ in range(2000)]
    assert set(counts) == {1, 2, 3, 4}
    assert counts.count(1) > 2 * counts.count(4)


class AtTheEnds(random.Random):
    """Draws the bounds themselves, where rounding shows."""

    def uniform(self, a, b):
        return self.choice([a, b])


def test_rounding_does_not_step_over_a_bound():
    generator = AtTheEnds(0)
    for power in range(1, 40):
        definition = Float(3 / 7**power, 5 / 7**power, log=True)
        assert all(definition.takes(definition.sample(generator)) for _ in range(8))


def test_definition_is_frozen_and_keeps_its_own_copies():
    when, options = {"strategy": ["progressive"]}, ["a", "b"]
    choice = Choice(options, when=when)
    when["strategy"].append("baseline")
    options.append("c")
    assert choice == Choice(("a", "b"), when={"strategy": "progressive"})
    assert len({choice, Choice(("a", "b"), when={"strategy": "progressive"})}) == 1
    with pytest.raises(AttributeError):
        choice.options = ("c",)


finite = st.floats(-1e300, 1e300)


@given(st.tuples(finite, finite).filter(lambda pair: pair[0] < pair[1]), st.integers())
def test_float_takes_what_it_draws(pair, seed):
    low, high = pair
    for definition in (Float(low, high), Float(low, high, log=True) if low > 0 else Float(low, high)):
        assert definition.takes(definition.sample(random.Random(seed)))


@given(st.integers(-1000, 1000), st.integers(1, 500), st.integers(1, 1000), st.integers())
def test_float_with_a_step_takes_what_it_draws(low, step, count, seed):
    definition = Float(low / 100, (low + count * step) / 100, step=step / 100)
    assert definition.takes(definition.sample(random.Random(seed)))


@given(st.integers(-(2**53), 2**53), st.integers(1, 2**40), st.integers(1, 100), st.integers())
def test_int_takes_what_it_draws(low, step, count, seed):
    high = min(low + count * step, 2**53 - (2**53 - low) % step)
    if low < high:
        for definition in (Int(low, high, step=step), Int(low, high, log=low > 0)):
            assert definition.takes(definition.sample(random.Random(seed)))
