"""A space gives exactly the configurations that its conditions allow."""

import pickle
import random

import pytest

from glosstune.spaces import Choice, Float, Int, SettingError, Space

STRATEGY = Choice(["baseline", "progressive", "fine-tune"])
SPACE = Space(
    {
        "learning_rate": [
            Float(1e-4, 5e-3, log=True, when={"strategy": ["baseline", "fine-tune"]}),
            Float(1e-5, 1e-3, log=True, when={"strategy": "progressive"}),
        ],
        "unfreeze_stages": Int(2, 5, when={"strategy": "progressive"}),
        "thaw": Choice(["slow", "fast"], when={"unfreeze_stages": [4, 5]}),
        "strategy": STRATEGY,
        "epochs": 24,
    }
)


def asked(space, **answers):
    labels = []

    def suggest(label, parameter):
        labels.append(label)
        return answers.get(label.partition("@")[0]) or parameter.sample(random.Random(0))

    return labels, space.configuration(suggest)


def test_parents_are_asked_before_the_parameters_they_decide_on():
    labels, configuration = asked(SPACE, strategy="progressive", unfreeze_stages=4, thaw="fast")
    assert labels == ["strategy", "learning_rate@progressive", "unfreeze_stages", "thaw"]
    assert configuration["thaw"] == "fast"
    assert configuration["epochs"] == 24


def test_parameter_whose_condition_does_not_hold_is_absent():
    labels, configuration = asked(SPACE, strategy="baseline")
    assert labels == ["strategy", "learning_rate@baseline,fine-tune"]
    assert set(configuration) == {"strategy", "epochs", "learning_rate"}
    labels, configuration = asked(SPACE, strategy="progressive", unfreeze_stages=2)
    assert "thaw" not in configuration


def test_all_conditions_must_hold():
    space = Space(
        {"a": Choice([1, 2]), "b": Choice(["x", "y"]), "c": Float(0, 1, when={"a": 1, "b": "x"})},
    )
    for a in (1, 2):
        for b in ("x", "y"):
            assert ("c" in asked(space, a=a, b=b)[1]) == (a == 1 and b == "x")


def test_order_of_writing_does_not_show():
    backwards = Space({name: SPACE[name] for name in list(SPACE)[::-1]})
    assert backwards == SPACE
    assert list(backwards) == list(SPACE)[::-1]
    for seed in range(20):
        assert list(backwards.sample(random.Random(seed)).items()) == list(SPACE.sample(random.Random(seed)).items())


def test_parameters_that_do_not_depend_on_each_other_follow_the_alphabet():
    space = Space({"a": Int(0, 1, when={"z": 1}), "z": Int(1, 2), "b": Int(0, 1)})
    assert asked(space, z=1)[0] == ["b", "z", "a"]


@pytest.mark.parametrize(
    ("alternatives", "labels"),
    [
        ([Int(0, 1, when={"a": 1}), Int(0, 2, when={"a": [2, 3]})], ["c@1", "c@2,3"]),
        ([Int(0, 1, when={"d": True}), Int(0, 2, when={"d": [None]})], ["c@true", "c@null"]),
        ([Int(0, 1, when={"a": 1, "b": "x"}), Int(0, 2, when={"b": "y"})], ["c@1,x", "c@y"]),
        # The same text under different conditions is spelled out.
        (
            [Int(0, 1, when={"e": "x", "b": "y"}), Int(0, 2, when={"b": "x", "e": "y"})],
            ['c@{"b": ["y"], "e": ["x"]}', 'c@{"b": ["x"], "e": ["y"]}'],
        ),
    ],
)
def test_definition_is_called_after_the_values_of_its_condition(alternatives, labels):
    parents = {"a": Choice([1, 2, 3]), "b": Choice(["x", "y"]), "d": Choice([True, None]), "e": Choice(["x", "y"])}
    space = Space({**parents, "c": alternatives})
    seen = {label for seed in range(200) for label in asked(space, **space.sample(random.Random(seed)))[0]}
    assert {label for label in seen if label.startswith("c@")} <= set(labels)
    assert space._labels["c"] == tuple(labels)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"a": Int(0, 1, when={"strateg": "x"}), "strategy": STRATEGY}, "a: when: strateg: unknown key; did you mean"),
        (
            {"a": Int(0, 1, when={"strategy": "progresive"}), "strategy": STRATEGY},
            "a: when: strategy never takes 'progresive'; it is one of 'baseline', 'progressive', 'fine-tune'",
        ),
        ({"a": Int(0, 1, when={"b": 9}), "b": Int(2, 5)}, "b never takes 9; it is a whole number from 2 to 5"),
        ({"a": Int(0, 1, when={"b": True}), "b": Int(0, 1)}, "a: when: b never takes true"),
        ({"a": Int(0, 1, when={"b": 2}), "b": 3}, "a: when: b never takes 2; it is 3"),
        ({"a": Int(0, 1, when={"b": 0.5}), "b": Float(0, 1)}, "a: when: b is a float, which no condition can rely on"),
        ({"a": Int(0, 1, when={"a": 1})}, "a: when: conditions run in a circle: a -> a"),
        ({"a": Int(0, 1, when={"b": 1}), "b": Int(0, 1, when={"a": 1})}, "when: conditions run in a circle: "),
        (
            {"s": Choice([1, 2]), "a": Int(0, 1, when={"s": 1}), "b": Int(0, 1, when={"a": 1, "s": 2})},
            "b: when: its conditions exclude each other: a is 1 and s is 2",
        ),
        (
            {"strategy": STRATEGY, "a": [Int(0, 1), Int(0, 2, when={"strategy": "baseline"})]},
            "a: two definitions can hold at once, when always and when strategy is 'baseline'",
        ),
        (
            {"s": Choice([1, 2, 3]), "a": [Int(0, 1, when={"s": [1, 2]}), Int(0, 2, when={"s": [2, 3]})]},
            "a: two definitions can hold at once, when s is 1 or 2 and when s is 2 or 3; give them conditions",
        ),
        (
            {"s": Choice([1, 2]), "t": Choice([1, 2]), "a": [Int(0, 1, when={"s": 1}), Int(0, 2, when={"t": 1})]},
            "a: two definitions can hold at once",
        ),
        ({"a": []}, "a: must be a definition, a list of definitions or a constant; got []"),
        ({"a": [1, 2]}, "a: must be a definition, a list of definitions or a constant; got [1, 2]"),
        ({"a": {}}, "a: a constant must be text, a finite number, true, false or null; got {}"),
        ({"a@b": 1}, "a parameter's name must be text without '@'; got 'a@b'"),
        ({"": 1}, "a parameter's name must be text without '@'; got ''"),
        ({3: 1}, "a parameter's name must be text without '@'; got 3"),
    ],
)
def test_space_that_contradicts_itself_is_refused(parameters, message):
    with pytest.raises(SettingError) as refusal:
        Space(parameters)
    assert message in str(refusal.value)


