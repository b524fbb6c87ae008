"""Whatever is wrong with a sweep is said in one line: source, key, rule, value and the way out."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glosstune.search.sweep import Sweep, load_sweep
from glosstune.search.sweep_rules import SETTINGS_PATHS
from glosstune.spaces import STRATEGIES, SettingError


@pytest.fixture
def refusal(tmp_path, monkeypatch):
    """The message that a file ``teacher.yaml`` with this text is refused with."""
    monkeypatch.chdir(tmp_path)

    def refusal(text, *overrides):
        file = tmp_path / "teacher.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(SettingError) as error:
            load_sweep(file, overrides)
        message = str(error.value)
        assert not any(jargon in message for jargon in ("pydantic", "http", "Input should", "Value error", "Traceback"))
        return message

    return refusal


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("space: {lerning_rate: 1}", "space.lerning_rate: unknown key; did you mean 'learning_rate'?"),
        ("serch: {samples: 3}", "serch: unknown key; did you mean 'search'?"),
        ("search: {sample: 3}", "search.sample: unknown key; did you mean 'samples'?"),
        ("corpus: {gains: {fase: 3}}", "corpus.gains.fase: unknown key; did you mean 'face'?"),
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
            "training.augment: must be 'none' or different names joined with '+' out of",
        ),
        ("training: {augment: mirror+mirror}", "training.augment: must be 'none' or different names joined with '+'"),
        (
            "training: {augment: ''}",
            "training.augment: must be 'none' or different names joined with '+' out of mirror, ",
        ),
        ("model: {width: 5}", "model.width: must be at most 4; got 5; leave it out for the default, 1.0"),
        (
            "model: {time_stride: 3}",
            "model.time_stride: must be 1, 2, 4, 8 or 16; got 3; leave it out for the default, 4",
        ),
        ("corpus: {fold: 6}", "corpus.fold: must be at most 5; got 6"),
        ("corpus: {sentences: 1}", "corpus.sentences: must be at least 12; got 1"),
        ("corpus: {layout: 3}", "corpus.layout: must be text or must be a list; got 3"),
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
        ("pretraining: {augment: blur}", "pretraining.augment: must be 'none' or different names joined with '+' out"),
        ("freezing: {discriminative: 0}", "freezing.discriminative: must be greater than 0; got 0"),
        ("freezing: {discriminative: 2}", "freezing.discriminative: must be at most 1; got 2"),
        ("freezing: {warmup_at_thaw: -1}", "freezing.warmup_at_thaw: must be at least 0; got -1"),
        ("search: {start_points: first}", "search.start_points: must be 'strategies' or must be a list; got 'first'"),
        ("freezing: {allow_random_frozen: 1}", "freezing.allow_random_frozen: must be true or false; got 1"),
        ("search: {samples: 0}", "search.samples: must be greater than 0; got 0; leave it out for the default, 8"),
        ("search: {sampler: grid}", "search.sampler: must be 'tpe' or 'random'; got 'grid'"),
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
        ("{augment: {choice: [none, blur]}}", "space.augment: must be 'none' or different names joined with '+'"),
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


@pytest.mark.parametrize(
    ("space", "reason"),
    [
        ("{strategy: feature-extraction}", "'feature-extraction' starts from pretrained weights"),
        ("{strategy: {choice: [baseline, fine-tune]}}", "its frozen layers would keep random values"),
        ("{strategy: progressive}", "and there are none: its frozen layers would keep random values"),
        ("{strategy: full-finetune}", "it would start from random values; give pretrained=FILE, or pretrained=auto"),
    ],
)
def test_nothing_starts_from_weights_that_are_not_there_unless_asked_for(refusal, tmp_path, space, reason):
    text = f"model: {{kind: teacher}}\nspace: {space}"
    message = refusal(text)
    assert message.startswith("teacher.yaml: space.strategy: ")
    assert reason in message
    assert message.endswith("or set freezing.allow_random_frozen: true to try it nevertheless")
    for override in ("freezing.allow_random_frozen=true", "pretrained=auto", "pretrained=weights.pt"):
        load_sweep(tmp_path / "teacher.yaml", [override])


@pytest.mark.parametrize("name", ["freeze_until", "unfreeze_stages"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_depth_and_stages_are_refused_where_nothing_reads_them(refusal, tmp_path, name, strategy):
    value = {"freeze_until": "{choice: [mixed_3b, mixed_5c]}", "unfreeze_stages": "{int: [2, 5]}"}[name]
    space = f"space: {{strategy: {strategy}, {name}: {value}}}"
    text = f"model: {{kind: teacher}}\nfreezing: {{allow_random_frozen: true}}\n{space}"
    readers = {"freeze_until": ("feature-extraction", "fine-tune"), "unfreeze_stages": ("progressive",)}[name]
    if strategy in readers:
        (tmp_path / "teacher.yaml").write_text(text)
        load_sweep(tmp_path / "teacher.yaml")
    else:
        rule = f"has no meaning under '{strategy}'; only {' and '.join(readers)} read it; give it a 'when' of those"
        assert refusal(text).startswith(f"teacher.yaml: space.{name}: {rule}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "corpus: {kind: phoenix}",
            "corpus.root: must name the corpus's folder, because corpus.kind is 'phoenix'; got",
        ),
        (
            "corpus: {kind: phoenix, root: a, split: unseen-clips}",
            "corpus.split: must not be 'unseen-clips' where corpus.kind is 'phoenix': only fingerspelling has clips",
        ),
        (
            "space: {temperature: {float: [1, 8]}}",
            "teacher: must name the exported recogniser to learn from, because space.temperature is given; got null",
        ),
        ("distillation: {alpha: 0.5}", "teacher: must name the exported recogniser to learn from, because distil"),
        (
            "teacher: a.safetensors\nspace: {gains.face: {float: [0, 1]}}",
            "space.gains.face: has no meaning with a teacher",
        ),
        ("teacher: s3://bucket/teacher.safetensors", "teacher: must be a path on this machine; got the address"),
        ("distillation: {temperature: 0}", "distillation.temperature: must be greater than 0; got 0"),
        ("distillation: {alpha: 1.2}", "distillation.alpha: must be at most 1; got 1.2"),
        ("space: {alpha: {float: [-0.5, 1]}}", "space.alpha: must be at least 0; got -0.5"),
        (
            "corpus: {fold: 2}",
            "corpus.fold: must be 1: only fingerspelling with corpus.split 'unseen-signers' has folds",
        ),
        (
            "corpus: {kind: phoenix, root: a, split: unseen-signers, fold: 2}",
            "corpus.fold: must be 1: only fingerspelling",
        ),
        (
            "space: {warmup_epochs: {int: [0, 25]}}",
            "space.warmup_epochs: must be at most training.epochs, 24; got up to 25; warm up for less or",
        ),
        (
            "corpus: {kind: phoenix, root: a}\ntraining: {augment: speed+mirror}",
            "training.augment: mirror need landmark positions, but corpus.layout has ready features",
        ),
        (
            "corpus: {kind: phoenix, root: a, layout: holistc}",
            "corpus.layout: 'holistc' is unknown; named layouts are default,",
        ),
        (
            "pretrained: weights.pt\nspace: {dropout: 0.1}",
            "pretrained: is never used: no strategy of the space starts from pretrained weights; set pretrained=",
        ),
        (
            "pretrained: auto\nspace: {strategy: full-finetune, width: {choice: [0.5, 1]}}",
            "space.width: must stand in model, because pretrained weights fit one value; set model.width instead",
        ),
        (
            "pretrained: auto\nspace: {strategy: full-finetune}\npretraining: {labels: aligned}",
            "pretraining: must name a CTC model's checkpoint in align_with exactly where labels is 'aligned'; got",
        ),
        (
            "pretraining: {labels: uniform, align_with: best.pt}",
            "pretraining: must name a CTC model's checkpoint in align_with exactly where labels is 'aligned'; got",
        ),
        (
            "corpus: {kind: phoenix, root: a}\npretraining: {augment: speed+rotation}",
            "pretraining.augment: rotation need landmark positions, but corpus.layout has ready features",
        ),
        ("corpus: {root: a}", "corpus.root: has no meaning where corpus.kind is 'fingerspelling'"),
        (
            "model: {kind: teacher}\npretrained: auto\nspace: {strategy: fine-tune, freeze_until: mixed_9z}",
            "space.freeze_until: must be a layer of the teacher: modality_fusion, stem, mixed_3b,",
        ),
        (
            "search: {start_points: [{dropout: 0.1}, {dropout: 0.9}]}\nspace: {dropout: {float: [0, 0.5]}}",
            "search.start_points[1].dropout: must be a number from 0.0 to 0.5; got 0.9",
        ),
        (
            "search: {start_points: [{}]}\nspace: {dropout: {float: [0, 0.5]}}",
            "search.start_points[0].dropout: must be a number from 0.0 to 0.5; it is missing",
        ),
        (
            "search: {start_points: [{drpout: 0.1}]}\nspace: {dropout: {float: [0, 0.5]}}",
            "search.start_points[0].drpout: unknown key; did you mean 'dropout'? (of the space)",
        ),
        ("resources: {gpu: 1.5}", "resources.gpu: must be a whole number above 1"),
        (
            "space: {norm: {choice: [group, batch]}, warmup_epochs: [{int: [0, 2], when: {norm: group}}, "
            "{constant: 30, when: {norm: batch}}]}",
            "space.warmup_epochs: must be at most training.epochs, 24; got up to 30",
        ),
    ],
)
def test_sections_must_agree(refusal, text, message):
    assert refusal(text).startswith(f"teacher.yaml: {message}")


@pytest.mark.parametrize(
    "text",
    [
        "corpus: {split: unseen-signers, fold: 5}",
        "corpus: {split: unseen-clips}",
        "corpus: {kind: phoenix, root: a, split: unseen-signers}",
        "halving: {min_epochs: 25}",
        "space: {warmup_epochs: 24}",
        "space: {learning_rate: {choice: [null, 1e-3]}}",
    ],
)
def test_limits_themselves_are_allowed(tmp_path, text):
    (tmp_path / "teacher.yaml").write_text(text)
    load_sweep(tmp_path / "teacher.yaml")


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
        ("name: a\nmodel: {? [a] : 1}", "line 2: not valid YAML: found unhashable key"),
        ("name: *nowhere", "line 1: not valid YAML: found undefined alias 'nowhere'"),
        ("name: !!python/name:os.system x", "line 1: not valid YAML: could not determine a constructor for the tag"),
        ("name: a\n---\nname: b", "line 2: not valid YAML: but found another document"),
        ("name: a\nmodel: \x01", "line 2: not valid YAML: special characters are not allowed"),
        ("name: 2024-13-01", "not valid YAML: month must be in 1..12; put text in quotes"),
        ("name: 2024-01-01", "name: must be text, a number, true, false or null; got datetime.date(2024, 1, 1); put"),
        ("name: &a [*a]", "name[0][0]"),
        ("[" * 600, "not valid YAML: nested too deeply"),
        ("on: 1", "a key must be text; got true; put it in quotes"),
        ("model: {1: 2}", "model: a key must be text; got 1; put it in quotes"),
        ("- a\n- b", "must be a mapping of keys such as 'training: {epochs: 24}'; got ['a', 'b']"),
        ("just text", "must be a mapping of keys such as 'training: {epochs: 24}'; got 'just text'"),
        ("", "must be a mapping of keys such as 'training: {epochs: 24}'; got null"),
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
