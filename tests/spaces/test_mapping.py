"""A space is written in YAML and comes back as it was."""

import pytest

from glosstune.spaces import Choice, Float, Int, SettingError, Space
from glosstune.spaces.files.yaml_data import parse_yaml
from glosstune.spaces.parameters import Constant

DESIGN = """
strategy: {choice: [baseline, feature-extraction, fine-tune, progressive, full-finetune]}
freeze_until:
  - {choice: [mixed_5c, lstm], when: {strategy: feature-extraction}}
  - {choice: [mixed_3b, mixed_4b, mixed_4f, mixed_5b], when: {strategy: [fine-tune, full-finetune]}}
unfreeze_stages: {int: [2, 5], when: {strategy: progressive}}
learning_rate: {float: [1e-5, 5e-3], log: true}
warmup_epochs: {int: [0, 10], step: 2}
dropout: {float: [0, 0.6], step: 0.2}
batch_size: 16
augment: {constant: mirror, when: {strategy: baseline}}
"""


def test_every_form_is_read():
    space = Space.from_mapping(parse_yaml(DESIGN, "design"))
    assert list(space) == list(parse_yaml(DESIGN, "design"))
    assert space["freeze_until"] == (
        Choice(["mixed_5c", "lstm"], when={"strategy": "feature-extraction"}),
        Choice(["mixed_3b", "mixed_4b", "mixed_4f", "mixed_5b"], when={"strategy": ["fine-tune", "full-finetune"]}),
    )
    assert space["unfreeze_stages"] == (Int(2, 5, when={"strategy": "progressive"}),)
    assert space["learning_rate"] == (Float(1e-5, 5e-3, log=True),)
    assert space["warmup_epochs"] == (Int(0, 10, step=2),)
    assert space["dropout"] == (Float(0.0, 0.6, step=0.2),)
    assert space["batch_size"] == (Constant(16),)
    assert space["augment"] == (Constant("mirror", when={"strategy": "baseline"}),)


def test_every_form_is_written_as_it_was_read():
    mapping = parse_yaml(DESIGN, "design")
    written = Space.from_mapping(mapping).to_mapping()
    assert Space.from_mapping(written) == Space.from_mapping(mapping)
    assert written["freeze_until"] == mapping["freeze_until"]
    assert written["learning_rate"] == {"float": [1e-5, 5e-3], "log": True}
    assert written["augment"] == mapping["augment"]


@pytest.mark.parametrize(
    ("value", "definition"),
    [
        ("{float: [1e-5, 5E-3]}", Float(1e-5, 5e-3)),
        ("{float: [0, 2.5e+1], step: 5e-1}", Float(0, 25, step=0.5)),
        ("{int: [1e1, 1e2]}", Int(10, 100)),
        ("{choice: [1e-5, 0.1, -.5e-1, 1e2, adam]}", Choice([1e-5, 0.1, -0.05, 100, "adam"])),
        ("{choice: [on, off]}", Choice(["on", "off"])),
        ("1e-5", Constant(1e-5)),
        ("{constant: 1e-5}", Constant(1e-5)),
        ("e-5", Constant("e-5")),
        ("null", Constant(None)),
    ],
)
def test_numbers_and_words_of_a_file_are_taken_as_they_are_written(value, definition):
    assert Space.from_mapping(parse_yaml(f"a: {value}", "design"))["a"] == (definition,)


def test_number_in_quotes_is_refused_with_the_way_out():
    with pytest.raises(SettingError, match="must be written as a number, not as the text '1e-5'"):
        Space.from_mapping({"a": {"choice": ["1e-5", 1]}})


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ([1], "must be a mapping of parameter to definition; got [1]"),
        ({"a": {}}, "a: must have one of the keys float, int, choice, constant; got {}"),
        ({"a": {"flot": [0, 1]}}, "a: must have one of the keys float, int, choice, constant; got {'flot': [0, 1]}"),
        ({"a": {"float": [0, 1], "int": [0, 1]}}, "a: must have one of the keys"),
        ({"a": {"float": [0, 1], "lg": True}}, "a.lg: unknown key; did you mean 'log'?"),
        ({"a": {"choice": [1], "log": True}}, "a.log: unknown key; known keys: choice, when"),
        ({"a": {"float": [0, 1], 3: True}}, "a.3: unknown key"),
        ({"a": {"float": [0]}}, "a: float must be a pair [low, high]; got [0]"),
        ({"a": {"int": 5}}, "a: int must be a pair [low, high]; got 5"),
        ({"a": {"float": [0, "x"]}}, "a: high must be a finite number; got 'x'"),
        ({"a": {"float": [1, 0]}}, "a: low must be less than high; got low=1.0 and high=0.0"),
        ({"a": {"choice": "adam"}}, "a: options must be a list of at least one value; got 'adam'"),
        ({"a": {"choice": []}}, "a: options must be a list of at least one value; got []"),
        ({"a": {"constant": [1]}}, "a: a constant must be text, a finite number, true, false or null; got [1]"),
        ({"a": [1e-5, 1e-3]}, "a: must be a definition, a list of definitions or a constant; got [1e-05, 0.001]"),
        ({"a": []}, "a: must be a definition, a list of definitions or a constant; got []"),
        ({"a": [{"int": [0, 1], "when": {"b": 1}}, {"int": [1, 0]}], "b": 1}, "a[1]: low must be less than high"),
        ({"a": {"int": [0, 1], "when": "b"}}, "a: when must be a mapping of parameter to value; got 'b'"),
        ({"a": {"int": [0, 1], "when": {"b": 1}}}, "a: when: b: unknown key"),
    ],
)
def test_malformed_definition_is_refused_by_name(mapping, message):
    with pytest.raises(SettingError) as refusal:
        Space.from_mapping(mapping)
    assert message in str(refusal.value)


def test_list_in_place_of_a_range_says_how_to_write_one():
    with pytest.raises(
        SettingError, match=r"write \{float: \[low, high\]\}, \{int: \.\.\.\} or \{choice: \[\.\.\.\]\}"
    ):
        Space.from_mapping({"a": [1e-5, 1e-3]})
