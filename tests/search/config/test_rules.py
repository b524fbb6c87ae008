"""Values that are right by themselves and wrong together are refused in one line."""

import sys
from pathlib import Path

import pytest

from glosstune.search.config.loading import load_sweep
from glosstune.search.config.rules import check_depths, check_parts, tell_rungs
from glosstune.spaces import STRATEGIES, SettingError


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
        (
            "teacher: a.safetensors\ntraining: {augment: speed+rhythm}",
            "training.augment: rhythm moves frames away from those that the teacher speaks of; got 'speed+rhythm'; use",
        ),
        (
            "teacher: a.safetensors\nspace: {augment: {choice: [none, rhythm]}}",
            "space.augment: rhythm moves frames away from those that the teacher speaks of; got 'rhythm'",
        ),
        ("teacher: s3://bucket/teacher.safetensors", "teacher: must be a path on this machine; got the address"),
        ("distillation: {temperature: 0}", "distillation.temperature: must be greater than 0; got 0"),
        ("distillation: {alpha: 1.2}", "distillation.alpha: must be at most 1; got 1.2"),
        ("space: {alpha: {float: [-0.5, 1]}}", "space.alpha: must be at least 0; got -0.5"),
        (
            "corpus: {fold: 2}",
            "corpus.fold: must be 1: only fingerspelling, table with corpus.split 'unseen-signers' have folds",
        ),
        (
            "corpus: {kind: phoenix, root: a, split_seed: 2}",
            "corpus.split_seed: has no meaning where corpus.kind is 'phoenix', which draws no splits; got 2; leave it",
        ),
        (
            "corpus: {kind: table}",
            "corpus.root: must name the corpus's table, because corpus.kind is 'table'; got null; give",
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
            "training.augment: mirror need landmark positions, and corpus.layout has ready features or none at all",
        ),
        (
            "corpus: {kind: phoenix, root: a, layout: holistc}",
            "corpus.layout: 'holistc' is unknown; did you mean 'holistic'?; named layouts are default,",
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
            "pretraining.augment: rotation need landmark positions, and corpus.layout has ready features",
        ),
        ("corpus: {layout: hands-2d}", "corpus.layout: has no meaning where corpus.kind is 'fingerspelling'"),
        ("corpus: {frame_step: 2}", "corpus.frame_step: has no meaning where corpus.kind is 'fingerspelling'"),
        ("corpus: {root: a}", "corpus.root: has no meaning where corpus.kind is 'fingerspelling'"),
        (
            "corpus: {kind: phoenix, root: a, scoring: characters, targets: clean}",
            "corpus.targets: must be raw where corpus.scoring is characters, which cleans nothing up; say",
        ),
        ("corpus: {scoring: phoenix}", "corpus.scoring: must be 'auto', 'plain', 'phoenix2014',"),
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


