"""A sweep file, changed by overrides, becomes one checked sweep whose every default is explicit."""

import json
import os
import pickle
import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glosstune.models.kinds import TEACHER
from glosstune.search.config.loading import load_sweep, packaged_sweeps
from glosstune.search.config.sections import DEFAULT_SPACE
from glosstune.search.config.sweep import Sweep
from glosstune.spaces import STRATEGIES, Float, Int, SettingError, Space
from glosstune.spaces.files.yaml_data import parse_yaml, write_yaml
from glosstune.spaces.start_points import labelled
from glosstune.trainables.settings import AUGMENTATIONS, SETTINGS_PATHS, TrialSettings

FULL = """
name: teacher
model: {kind: teacher, width: 0.5, time_stride: 2, norm: batch}
corpus: {kind: phoenix, root: phoenix2014, layout: [pose, hands, face, temporal], gains: {face: 0.5}}
training: {epochs: 50, batch_size: 8, optimizer: adam, weight_decay: 1e-4, augment: speed+time-masks}
freezing: {allow_random_frozen: true}
space:
  strategy: {choice: [baseline, feature-extraction, fine-tune, progressive, full-finetune]}
  freeze_until:
    - {choice: [mixed_5c, lstm], when: {strategy: feature-extraction}}
    - {choice: [mixed_3b, mixed_4b, mixed_4f, mixed_5b], when: {strategy: fine-tune}}
  unfreeze_stages: {int: [2, 5], when: {strategy: progressive}}
  learning_rate: {float: [1e-5, 5e-3], log: true}
  warmup_epochs: {int: [0, 10]}
  dropout: {float: [0.0, 0.6]}
  gains.pose: {float: [0, 2]}
  weight_decay: {choice: [0, 1e-5]}
  width: {float: [0.5, 1.5], step: 0.5}
search: {samples: 64, sampler: random, seed: 3, metric: dev_loss, target: 0.25, time_budget_min: 90}
halving: {min_epochs: 5, reduction: 4}
resources: {cpu: 2, gpu: 0.25, concurrent: 4}
storage: runs
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Loads the text of a file ``conf/teacher.yaml``, standing in ``here``."""
    for folder in ("conf", "here"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def load(text="name: demo", *overrides):
        file = tmp_path / "conf" / "teacher.yaml"
        file.write_text(text, encoding="utf-8")
        return load_sweep(file, overrides)

    return load


def test_every_key_of_a_file_arrives(load, tmp_path):
    sweep = load(FULL)
    assert (sweep.name, sweep.model.kind, sweep.model.norm) == ("teacher", "teacher", "batch")
    assert sweep.corpus.layout == ("pose", "hands", "face", "temporal")
    assert sweep.corpus.gains.face == 0.5
    assert (sweep.training.epochs, sweep.training.weight_decay) == (50, 1e-4)
    assert (sweep.search.sampler, sweep.search.metric, sweep.search.time_budget_min) == ("random", "dev_loss", 90.0)
    assert (sweep.halving.min_epochs, sweep.halving.reduction) == (5, 4)
    assert (sweep.resources.cpu, sweep.resources.gpu, sweep.resources.concurrent) == (2.0, 0.25, 4)
    assert sweep.space["unfreeze_stages"] == (Int(2, 5, when={"strategy": "progressive"}),)
    assert sweep.storage == str(tmp_path / "conf" / "runs")


def test_every_key_has_a_default(load, tmp_path):
    sweep = load("{}")
    assert sweep == Sweep()
    assert sweep.name == "sweep"
    assert sweep.storage == str(tmp_path / "here" / "sweeps")
    assert (sweep.search.samples, sweep.search.sampler, sweep.search.seed) == (8, "tpe", 0)
    assert (sweep.search.metric, sweep.search.target, sweep.search.time_budget_min) == ("wer", 0.3, None)
    assert (sweep.halving.min_epochs, sweep.halving.reduction) == (3, 3)
    assert (sweep.resources.cpu, sweep.resources.gpu, sweep.resources.concurrent) == (1.0, None, None)
    assert (
        sweep.space
        == DEFAULT_SPACE
        == Space(
            {
                "strategy": "baseline",
                "learning_rate": Float(3e-4, 5e-3, log=True),
                "warmup_epochs": Int(0, 2),
                "dropout": Float(0.0, 0.5),
            }
        )
    )


@pytest.mark.parametrize("name", packaged_sweeps())
def test_packaged_sweeps_are_sound_and_named_after_their_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    embedded = name in ("student", "teacher", "distil")
    needed = [] if embedded else ["corpus.root=data"]
    needed += ["teacher=teacher.safetensors"] if name.startswith("distil") else []
    sweep = load_sweep(name, needed)
    assert (sweep.name, sweep.corpus.kind) == (name, "fingerspelling" if embedded else "phoenix")
    # The folder of an installed package is no place for results.
    assert sweep.storage == str(tmp_path / "sweeps")


@pytest.mark.parametrize("name", ["teacher", "student", "distil", None])
@pytest.mark.parametrize("own", ["corpus.root=data", "corpus.kind=own_corpora:Tiny"])
def test_a_corpus_of_ones_own_gets_the_sweep_that_is_made_for_one(name: str | None, own: str) -> None:
    needed = ["teacher=teacher.safetensors"] if name == "distil" else []
    assert load_sweep(name, [own, *needed]).name == f"{name or 'teacher'}-own"


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=lambda strategy: strategy.name)
def test_each_strategy_is_a_ready_sweep_with_its_authors_figures(strategy):
    sweep = load_sweep(strategy.name, ["corpus.root=data"])
    (point,) = sweep.start_points
    settings = sweep.model_copy(update={"pretrained": "teacher.safetensors"}).trial_settings(point)
    assert settings.tuned.strategy == strategy.name
    assert settings.learning_rate == pytest.approx(strategy.learning_rate)
    assert (settings.training.epochs, settings.training.batch_size) == (strategy.epochs, strategy.batch_size)
    assert (settings.tuned.unfreeze_stages, sweep.model.norm) == (strategy.unfreeze_stages, "batch")
    if strategy.freeze_until and not strategy.unfreeze_stages:
        assert settings.tuned.freeze_until == TEACHER.depths[strategy.freeze_until]
    assert sweep.pretrained == ("auto" if strategy.pretrained else None)


