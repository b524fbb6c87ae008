"""What holds for every space, tried on drawn ones."""

import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from glosstune.spaces import Choice, Float, Int, SettingError, Space
from glosstune.spaces.conditions import holding
from glosstune.spaces.files.yaml_data import parse_yaml, write_yaml
from glosstune.spaces.parameters import Constant, conditions, same

NAMES = ["a", "b.c", "d-e", "f", "G"]
texts = st.text("abcxyz-_,@ 019", max_size=4)
scalars = st.one_of(texts, st.booleans(), st.none(), st.integers(-5, 5), st.floats(-5, 5).map(lambda x: round(x, 3)))
options = st.lists(scalars, min_size=1, max_size=4, unique_by=lambda value: float(value) if is_number(value) else value)


def is_number(value):
    return isinstance(value, int | float)


@st.composite
def definitions(draw, when):
    kind = draw(st.sampled_from(["float", "log", "step", "int", "logint", "stepint", "choice", "constant"]))
    low, width = draw(st.integers(1, 50)), draw(st.integers(1, 50))
    match kind:
        case "float":
            return Float(-low / 7, width / 3, when=when)
        case "log":
            return Float(low / 1000, low / 1000 + width, log=True, when=when)
        case "step":
            return Float(low / 10, (low + 3 * width) / 10, step=width / 10, when=when)
        case "int" | "logint":
            return Int(low, low + width, log=kind == "logint", when=when)
        case "stepint":
            return Int(-low, -low + 3 * width, step=width, when=when)
        case "choice":
            return Choice(draw(options), when=when)
        case _:
            return Constant(draw(scalars), when=when)


@st.composite
def spaces(draw):
    """Spaces whose parameters depend on parameters before them, then written in any order."""
    parameters = {}
    takes = {}  # the values that a later condition may ask for
    for name in NAMES[: draw(st.integers(1, len(NAMES)))]:
        parent = draw(st.sampled_from([None, *takes])) if takes else None
        if parent is None:
            alternatives = [draw(definitions(when=None))]
        else:
            groups = [[] for _ in range(draw(st.integers(1, 3)))]
            for value in takes[parent]:
                draw(st.sampled_from(groups)).append(value)
            alternatives = [draw(definitions(when={parent: group})) for group in groups if group]
        parameters[name] = alternatives
        if not any(isinstance(each, Float) for each in alternatives):
            takes[name] = unique(value for each in alternatives for value in values_of(each))[:6]
    return Space({name: parameters[name] for name in draw(st.permutations(list(parameters)))})


def values_of(definition):
    if isinstance(definition, Choice):
        return definition.options
    if isinstance(definition, Constant):
        return [definition.value]
    return range(definition.low, definition.high + 1, definition.step)


def unique(values):
    seen = []
    for value in values:
        if value not in seen:
            seen.append(value)
    return seen


@given(spaces(), st.integers())
@settings(deadline=None, max_examples=60)
def test_every_sample_is_accepted(space, seed):
    space.check(space.sample(random.Random(seed)))


@given(spaces(), st.integers())
@settings(deadline=None, max_examples=60)
def test_parameter_is_there_exactly_when_one_of_its_conditions_holds(space, seed):
    configuration = space.sample(random.Random(seed))
    for name, alternatives in space.items():
        held = [
            all(
                parent in configuration and any(same(configuration[parent], value) for value in allowed)
                for parent, allowed in conditions(definition.when).items()
            )
            for definition in alternatives
        ]
        assert sum(held) == (name in configuration)


@given(spaces())
@settings(deadline=None, max_examples=60)
def test_labels_are_unique_and_begin_with_the_name(space):
    labels = [label for name in space for label in space._labels[name]]
    assert len(set(labels)) == len(labels) == sum(len(alternatives) for alternatives in space.values())
    assert all(label.partition("@")[0] == name for name in space for label in space._labels[name])


@given(spaces(), st.integers())
@settings(deadline=None, max_examples=60)
def test_space_comes_back_from_yaml(space, seed):
    text = write_yaml(space.to_mapping())
    copy = Space.from_mapping(parse_yaml(text, "space"))
    assert copy == space
    assert list(copy) == list(space)
    assert copy.sample(random.Random(seed)) == space.sample(random.Random(seed))


@given(spaces(), st.data(), st.integers())
@settings(deadline=None, max_examples=60)
def test_order_of_writing_changes_neither_labels_nor_draws(space, data, seed):
    shuffled = Space({name: space[name] for name in data.draw(st.permutations(list(space)))})
    drawn = []
    for each in (space, shuffled):
        generator = random.Random(seed)
        calls = []

        def suggest(label, parameter, calls=calls, generator=generator):
            calls.append((label, parameter))
            return parameter.sample(generator)

        drawn.append((list(each.configuration(suggest).items()), calls))
    assert drawn[0] == drawn[1]


@given(spaces(), st.integers(), st.data())
@settings(deadline=None, max_examples=60)
def test_configuration_that_loses_or_gains_a_key_is_refused(space, seed, data):
    configuration = space.sample(random.Random(seed))
    name = data.draw(st.sampled_from(list(space)))
    if name in configuration:
        del configuration[name]
    else:
        configuration[name] = 1
    try:
        space.check(configuration)
    except SettingError:
        return
    raise AssertionError(f"{configuration} was accepted")


@st.composite
def small_spaces(draw):
    """Conditions as they come, sensible or not, over three values."""
    parameters = {}
    for position, name in enumerate("abcde"):
        parents = draw(st.lists(st.sampled_from("abcd"[:position]), max_size=2, unique=True)) if position else []
        conditions = [{}] if not parents else [{}, {}][: draw(st.integers(1, 2))]
        for parent in parents:
            likely = sorted({value for each in parameters[parent] for value in each.options})
            for condition in conditions:
                if draw(st.integers(0, 3)):
                    value = draw(st.sampled_from(likely) if draw(st.integers(0, 19)) else st.integers(0, 2))
                    condition[parent] = sorted({value, draw(st.sampled_from(likely))})
        values = st.lists(st.integers(0, 2), min_size=2, max_size=3, unique=True)
        parameters[name] = [Choice(draw(values), when=condition) for condition in conditions]
    return parameters


@given(small_spaces())
@settings(deadline=None, max_examples=100)
def test_contradictions_are_found_exactly_where_trying_everything_finds_them(parameters):
    assert is_accepted(parameters) == is_sound(parameters)


def is_accepted(parameters):
    try:
        Space(parameters)
    except SettingError:
        return False
    return True


def is_sound(parameters):
    """Whether every definition holds in some configuration, none beside another, and no asked value is impossible."""
    for alternatives in parameters.values():
        for definition in alternatives:
            for parent, allowed in conditions(definition.when).items():
                if not set(allowed) <= {value for each in parameters[parent] for value in each.options}:
                    return False
    reached = set()
    for picks in itertools.product(range(3), repeat=len(parameters)):
        values = {}
        for pick, (name, alternatives) in zip(picks, parameters.items(), strict=True):
            held = [number for number, each in enumerate(alternatives) if holding((each,), values) is not None]
            if len(held) > 1:
                return False
            if held:
                reached.add((name, held[0]))
                choices = alternatives[held[0]].options
                values[name] = choices[pick % len(choices)]
    return len(reached) == sum(len(alternatives) for alternatives in parameters.values())