OWN = """
import glosstune.trainables.corpora as corpora

class Rooted:
    traits = corpora.CorpusTraits(splits=("multi-signer", "unseen-signers"), folds=True)
    def __init__(self, root): ...
    def utterances(self): ...

class Ready:
    traits = corpora.CorpusTraits(ready_features=True)
    def utterances(self): ...

notes = {}
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "corpus: {kind: 'own_parts:Rooted'}",
            "corpus.root: must name the corpus's folder, because corpus.kind is 'own_parts:Rooted'; got null; give",
        ),
        (
            "corpus: {kind: 'own_parts:Rooted', root: a, split: unseen-clips}",
            "corpus.split: must not be 'unseen-clips' where corpus.kind is 'own_parts:Rooted': only fingerspelling has "
            "clips; choose 'multi-signer' or 'unseen-signers'",
        ),
        (
            "corpus: {kind: 'own_parts:Ready', split: unseen-signers}",
            "corpus.split: must not be 'unseen-signers' where corpus.kind is 'own_parts:Ready'; choose 'multi-signer'",
        ),
        (
            "corpus: {kind: 'own_parts:Ready', root: a}",
            "corpus.root: has no meaning where corpus.kind is 'own_parts:Ready', which takes no root",
        ),
        (
            "corpus: {kind: 'own_parts:Ready', fold: 2}",
            "corpus.fold: must be 1: only fingerspelling, table with corpus.split",
        ),
        (
            "corpus: {kind: 'own_parts:Rooted', root: a, fold: 2}",
            "corpus.fold: must be 1: only fingerspelling, table, own_parts:Rooted with corpus.split 'unseen-",
        ),
        (
            "corpus: {kind: 'own_parts:Ready'}\ntraining: {augment: speed+mirror}",
            "training.augment: mirror need landmark positions, and corpus.layout has ready features or none at all",
        ),
        ("corpus: {kind: 'own_parts:Missing'}", "corpus.kind: own_parts:Missing cannot be imported (AttributeError"),
        ("corpus: {kind: 'own_parts:notes'}", "corpus.kind: own_parts:notes lacks utterances; see docs/extending.md"),
        (
            "corpus: {kind: phenix}",
            "corpus.kind: must be 'fingerspelling' or 'phoenix' or 'table', or package.module:Name of one",
        ),
        ("search: {sampler: 'own_parts:notes'}", "search.sampler: own_parts:notes cannot be called"),
        ("stopping: {rules: ['own_parts:notes']}", "stopping.rules: own_parts:notes cannot be called"),
        (
            "stopping: {rules: [stuck]}",
            "stopping.rules[0]: must be package.module:Name of one of your own; got",
        ),
    ],
)
def test_parts_of_ones_own_must_agree_with_the_sweep(tmp_path, monkeypatch, text, message):
    (tmp_path / "own_parts.py").write_text(OWN)
    (tmp_path / "teacher.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "own_parts", raising=False)
    with pytest.raises(SettingError) as error:
        check_parts(load_sweep("teacher.yaml"))
    assert str(error.value).removeprefix("teacher.yaml: ").startswith(message)


def test_a_sweep_names_all_its_own_parts(tmp_path, monkeypatch):
    (tmp_path / "own_parts.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "own_parts", raising=False)
    overrides = ["corpus.kind=own_parts:Rooted", "corpus.root=a", "search.sampler=optuna.samplers:GPSampler"]
    sweep = load_sweep(None, [*overrides, "stopping.rules=[own_parts:Rooted]"])
    assert sweep.name == "teacher-own"
    assert sweep.own_parts == ["own_parts:Rooted", "optuna.samplers:GPSampler"]
    assert load_sweep("student").own_parts == []


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


def test_reading_a_sweep_runs_no_code_that_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "planted_sweep.py").write_text("raise SystemExit('it ran')\n")
    monkeypatch.chdir(tmp_path)
    space = "space={strategy: progressive, unfreeze_stages: 9, learning_rate: 1e-3}"
    keys = ("model.kind", "teacher_kind", "corpus.kind", "search.sampler")
    named = [*(f"{key}=planted_sweep:Net" for key in keys), "stopping.rules=['planted_sweep:Net']", "teacher=t"]
    sweep = load_sweep("teacher", [*named, space])
    assert sweep.model.kind == "planted_sweep:Net"


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (
            "{strategy: fine-tune, freeze_until: mixed_5c}",
            "space.freeze_until: must be a layer of the own_models:Tiny: ",
        ),
        ("{strategy: progressive, unfreeze_stages: 5}", "space.unfreeze_stages: must be at most 4, .*; got 5"),
    ],
)
def test_depths_of_a_model_of_ones_own_are_checked_before_anything_runs(space: str, message: str) -> None:
    sweep = load_sweep("teacher", ["model.kind=own_models:Tiny", f"space={space}", "search.start_points=[]"])
    with pytest.raises(SettingError, match=message):
        check_depths(sweep)


def test_the_kind_of_a_teacher_means_nothing_without_one() -> None:
    with pytest.raises(
        SettingError, match=r"teacher: must name the exported recogniser .* because teacher_kind is given"
    ):
        load_sweep("student", ["teacher_kind=own_models:Tiny"])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ([], ""),
        (["training.epochs=8"], "halving.min_epochs: 8 is not below training.epochs, 8, so there is no rung"),
        (["training.epochs=2"], "halving.min_epochs: 8 is not below training.epochs, 2, so there is no rung"),
        (["training.epochs=2", "halving.kind=none"], ""),
        (["training.epochs=2", "halving.resource=seconds", "halving.min_seconds=9"], ""),
    ],
)
def test_a_sweep_whose_trials_are_too_short_for_a_rung_is_told_so(changes, told):
    assert tell_rungs(load_sweep("teacher", changes)).partition(":")[0] == told.partition(":")[0]
    assert tell_rungs(load_sweep("teacher", changes)).startswith(told)