@pytest.mark.parametrize("name", ["teacher", "teacher-own"])
@given(seed=st.integers(0, 2**32))
def test_the_combined_space_has_depth_and_stages_only_where_they_mean_something(name, seed):
    sweep = load_sweep(name, ["corpus.root=data"] if name == "teacher-own" else [])
    drawn = sweep.space.sample(random.Random(seed))
    sweep.space.check(drawn)
    assert ("unfreeze_stages" in drawn) == (drawn["strategy"] == "progressive")
    assert ("freeze_until" in drawn) == (drawn["strategy"] in ("feature-extraction", "fine-tune"))
    labels = {label for label in labelled(sweep.space, drawn) if label.startswith("learning_rate")}
    assert labels == {f"learning_rate@{drawn['strategy']}"}


def test_without_a_file_the_teacher_is_searched_on_the_corpus_that_is_there():
    assert load_sweep(None).name == "teacher"
    own = load_sweep(None, ["corpus.root=data"])
    assert (own.name, own.corpus.kind) == ("teacher-own", "phoenix")
    with pytest.raises(SettingError, match=r"^override 'search\.samples=0': search\.samples: "):
        load_sweep(None, ["search.samples=0"])
    with pytest.raises(SettingError, match="studnt: no such file, and no packaged sweep: those are baseline, "):
        load_sweep("studnt")


def test_a_file_comes_before_a_packaged_sweep_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("student").write_text("name: mine")
    assert load_sweep("student").name == "mine"


def test_weights_that_are_yet_to_be_made_are_no_file(load):
    sweep = load("pretrained: auto\nspace: {strategy: {choice: [baseline, fine-tune]}}")
    assert sweep.trial_settings({"strategy": "baseline"}).pretrained is None
    with pytest.raises(SettingError, match="pretrained: 'auto' is no file yet"):
        sweep.trial_settings({"strategy": "fine-tune"})


