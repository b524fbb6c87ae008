"""A value that is wrong in itself is refused in one line: source, key, rule, value and the way out."""

import json
import re

import pytest
from hostile import NAMES

from glosstune.search.config.keys import list_keys
from glosstune.search.config.loading import load_sweep
from glosstune.spaces import SettingError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("space: {lerning_rate: 1}", "space.lerning_rate: unknown key; did you mean 'learning_rate'?"),
        ("serch: {samples: 3}", "serch: unknown key; did you mean 'search'?"),
        ("search: {sample: 3}", "search.sample: unknown key; did you mean 'samples'?"),
        ("corpus: {gains: {fase: 3}}", "corpus.gains.fase: unknown key; did you mean 'face'?"),
        ("corpus: {gains: outo}", "corpus.gains: must be auto, or a mapping of gains such as {face: 0, velocity: 0.2}"),
        ("corpus: {gains: {blocks: all}}", "corpus.gains.blocks: must be auto, null or a mapping such as {hands: {sha"),
        ("corpus: {gains: {blocks: {hands: {form: 1}}}}", "corpus.gains.blocks: hands.form: must be a channel, shape,"),
        (
            "corpus: {gains: {blocks: {hands: {shape: -1}}}}",
            "corpus.gains.blocks: hands.shape: must be a number from 0 to 1000000; got -1",
        ),
        ("training: {learning_rate: 3}", "training.learning_rate: unknown key; did you mean 'space.learning_rate'?"),
        ("epochs: 3", "epochs: unknown key; did you mean 'training.epochs'?"),
        ("search: {zzz: 3}", "search.zzz: unknown key; known keys: samples, sampler, seed, start_points, warm_start"),
        ("space: {kind: {choice: [student]}}", "space.kind: unknown key; known keys: strategy, freeze_until"),
        ("space: {gains: {face: 1}}", "space.gains: unknown key; did you mean 'gains."),
        ("space: {dropout: {float: [0, 1], lg: true}}", "space.dropout.lg: unknown key; did you mean 'log'?"),
        ("stopping: {window: 3}", "stopping.window: unknown key; did you mean 'window_epochs'?"),
        ("halving: {kinds: stop}", "halving.kinds: unknown key; did you mean 'kind'?"),
        ("distillation: {temprature: 3}", "distillation.temprature: unknown key; did you mean 'temperature'?"),
    ],
)
def test_unknown_key_is_refused_with_the_likely_one(refusal, text, message):
    assert refusal(text).startswith(f"teacher.yaml: {message}")


