"""YAML 1.2 is read as plain data or refused with its line, and what is written reads the same under YAML 1.1."""

import math

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from glosstune.spaces import SettingError
from glosstune.spaces.files.yaml_data import MOST_NODES, parse_yaml, read_yaml, write_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("No", "No"),
        ("on", "on"),
        ("OFF", "OFF"),
        ("True", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("# nothing", None),
        ("1e-5", 1e-5),
        ("1E-05", 1e-5),
        ("+.5", 0.5),
        ("1.5E+3", 1500),
        ("1e4", 10_000),
        ("1.0", 1.0),
        ("1_000", 1000),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("12:30", "12:30"),
        ("'1e-5'", "1e-5"),
        ("!!str 3", "3"),
        ("-.inf", -math.inf),
        ("1e400", math.inf),
        ("{a: &x [1], b: *x}", {"a": [1], "b": [1]}),
        ("{<<: {a: 1, b: 2}, a: 3}", {"a": 3, "b": 2}),
        ("{=: 1, '<<': 2}", {"=": 1, "<<": 2}),
        ("\ufeffa: 1", {"a": 1}),
    ],
)
def test_value_is_what_yaml_1_2_says(text, value):
    read = parse_yaml(text, "text")
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\n'a': 2", "line 2: not valid YAML: duplicate key 'a'"),
        ("<<: {b: 1}\na: 1\na: 2", "line 3: not valid YAML: duplicate key 'a'"),
        ("a: 1\nb: !!python/object/apply:os.abort []", "line 2: not valid YAML: could not determine a constructor"),
        ("!own 3", "line 1: not valid YAML: could not determine a constructor for the tag '!own'"),
        ("!!int ''", "not valid YAML: string index out of range; put text in quotes"),
        ("!!bool x", "not valid YAML: 'x'; put text in quotes"),
        ("2024-01-01", "must be text, a number, true, false or null; got datetime.date(2024, 1, 1); put it in quotes"),
        ("!!binary aGk=", "must be text, a number, true, false or null; got b'hi'; put it in quotes"),
        ("!!set {a}", "must be text, a number, true, false or null; got {'a'}; put it in quotes"),
        ("a: b\x00", "line 1: not valid YAML: special characters are not allowed"),
        ('a: "\\e[2J"', "a: must be printable text; got '\\x1b[2J'"),
        ("[" * 22 + "]" * 22, f"{'[0]' * 20}[0]: must not be nested in more than 20 levels"),
        ("[" * 5000, "not valid YAML: nested too deeply"),
        ("&a [*a, *a]", f"must not hold more than {MOST_NODES} values, aliases counted out"),
        ("null: 1", "a key must be printable text; got null; put it in quotes"),
        ('"a\\0b": 1', "a key must be printable text; got 'a\\x00b'; put it in quotes"),
        ("%YAML 1.1\n---\na: 010", "must have no directive such as %YAML: it is read as YAML 1.2"),
        ("a" * 1_000_001, "must not be longer than 1,000,000 characters; got 1,000,001"),
    ],
)
def test_what_json_lacks_or_nobody_meant_is_refused(text, message):
    with pytest.raises(SettingError) as refusal:
        parse_yaml(text, "a.yaml")
    assert str(refusal.value).startswith(f"a.yaml: {message}")


@pytest.mark.parametrize("begin, repeat", [("[1, 2]", "[{}]"), ("{x: 1}", "{{<<: [{}]}}")])
def test_text_that_would_unfold_into_gigabytes_is_refused(begin, repeat):
    lines = [f"a0: &a0 {begin}"]
    lines += [f"a{step}: &a{step} {repeat.format(', '.join([f'*a{step - 1}'] * 10))}" for step in range(1, 10)]
    with pytest.raises(SettingError, match="must not hold more than 10000 values, aliases counted out"):
        parse_yaml("\n".join(lines), "a.yaml")


def test_file_that_cannot_be_read_is_named_with_its_path(tmp_path):
    file = tmp_path / "a.yaml"
    with pytest.raises(SettingError, match=r"/a\.yaml: no such file"):
        read_yaml(file)
    file.write_bytes(b"a: \xff")
    with pytest.raises(SettingError, match=r"/a\.yaml: is not UTF-8 text"):
        read_yaml(file)
    file.write_text("[a]")
    with pytest.raises(SettingError, match=r"^a\.yaml: must be a mapping of keys"):
        read_yaml(file)


likely = [
    "on",
    "No",
    "y",
    "~",
    "",
    "1e-5",
    "1.0e-05",
    "010",
    "0o10",
    "1_000",
    "12:30:45",
    "2024-01-01",
    "=",
    "<<",
    ".5",
]
texts = st.one_of(st.sampled_from(likely), st.text().filter(str.isprintable))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)


@given(values)
@example([1e-05, 1e16, 1e22, -0.0, "word " * 60, "x" * 300])
@settings(deadline=None, max_examples=300)
def test_what_is_written_reads_as_it_was_in_every_version(value):
    text = write_yaml(value)
    assert parse_yaml(text, "text") == value
    assert yaml.safe_load(text) == value


def test_lines_of_text_and_the_order_of_keys_are_kept_for_people():
    assert write_yaml({"z": "a\nb\n", "a": [1, 1e-5]}) == "z: |\n  a\n  b\na:\n- 1\n- 1.0e-05\n"


@given(st.text("abn01-+.e_xo:<=~{}[],&*!|>'\"#%@ \n\t?", max_size=30))
@settings(deadline=None, max_examples=500)
def test_any_text_is_read_or_refused_in_words(text):
    try:
        parse_yaml(text, "any.yaml")
    except SettingError as error:
        assert str(error).startswith("any.yaml: ")