def test_weights_are_found_from_the_file_that_names_them(load, tmp_path):
    text = "pretrained: weights/teacher.pt\nspace: {strategy: full-finetune}"
    assert load(text).pretrained == str(tmp_path / "conf" / "weights" / "teacher.pt")
    assert str(load(text).trial_settings({"strategy": "full-finetune"}).pretrained) == load(text).pretrained
    assert load(text, "pretrained=auto").pretrained == "auto"
    assert load(text, "pretrained=./auto").pretrained == os.path.abspath("auto")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_one_override_chooses_a_strategy_of_the_default_sweep(strategy):
    overrides = [f"space.strategy={strategy}", *(["pretrained=null"] if strategy == "baseline" else [])]
    sweep = load_sweep(None, overrides)
    drawn = sweep.space.sample(random.Random(0))
    assert drawn["strategy"] == strategy and "learning_rate" in drawn
    assert ("freeze_until" in sweep.space) == (strategy in ("feature-extraction", "fine-tune"))
    assert ("unfreeze_stages" in sweep.space) == (strategy == "progressive")


def test_an_override_of_several_definitions_drops_nothing():
    with pytest.raises(SettingError, match="when: strategy never takes 'feature-extraction'"):
        load_sweep(None, ["space.strategy=[{choice: [fine-tune, baseline]}]"])
    assert "freeze_until" in load_sweep(None, ["space.strategy={constant: fine-tune}"]).space


def test_an_override_of_the_strategies_keeps_what_the_others_need():
    sweep = load_sweep(None, ["space.strategy={choice: [baseline, fine-tune]}"])
    drawn = [sweep.space.sample(random.Random(seed)) for seed in range(20)]
    assert {label for each in drawn for label in labelled(sweep.space, each)} == {
        "strategy",
        "freeze_until",
        "learning_rate@baseline",
        "learning_rate@fine-tune",
        "warmup_epochs",
        "dropout",
    }


def test_start_points_of_ones_own_replace_the_strategies(load):
    text = "search: {start_points: [{dropout: 0.1}, {dropout: 0.2}]}\nspace: {dropout: {float: [0, 0.5]}}"
    assert load(text).start_points == [{"dropout": 0.1}, {"dropout": 0.2}]
    text = "search: {start_points: [{learning_rate: 1e-3}]}\nspace: {learning_rate: {float: [1e-4, 1e-2]}}"
    assert load(text).start_points == [{"learning_rate": 1e-3}]
    assert load("search: {start_points: []}\nspace: {strategy: baseline}").start_points == []


@pytest.mark.parametrize("text", ["{}", FULL, "training: {epochs: 6}\nspace: {epochs: 12, dropout: 0.25}", "space: {}"])
def test_resolved_sweep_is_plain_explicit_and_loads_equal(load, tmp_path, text):
    sweep = load(text)
    resolved = sweep.resolved()
    assert json.loads(json.dumps(resolved)) == resolved
    for section, keys in resolved.items():
        fields = getattr(Sweep.model_fields[section].annotation, "model_fields", None)
        assert fields is None or set(keys) == set(fields)
    file = tmp_path / "resolved.yaml"
    file.write_text(write_yaml(resolved))
    os.chdir("/")
    again = load_sweep(file)
    assert again == sweep
    assert again.resolved() == resolved
    assert list(again.space) == list(sweep.space)


def test_sweep_survives_a_process_boundary(load):
    sweep = load(FULL)
    assert pickle.loads(pickle.dumps(sweep)) == sweep


def test_override_sets_one_key_and_the_last_one_wins(load):
    sweep = load(
        FULL,
        "training.epochs=60",
        "search.seed=1",
        "search.seed=2",
        "corpus.gains.face=0",
        "name = other",
        "storage=a=b",
    )
    assert (sweep.training.epochs, sweep.training.batch_size) == (60, 8)
    assert (sweep.search.seed, sweep.search.samples) == (2, 64)
    assert sweep.corpus.gains.face == 0.0
    assert (sweep.name, Path(sweep.storage).name) == ("other", "a=b")