@pytest.mark.parametrize("name", [*NAMES, "a\0b", "x" * 101, "../x", "."])
def test_a_name_that_no_folder_can_have_is_refused(name):
    with pytest.raises(SettingError, match=r"name: must be|must be printable text") as refused:
        load_sweep("student", [f"name={json.dumps(name)}"])
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: 3", "name: must be text; got 3; leave it out for the default, 'sweep'"),
        ("name: a/b", "name: must be letters, digits, '.', '_' and '-', because a folder is called so; got 'a/b'"),
        ("name: ''", "name: must be letters, digits, '.', '_' and '-', because a folder is called so; got ''"),
        ("name: ..", "name: must be letters, digits, '.', '_' and '-', because a folder is called so; got '..'"),
        ("training: null", "training: must be a mapping of keys; got null"),
        ("training: 3", "training: must be a mapping of keys; got 3"),
        ("halving: {kind: asha}", "halving.kind: must be 'promote', 'stop' or 'none'; got 'asha'"),
        ("halving: {resource: seconds}", "halving: must give min_seconds, the first rung, exactly where resource"),
        ("halving: {min_seconds: 3}", "halving: must give min_seconds, the first rung, exactly where resource"),
        ("halving: {reduction: 1}", "halving.reduction: must be at least 2; got 1"),
        ("stopping: {blank_ratio: 95}", "stopping.blank_ratio: must be at most 1; got 95"),
        ("stopping: {margin: -0.1}", "stopping.margin: must be at least 0; got -0.1"),
        ("stopping: {divergence: 1}", "stopping.divergence: must be greater than 1; got 1"),
        ("search: {patience_trials: 0}", "search.patience_trials: must be greater than 0; got 0"),
        ("search: {epoch_budget: 1.5}", "search.epoch_budget: must be a whole number; got 1.5"),
        ("search: {warm_start: runs/a}", "search.warm_start: must be a list; got"),
        ("training: {epochs: ten}", "training.epochs: must be a whole number; got 'ten'; leave it out for the default"),
        (
            "training: {epochs: 2.5}",
            "training.epochs: must be a whole number; got 2.5; leave it out for the default, 24",
        ),
        ("training: {epochs: true}", "training.epochs: must be a whole number; got true"),
        ("training: {epochs: 1e-5}", "training.epochs: must be a whole number; got 1e-05"),
        ("training: {epochs: 0}", "training.epochs: must be greater than 0; got 0; leave it out for the default, 24"),
        ("training: {clip_norm: true}", "training.clip_norm: must be a number; got true"),
        ("training: {clip_norm: [1]}", "training.clip_norm: must be a number; got [1]"),
        ("training: {clip_norm: .inf}", "training.clip_norm: must be a finite number; got inf"),
        ("training: {final_decay: 1}", "training.final_decay: must be less than 1; got 1; leave it out"),
        ("training: {optimizer: sgd}", "training.optimizer: must be 'adamw' or 'adam'; got 'sgd'; leave it out"),
        (
            "training: {augment: mirror+blur}",
            "training.augment: must be 'none', 'auto' or different names joined with '+' out of",
        ),
        (
            "training: {augment: mirror+mirror}",
            "training.augment: must be 'none', 'auto' or different names joined with '+'",
        ),
        (
            "training: {augment: ''}",
            "training.augment: must be 'none', 'auto' or different names joined with '+' out of speed, ",
        ),
        ("model: {width: 5}", "model.width: must be at most 4; got 5; leave it out for the default, 1.0"),
        (
            "model: {time_stride: 3}",
            "model.time_stride: must be 1, 2, 4, 8 or 16; got 3; leave it out for the default, 4",
        ),
        ("corpus: {fold: 6}", "corpus.fold: must be at most 5; got 6"),
        ("corpus: {sentences: 1}", "corpus.sentences: must be at least 12; got 1"),
        ("corpus: {layout: 3}", "corpus.layout: must be text or must be a list; got 3"),
        (
            "corpus: {layout: [{block: a, values: 84.5}]}",
            "corpus.layout: [0].values: must be a whole number from 1 to 50000; got 84.5; leave it out for",
        ),
        (
            "corpus: {layout: [{block: left_hand, points: 21, dims: [2]}]}",
            "corpus.layout: [0].dims: must be 2, 3; got [2]; leave it out for the default, 'default'",
        ),
        (
            "corpus: {layout: [[left_hand]]}",
            "corpus.layout: [0]: must be a word or a mapping such as {block: left_hand, points: 21, dims: 2}; got [",
        ),
        ("corpus: {signers: []}", "corpus.signers: must not be empty; got []; leave it out for the default, null"),
        ("corpus: {signers: ase}", "corpus.signers: must be a list; got 'ase'; leave it out for the default, null"),
        ("corpus: {signers: [ase, 3]}", "corpus.signers[1]: must be text; got 3"),
        ("corpus: {root: 3}", "corpus.root: must be text; got 3"),
        ("corpus: {root: 's3://bucket/a'}", "corpus.root: must be a path on this machine; got the address 's3://"),
        ("storage: ~nobody-at-all/x", "storage: must not start with an unknown user's ~; got '~nobody-at-all/x'"),
        ("pretrained: 3", "pretrained: must be text; got 3; leave it out for the default, null"),
        ("pretrained: 's3://bucket/a.pt'", "pretrained: must be a path on this machine; got the address 's3://bucket"),
        ("pretraining: {labels: words}", "pretraining.labels: must be 'auto', 'isolated', 'uniform' or 'aligned'; got"),
        ("pretraining: {adapt: max2}", "pretraining.adapt: must be 'sum', 'mean', 'max' or 'centre'; got 'max2'"),
        (
            "pretraining: {steps: 0}",
            "pretraining.steps: must be greater than 0; got 0; leave it out for the default, 900",
        ),
        (
            "pretraining: {augment: speed+rhythm}",
            "pretraining.augment: must be 'none', 'auto' or different names joined with",
        ),
        (
            "pretraining: {augment: blur}",
            "pretraining.augment: must be 'none', 'auto' or different names joined with '+' out",
        ),
        ("freezing: {discriminative: 0}", "freezing.discriminative: must be greater than 0; got 0"),
        ("freezing: {discriminative: 2}", "freezing.discriminative: must be at most 1; got 2"),
        ("freezing: {warmup_at_thaw: -1}", "freezing.warmup_at_thaw: must be at least 0; got -1"),
        ("search: {start_points: first}", "search.start_points: must be 'strategies' or must be a list; got 'first'"),
        ("freezing: {allow_random_frozen: 1}", "freezing.allow_random_frozen: must be true or false; got 1"),
        ("search: {samples: 0}", "search.samples: must be greater than 0; got 0; leave it out for the default, 8"),
        ("search: {sampler: grid}", "search.sampler: must be 'tpe' or 'random', or package.module:Name of one"),
        ("search: {seed: -1}", "search.seed: must be at least 0; got -1"),
        ("search: {seed: 4294967296}", "search.seed: must be less than 4294967296; got 4294967296"),
        ("search: {metric: accuracy}", "search.metric: must be 'wer', 'train_loss' or 'dev_loss'; got 'accuracy'"),
        ("search: {target: .nan}", "search.target: must be a finite number; got nan"),
        ("search: {time_budget_min: 0}", "search.time_budget_min: must be greater than 0; got 0; leave it out for the"),
        ("halving: {min_epochs: 0}", "halving.min_epochs: must be greater than 0; got 0"),
        ("halving: {reduction: 1}", "halving.reduction: must be at least 2; got 1; leave it out for the default, 3"),
        ("resources: {cpu: 0}", "resources.cpu: must be greater than 0; got 0"),
        ("resources: {gpu: -1}", "resources.gpu: must be at least 0; got -1"),
        ("resources: {concurrent: 0}", "resources.concurrent: must be greater than 0; got 0"),
    ],
)
def test_wrong_type_or_range_names_key_rule_value_and_default(refusal, text, message):
    assert refusal(text).startswith(f"teacher.yaml: {message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("search: {target: 30}", "search.target: must be at most 1; got 30; did you mean 0.3?"),
        ("stopping: {stuck_wer: 97}", "stopping.stuck_wer: must be at most 1; got 97; did you mean 0.97?"),
        ("stopping: {blank_ratio: 95}", "stopping.blank_ratio: must be at most 1; got 95; did you mean 0.95?"),
        ("stopping: {margin: 2.5}", "stopping.margin: must be at most 1; got 2.5; did you mean 0.025?"),
        ("halving: {lead: 85}", "halving.lead: must be less than 1; got 85; did you mean 0.85?"),
        ("distillation: {alpha: 70}", "distillation.alpha: must be at most 1; got 70; did you mean 0.7?"),
        ("space: {dropout: 30}", "space.dropout: must be less than 1; got 30; did you mean 0.3?"),
        ("space: {dropout: {float: [0, 30]}}", "space.dropout: must be less than 1; got 30.0; did you mean 0.3?"),
        ("search: {target: 300}", "search.target: must be at most 1; got 300; leave it out for the default, 0.3"),
        ("corpus: {fold: 50}", "corpus.fold: must be at most 5; got 50; leave it out for the default, 1"),
        (
            "freezing: {discriminative: 2.6}",  # a factor, and no share
            "freezing.discriminative: must be at most 1; got 2.6; leave it out for the default, 1.0",
        ),
    ],
)
def test_percentage_is_refused_with_the_fraction_that_was_meant(refusal, text, message):
    assert refusal(text) == f"teacher.yaml: {message}"