def test_definitions_may_exclude_each_other_through_their_parents():
    space = Space(
        {
            "s": Choice([1, 2]),
            "a": Choice(["x"], when={"s": 1}),
            "b": Choice(["x"], when={"s": 2}),
            "c": [Int(0, 1, when={"a": "x"}), Int(2, 3, when={"b": "x"})],
        }
    )
    for seed in range(20):
        configuration = space.sample(random.Random(seed))
        assert (configuration["c"] < 2) == (configuration["s"] == 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strateg": "baseline"}, "strateg: unknown key; did you mean 'strategy'?"),
        ({"strategy": None}, "strategy: must be one of 'baseline', 'progressive', 'fine-tune'; got null"),
        ({"strategy": ["baseline"]}, "strategy: must be one of"),
        ({"learning_rate": 0.1}, "learning_rate: must be a number from 0.0001 to 0.005; got 0.1"),
        ({"learning_rate": "1e-3"}, "learning_rate: must be a number from 0.0001 to 0.005; got '1e-3'"),
        ({"epochs": 25}, "epochs: must be 24; got 25"),
        ({"epochs": ...}, "epochs: must be 24; it is missing"),
        ({"learning_rate": ...}, "learning_rate: must be a number from 0.0001 to 0.005; it is missing"),
        (
            {"unfreeze_stages": 3},
            "unfreeze_stages: exists only when strategy is 'progressive'; got 3; leave it out",
        ),
        ({"strategy": "progressive"}, "learning_rate: must be a number from 1e-05 to 0.001; got 0.003"),
        (
            {"strategy": "progressive", "learning_rate": 1e-3, "unfreeze_stages": 3.0},
            "unfreeze_stages: must be a whole number from 2 to 5; got 3.0",
        ),
    ],
)
def test_configuration_outside_the_space_is_refused(change, message):
    configuration = {"strategy": "baseline", "learning_rate": 0.003, "epochs": 24}
    SPACE.check(configuration)
    changed = {name: value for name, value in (configuration | change).items() if value is not ...}
    with pytest.raises(SettingError) as refusal:
        SPACE.check(changed)
    assert message in str(refusal.value)


def test_refusal_names_its_key_and_survives_a_process_boundary():
    with pytest.raises(SettingError) as refusal:
        SPACE.check({})
    assert refusal.value.key == "epochs"
    copy = pickle.loads(pickle.dumps(refusal.value))
    assert (str(copy), copy.key, copy.rule) == (str(refusal.value), refusal.value.key, refusal.value.rule)


def test_space_survives_a_process_boundary():
    assert pickle.loads(pickle.dumps(SPACE)) == SPACE
    assert repr(Space({"a": 1})) == "Space({'a': (Constant(value=1, when={}),)})"
    assert len(SPACE) == 5