def test_override_by_a_mapping_replaces_the_mapping(load):
    sweep = load(FULL, "training={epochs: 60}", "space={dropout: {float: [0, 0.1]}}")
    assert (sweep.training.epochs, sweep.training.batch_size) == (60, 16)
    assert sweep.space == Space({"dropout": Float(0.0, 0.1)})


def test_override_of_one_parameter_keeps_the_rest_of_the_space(load):
    sweep = load(
        FULL, "space.dropout=0.1", "space.gains.pose={float: [0, 1]}", "space.learning_rate.float=[1e-4, 1e-3]"
    )
    assert sweep.space["learning_rate"] == (Float(1e-4, 1e-3, log=True),)
    assert sweep.space["gains.pose"] == (Float(0, 1),)
    assert list(sweep.space) == list(load(FULL).space)
    assert list(load("name: x", "space.dropout=0.1").space) == list(DEFAULT_SPACE)


def test_override_of_an_anchored_section_changes_one_place(load):
    text = "corpus: {gains: &same {}}\nresources: &r {cpu: 2}\nhalving: *same"
    sweep = load(text, "corpus.gains.face=0", "halving.min_epochs=2")
    assert (sweep.corpus.gains.face, sweep.halving.min_epochs, sweep.resources.cpu) == (0.0, 2, 2.0)


def test_merged_keys_are_no_duplicates(load):
    text = "training: &t {epochs: 30}\nhalving: {min_epochs: 3}\nmodel: {<<: {width: 2}, width: 0.5}"
    assert load(text).model.width == 0.5


def test_relative_paths_start_where_they_are_written(load, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    text = "corpus: {kind: phoenix, root: ../data, cache: ~/cache}\nstorage: runs"
    sweep = load(text)
    assert sweep.corpus.root == tmp_path / "data"
    assert sweep.corpus.cache == tmp_path / "home" / "cache"
    assert sweep.storage == str(tmp_path / "conf" / "runs")
    sweep = load(text, "corpus.root=data", "storage=~/runs", "corpus.cache=/absolute")
    assert sweep.corpus.root == tmp_path / "here" / "data"
    assert sweep.storage == str(tmp_path / "home" / "runs")
    assert sweep.corpus.cache == Path("/absolute")
    sweep = load("name: x", "corpus={kind: phoenix, root: data}")
    assert sweep.corpus.root == tmp_path / "here" / "data"


def test_path_of_the_file_may_be_relative(load, tmp_path):
    load("storage: runs")
    assert load_sweep(Path("../conf/teacher.yaml")).storage == str(tmp_path / "conf" / "runs")


@pytest.mark.parametrize("number", ["1e-5", "1E-05", "1.0e-5", "0.00001"])
def test_scientific_numbers_are_numbers_wherever_one_is_expected(load, number):
    text = f"training: {{weight_decay: {number}}}\nspace: {{learning_rate: {number}}}"
    sweep = load(text, f"training.clip_norm={number}")
    assert (sweep.training.weight_decay, sweep.training.clip_norm) == (1e-5, 1e-5)
    assert sweep.trial_settings({"learning_rate": 1e-5}).tuned.learning_rate == 1e-5


def test_whole_numbers_may_be_written_scientifically_too(load):
    sweep = load("training: {batch_size: 1e1}\nspace: {batch_size: {choice: [1e1, 2e1]}}", "training.epochs=1e2")
    assert (sweep.training.batch_size, sweep.training.epochs) == (10, 100)


def test_text_that_looks_like_a_number_needs_quotes(load, refusal):
    assert load("name: '1e5'").name == "1e5"
    assert refusal("name: 1e5").startswith("teacher.yaml: name: must be text; got 100000")
    assert refusal("training: {clip_norm: '1e5'}").startswith("teacher.yaml: training.clip_norm: must be a number; got")


def test_every_tunable_setting_has_one_name():
    names = {"strategy", "freeze_until", "unfreeze_stages", "learning_rate", "warmup_epochs", "dropout"}
    assert names <= set(SETTINGS_PATHS)
    assert {"batch_size", "weight_decay", "augment", "epochs", "width", "norm", "gains.face"} <= set(SETTINGS_PATHS)
    assert not {"kind", "root", "gains", "split"} & set(SETTINGS_PATHS)
    assert len(set(SETTINGS_PATHS.values())) == len(SETTINGS_PATHS)


def test_configuration_is_merged_into_the_settings(load):
    sweep = load(FULL)
    configuration = {
        "strategy": "progressive",
        "unfreeze_stages": 4,
        "learning_rate": 1e-4,
        "warmup_epochs": 3,
        "dropout": 0.25,
        "gains.pose": 0,
        "weight_decay": 1e-5,
        "width": 1.5,
    }
    settings = sweep.trial_settings(configuration)
    assert settings.tuned.model_dump() == {
        "strategy": "progressive",
        "freeze_until": None,
        "unfreeze_stages": 4,
        "learning_rate": 1e-4,
        "warmup_epochs": 3,
        "dropout": 0.25,
    }
    assert (settings.corpus.gains.pose, settings.corpus.gains.face) == (0.0, 0.5)
    assert settings.corpus.root == sweep.corpus.root
    assert settings.training == sweep.training.model_copy(update={"weight_decay": 1e-5})
    assert settings.model == sweep.model.model_copy(update={"width": 1.5})
    assert settings.freezing == sweep.freezing


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dropout": 0.9}, "dropout: must be a number from 0.0 to 0.5; got 0.9"),
        ({"epochs": 3}, "epochs: unknown key"),
        ({"strategy": "progressive"}, "strategy: must be 'baseline'; got 'progressive'"),
    ],
)
def test_configuration_outside_the_space_gives_no_settings(change, message):
    configuration = {"strategy": "baseline", "learning_rate": 1e-3, "warmup_epochs": 0, "dropout": 0.1}
    assert isinstance(Sweep().trial_settings(configuration), TrialSettings)
    with pytest.raises(SettingError, match=re.escape(message)):
        Sweep().trial_settings(configuration | change)