@pytest.mark.parametrize(
    ("text", "override", "ending"),
    [
        ("search: {samples: 14}", "search.samples=0", "; leave it out for 14, as teacher.yaml has it"),
        ("search: {samples: 0}", "search.sampler=tpe", "; leave it out for the default, 8"),
        ("search: {sampler: tpe}", "search.samples=0", "; leave it out for the default, 8"),
        # Without it the key is missing in the mapping that replaces the file's.
        ("search: {samples: 14}", "search={samples: 0}", "; leave it out for the default, 8"),
        ("corpus: {gains: {face: 0.5}}", "corpus.gains.face=-1", "; leave it out for 0.5, as teacher.yaml has it"),
    ],
)
def test_way_out_of_an_override_names_what_holds_without_it(refusal, text, override, ending):
    assert refusal(text, override).endswith(ending)


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("space.lr", "'learning_rate'"),
        ("training.lr", "'space.learning_rate'"),
        ("lr", "'space.learning_rate'"),
        ("training.wd", "'weight_decay'"),
        ("bs", "'training.batch_size'"),
    ],
)
def test_key_by_its_initials_is_asked_for_by_its_name(refusal, key, meant):
    assert f"{key}: unknown key; did you mean {meant}?" in refusal("name: demo", f"{key}=1")


