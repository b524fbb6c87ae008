"""Every key says what it means, takes and is by default, in lists, on the page of docs and in the JSON Schema."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from glosstune.search.config.keys import describe_keys, find_keys, keys_page, list_keys, section_meanings
from glosstune.search.config.loading import load_sweep, packaged_sweeps
from glosstune.search.config.schema import sweep_schema
from glosstune.search.config.sweep import Sweep
from glosstune.spaces import SettingError
from glosstune.spaces.files.yaml_data import parse_yaml, read_yaml
from glosstune.trainables.settings import SETTINGS_PATHS

ROOT = Path(__file__).parents[3]
KEYS = {key.name: key for key in list_keys()}


def _names(data, prefix=""):
    """Every key of plain data, and what is not a mapping below it."""
    for name, value in data.items():
        nested = isinstance(value, dict) and prefix != "space."
        yield from _names(value, f"{prefix}{name}.") if nested else [f"{prefix}{name}"]


def test_every_key_of_a_sweep_and_every_parameter_of_a_space_is_listed():
    of_a_sweep = {name for name in _names(Sweep().resolved()) if not name.startswith("space.")}
    assert of_a_sweep <= set(KEYS)
    assert {f"space.{name}" for name in SETTINGS_PATHS} <= set(KEYS)
    assert set(section_meanings()) == {key.section for key in KEYS.values()} - {""}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_every_key_has_a_sentence_of_meaning_and_says_what_it_takes(key):
    assert re.fullmatch(r"\S.*\.", key.meaning) and len(key.meaning) <= 210
    assert key.takes and key.takes != "any value"


def test_defaults_are_those_of_the_models():
    resolved = Sweep().resolved()
    for name in _names(resolved):
        if name.startswith(("space.", "corpus.gains.")) or name == "storage":
            continue
        value = resolved
        for part in name.split("."):
            value = value[part]
        assert parse_yaml(KEYS[name].default, name) == value, name


@pytest.mark.parametrize(
    "key", [key for key in KEYS.values() if key.default not in ("", "null")], ids=lambda key: key.name
)
def test_every_default_is_taken_as_an_override(key, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text("{}")
    distilled = ["teacher=a.safetensors"] * key.meaning.startswith("distillation.")
    load_sweep("a.yaml", [f"{key.name}={key.default}", *distilled])


@pytest.mark.parametrize(
    ("key", "takes"),
    [
        ("training.epochs", "whole number from 1 to 1000000"),
        ("training.weight_decay", "number from 0"),
        ("training.final_decay", "number from 0 to below 1"),
        ("training.schedule", "constant or cosine"),
        ("model.width", "number above 0 up to 4"),
        ("model.kind", "teacher, student or package.module:Name of your own"),
        ("corpus.split_seed", "whole number from 0 to 4294967295"),
        ("search.start_points", "strategies or list of mappings"),
        ("search.warm_start", "list of paths"),
        ("search.time_budget_min", "number above 0 or null"),
        ("stopping.rules", "list of package.module:Name of your own"),
        ("corpus.gains", "auto or a mapping such as {face: 0, velocity: 0.2}"),
        ("space.dropout", "number from 0 to below 1"),
    ],
)
def test_ranges_are_told_in_words(key, takes):
    assert KEYS[key].takes == takes


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("training.epochs", {"training.epochs"}),
        ("halving", {key for key in KEYS if key.startswith("halving.")}),
        ("corpus.gains.", {key for key in KEYS if key.startswith("corpus.gains.")}),
        ("cuda_graphs", {"training.cuda_graphs", "space.cuda_graphs"}),
        ("fan-in", {"training.lr_scale"}),
        ("thawed", {"freezing.warmup_at_thaw"}),
    ],
)
def test_a_key_is_found_by_its_name_its_section_and_its_meaning(pattern, found):
    assert {key.name for key in find_keys(pattern)} >= found
    if "." in pattern or pattern == "halving":
        assert {key.name for key in find_keys(pattern)} - {pattern.rstrip(".")} == found - {pattern}


def test_initials_find_the_keys_that_mean_the_same():
    found = {key.name for key in find_keys("lr")}
    assert {"space.learning_rate", "pretraining.learning_rate", "training.lr_scale"} <= found
    assert {"training.schedule", "space.warmup_epochs", "freezing.discriminative"} <= found  # by their meaning
    assert "training.epochs" not in found and "search.samples" not in found


def test_a_pattern_that_means_no_key_is_refused_with_the_nearest():
    with pytest.raises(SettingError, match=r"^'smaples': no key has that name or meaning; did you mean 'samples'"):
        find_keys("smaples")
    with pytest.raises(SettingError, match=r"^'xyzzy': no key has that name or meaning; glosstune keys lists all$"):
        find_keys("xyzzy")


def test_the_list_fits_into_eighty_columns():
    lines = list(describe_keys(list_keys(), 80, headed=True))
    assert max(map(len, lines)) <= 80
    assert "training.clip_norm=1.0  (number above 0)" in lines


def test_the_page_of_docs_is_what_the_command_prints():
    page = (ROOT / "docs" / "keys.md").read_text(encoding="utf-8")
    assert page == keys_page(), "write it anew: glosstune keys --markdown > docs/keys.md"


def _errors(data):
    return [error.message for error in jsonschema.Draft7Validator(sweep_schema()).iter_errors(data)]


def test_the_schema_is_one_and_takes_what_is_packaged_and_what_a_sweep_leaves():
    jsonschema.Draft7Validator.check_schema(sweep_schema())
    for name in packaged_sweeps():
        assert _errors(read_yaml(ROOT / "search" / "config" / "sweeps" / f"{name}.yaml")) == []
    resolved = load_sweep("teacher", ["corpus.layout=hands-2d", "corpus.kind=table", "corpus.root=a.csv"]).resolved()
    assert _errors(resolved) == []


@pytest.mark.parametrize(
    "text",
    [
        "trainin: {}",
        "training: {epoch: 3}",
        "training: {epochs: 0}",
        "training: {epochs: 2.5}",
        "training: {schedule: linear}",
        "training: {augment: speed+blur}",
        "model: {kind: resnet}",
        "search: {target: 30}",
        "stopping: {stuck_wer: 97}",
        "corpus: {gains: {fase: 1}}",
        "corpus: {gains: {blocks: {hands: {form: 1}}}}",
        "corpus: {layout: hand}",
        "space: {lr: 1}",
        "space: {dropout: 30}",
        "space: {dropout: {float: [0, 30]}}",
        "space: {dropout: {float: [0, 0.5], lg: true}}",
        "space: {warmup_epochs: {float: [0, 2]}}",
        "space: {time_stride: {int: [2, 4]}}",
        "space: {strategy: {choice: [baseline, progresive]}}",
        "space: {dropout: [0, 0.5]}",
    ],
)
def test_the_schema_refuses_what_a_sweep_refuses(text, tmp_path):
    assert _errors(parse_yaml(text, "a.yaml"))
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(SettingError):
        load_sweep(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "model: {kind: 'my_models:Net'}",
        "corpus: {gains: auto}",
        "corpus: {gains: {blocks: {hands: {shape: 0.5}}, face: 0}}",
        "search: {start_points: [], sampler: 'my_samplers:Own', prior: none}",
        "stopping: {stuck_wer: null, rules: ['my_rules:slow']}",
        "training: {augment: speed+time-masks}",
        "pretraining: {labels: isolated}",
        "space: {dropout: 0.3, width: {float: [0.5, 1.5], step: 0.5}, batch_size: {int: [8, 32], step: 8}}",
        "space: {norm: {choice: [group, batch]}, dropout: [{float: [0, 0.2], when: {norm: batch}}]}",
        "space: {norm: group, dropout: {constant: 0.1, when: {norm: [group]}}, gains.face: {float: [0, 1]}}",
    ],
)
def test_the_schema_takes_what_a_sweep_takes(text, tmp_path):
    assert _errors(parse_yaml(text, "a.yaml")) == []
    (tmp_path / "a.yaml").write_text(text)
    load_sweep(tmp_path / "a.yaml")


def test_the_schema_tells_editors_what_keys_mean():
    properties = sweep_schema()["properties"]
    assert properties["space"]["properties"]["dropout"]["description"] == KEYS["space.dropout"].meaning
    assert sweep_schema()["$defs"]["TrainingSettings"]["properties"]["epochs"]["default"] == 24
    assert json.loads(json.dumps(sweep_schema())) == sweep_schema()