@given(st.integers(), st.sampled_from(["{}", FULL]))
@settings(deadline=None, max_examples=50)
def test_every_sample_gives_settings(seed, text):
    sweep = Sweep() if text == "{}" else Sweep.model_validate(parse_yaml(text, "sweep"))
    configuration = sweep.space.sample(random.Random(seed))
    trial = sweep.trial_settings(configuration)
    assert {name: trial.tuned.model_dump()[name] for name in configuration if SETTINGS_PATHS[name][0] == "tuned"} == {
        name: value for name, value in configuration.items() if SETTINGS_PATHS[name][0] == "tuned"
    }


def test_constant_epochs_of_the_space_are_the_horizon(load):
    sweep = load("training: {epochs: 2}\nspace: {epochs: 40, warmup_epochs: {int: [0, 30]}}")
    assert sweep.training.epochs == 40
    assert sweep.trial_settings({"epochs": 40, "warmup_epochs": 30}).training.epochs == 40


@pytest.mark.parametrize("augment", ["none", "mirror", "scale+mirror", "+".join(AUGMENTATIONS)])
def test_augmentations_are_joined_with_a_plus(load, augment):
    assert load(f"training: {{augment: {augment}}}").training.augment == augment
    assert load("name: x", f"space.augment={augment}").space["augment"][0].takes(augment)


def test_sweep_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Sweep().name = "other"


def test_sweep_made_in_python_is_checked_too():
    with pytest.raises(SettingError, match=r"^space\.dropout: must be less than 1; got 1\.5$"):
        Sweep(space=Space({"dropout": Float(0.0, 1.5)}))
    assert Sweep(space={"dropout": {"float": [0, 0.5]}}).space == Space({"dropout": Float(0, 0.5)})
    assert Sweep(storage=Path("runs")).storage == str(Path.cwd() / "runs")