WRONG = (None, True, -1, 2.5, 10**400, float("nan"), "", "x", [], [1], [[]], [{"a": [1]}], {}, {"x": 1})


@pytest.mark.parametrize("key", [key.name for key in list_keys()])
def test_no_message_is_in_the_words_of_pydantic(key, tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("name: demo")
    for value in WRONG:
        override = f"{key}={json.dumps(value)}"
        try:
            load_sweep(file, [override])
        except SettingError as error:
            said = str(error).replace(override, "").split("; got ")[0]
            assert not re.search(r"Input|Unable|Tuple|String|List|Dict|[Vv]alid|should|pydantic|http", said), error


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("null", "space: must be a mapping of parameter to definition; got null"),
        ("{norm: {choice: [group, layer]}}", "space.norm: must be 'group' or 'batch'; got 'layer'"),
        ("{dropout: {float: [0, 1.2]}}", "space.dropout: must be less than 1; got 1.2"),
        ("{dropout: 1}", "space.dropout: must be less than 1; got 1"),
        ("{learning_rate: {float: [0, 1e-3]}}", "space.learning_rate: must be greater than 0; got 0.0"),
        ("{learning_rate: fast}", "space.learning_rate: must be a number; got 'fast'"),
        ("{warmup_epochs: {float: [0, 2]}}", "space.warmup_epochs: must be a whole number; got 0.0"),
        ("{batch_size: {int: [0, 8]}}", "space.batch_size: must be greater than 0; got 0"),
        ("{batch_size: {choice: [8, true]}}", "space.batch_size: must be a whole number; got true"),
        (
            "{time_stride: {int: [2, 4]}}",
            "space.time_stride: must be a choice out of 1, 2, 4, 8, 16; got a whole number",
        ),
        (
            "{augment: {choice: [none, blur]}}",
            "space.augment: must be 'none', 'auto' or different names joined with '+'",
        ),
        ("{gains.face: {float: [-1, 1]}}", "space.gains.face: must be at least 0; got -1.0"),
        ("{dropout: {float: [0.5, 0.1]}}", "space.dropout: low must be less than high; got low=0.5 and high=0.1"),
        (
            "{dropout: [0, 0.5]}",
            "space.dropout: must be a definition, a list of definitions or a constant; got [0, 0.5]",
        ),
        ("{dropout: {choice: [0.1], when: {norm: x}}, norm: group}", "space.dropout: when: norm never takes 'x'"),
        ("{strategy: {choice: [baseline, progresive]}}", "space.strategy: must be 'baseline', 'feature-extraction',"),
        (
            "{epochs: {int: [10, 50]}}",
            "space.epochs: must be one constant, because rungs need one horizon; got a whole",
        ),
        ("{epochs: {constant: 9, when: {norm: group}}, norm: group}", "space.epochs: must be one constant"),
        ("{epochs: 0}", "space.epochs: must be greater than 0; got 0"),
        ("{freeze_until: mixed_9z}", "space.freeze_until: must be a layer of the student: "),
        ("{freeze_until: mixed_5c}", "space.freeze_until: must be a layer of the student: "),
    ],
)
def test_space_holds_only_what_its_settings_take(refusal, space, message):
    assert refusal(f"space: {space}").startswith(f"teacher.yaml: {message}")
