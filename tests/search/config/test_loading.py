"""Whatever is wrong is said of the file or the override that it stands in, be it no YAML at all."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glosstune.search.config.loading import load_sweep
from glosstune.search.config.sweep import Sweep
from glosstune.spaces import SettingError
from glosstune.trainables.settings import SETTINGS_PATHS


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epochs=x", "training.epochs: must be a whole number; got 'x'"),
        ("training={epochs: x}", "training.epochs: must be a whole number; got 'x'"),
        ("training.epochs=", "training.epochs: must be a whole number; got null"),
        ("training.epochs.x=1", "training.epochs: must be a whole number; got {'x': 1}"),
        ("corpus.signers=[1]", "corpus.signers[0]: must be text; got 1"),
        ("trainin.epochs=3", "trainin: unknown key; did you mean 'training'?"),
        ("training.epoch=3", "training.epoch: unknown key; did you mean 'epochs'?"),
        ("space.lerning_rate=1", "space.lerning_rate: unknown key; did you mean 'learning_rate'?"),
        ("space.gains.fase=1", "space.gains: unknown key; did you mean 'gains."),
        ("space.dropout.float=[0, 2]", "space.dropout: must be less than 1; got 2.0"),
        ("space.gains.face={float: [2, 1]}", "space.gains.face: low must be less than high"),
        ("name.first=a", "name: has no keys, for it is 'demo'; override name as a whole"),
        ("corpus.root=s3://a/b", "corpus.root: must be a path on this machine"),
        # Rules across sections: the override broke them, whichever key they name.
        ("name=" + "a" * 101, "name: must be at most 100 bytes long"),
        ('name="\\ud800"', "must be printable text; got"),
        ("training.epochs=1", "space.warmup_epochs: must be at most training.epochs, 1; got up to 2"),
        ("corpus.kind=phoenix", "corpus.root: must name the corpus's folder"),
        ("training.epochs", "must be key=value with a dotted key, such as training.epochs=50"),
        ("=3", "must be key=value with a dotted key, such as training.epochs=50"),
        ("training..epochs=3", "must be key=value with a dotted key, such as training.epochs=50"),
        ("training.epochs=[1", "line 1: not valid YAML: expected ',' or ']', but got '<stream end>'"),
        ("training={epochs: 1, epochs: 2}", "line 1: not valid YAML: duplicate key 'epochs'"),
        ("name=2024-01-01", "must be text, a number, true, false or null; got datetime.date(2024, 1, 1); put it in"),
    ],
)
def test_override_that_is_wrong_is_named_as_the_source(refusal, override, message):
    assert refusal("name: demo", "search.seed=1", override).startswith(f"override {override!r}: {message}")


def test_file_is_named_where_the_override_is_innocent(refusal):
    text = "name: demo\ntraining: {epochs: ten, epoch: 3}"
    assert refusal(text, "training.batch_size=2", "name=other").count("teacher.yaml: training.epoch") == 2
    assert refusal("name: demo", "training.epochs=4", "training.epochs=x").startswith("override 'training.epochs=x': ")
    assert refusal("search: {samples: 0}", "search.sampler=tpe").startswith("teacher.yaml: search.samples: ")


def test_everything_that_the_sections_get_wrong_is_said_at_once(refusal):
    lines = refusal("training: {epochs: 0, optimizer: sgd}\nserch: {}", "search.seed=x").splitlines()
    assert [line.partition(": must")[0].partition(": unknown")[0] for line in lines] == [
        "teacher.yaml: training.epochs",
        "teacher.yaml: training.optimizer",
        "override 'search.seed=x': search.seed",
        "teacher.yaml: serch",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training: {epochs: [1\nname: x", "line 2: not valid YAML: expected ',' or ']', but got ':'"),
        ("a: 1\n\tb: 2", "line 2: not valid YAML: found character '\\t' that cannot start any token"),
        ("name: demo\nsearch:\n  seed: 1\n  seed: 2", "line 4: not valid YAML: duplicate key 'seed'"),
        ("name: a\n'name': b", "line 2: not valid YAML: duplicate key 'name'"),
        ("name: a\nmodel: {? {a: 1} : 1}", "line 2: not valid YAML: found unhashable key"),
        ("model: {? [a] : 1}", "model: a key must be printable text; got ['a']; put it in quotes"),
        ("name: *nowhere", "line 1: not valid YAML: found undefined alias 'nowhere'"),
        ("name: !!python/name:os.system x", "line 1: not valid YAML: could not determine a constructor for the tag"),
        ("name: a\n---\nname: b", "line 2: not valid YAML: but found another document"),
        ("name: a\nmodel: \x01", "line 2: not valid YAML: special characters are not allowed"),
        ("name: 2024-13-01", "not valid YAML: month must be in 1..12; put text in quotes"),
        ("name: 2024-01-01", "name: must be text, a number, true, false or null; got datetime.date(2024, 1, 1); put"),
        ("name: &a [*a]", "name[0][0]"),
        ("[" * 600, "not valid YAML: nested too deeply"),
        ("on: 1", "on: unknown key; known keys: name, model"),
        ("true: 1", "a key must be printable text; got true; put it in quotes"),
        ("model: {1: 2}", "model: a key must be printable text; got 1; put it in quotes"),
        ("- a\n- b", "must be a mapping of keys such as 'training: {epochs: 24}'; got list"),
        ("just text", "must be a mapping of keys such as 'training: {epochs: 24}'; got str"),
        ("", "must be a mapping of keys such as 'training: {epochs: 24}'; got NoneType"),
    ],
)
def test_file_that_is_no_sound_yaml_is_refused(refusal, text, message):
    assert refusal(text).startswith(f"teacher.yaml: {message}")


def test_file_that_cannot_be_read_is_refused_with_its_path(refusal, tmp_path):
    with pytest.raises(SettingError, match=r"missing\.yaml: no such file; give the path of a sweep file$"):
        load_sweep(tmp_path / "missing.yaml")
    with pytest.raises(SettingError, match=r": cannot be read: "):
        load_sweep(tmp_path)
    assert refusal(b"name: \xff").endswith("teacher.yaml: is not UTF-8 text")


KEYS = [
    f"{section}.{key}"
    for section in ("model", "corpus", "training", "search", "halving", "resources", "freezing")
    for key in Sweep.model_fields[section].annotation.model_fields
]
KEYS += [f"space.{name}" for name in SETTINGS_PATHS] + [*Sweep.model_fields, "corpus.gains.face", "space.x", "x.y"]
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-2, 30),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["baseline", "progressive", "stem", "1e-5", "1e400", "none", "phoenix", "2024-01-01"]),
)
definitions = st.dictionaries(
    st.sampled_from(["float", "int", "choice", "constant", "log", "step", "when"]),
    st.one_of(
        scalars, st.lists(scalars, max_size=3), st.dictionaries(st.sampled_from(["strategy", "dropout"]), scalars)
    ),
    max_size=3,
)


@given(
    st.lists(
        st.tuples(st.sampled_from(KEYS), st.one_of(scalars, definitions, st.lists(definitions, max_size=2))), max_size=3
    )
)
@settings(deadline=None, max_examples=200)
def test_any_value_of_any_key_is_taken_or_refused_in_words(tmp_path_factory, changes):
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text("name: demo")
    try:
        sweep = load_sweep(file, [f"{key}={json.dumps(value)}" for key, value in changes])
    except SettingError as error:
        assert all(line.startswith(("override ", "any.yaml: ")) for line in str(error).splitlines())
    else:
        file.write_text(json.dumps(sweep.resolved()))
        assert load_sweep(file) == sweep
