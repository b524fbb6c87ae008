"""A model of one's own is frozen, kept, exported, read and taught as ours are; no file has its code run unasked."""

from pathlib import Path

import pytest
import torch
from own_models import Tiny

from glosstune.models import read_weights, write_weights
from glosstune.spaces import STRATEGIES
from glosstune.spaces.errors import CheckpointError
from glosstune.trainables import TrainingSession, TrialSettings, export_checkpoint, load_recogniser
from glosstune.trainables.activations import ActivationCache, ActivationStore
from glosstune.trainables.batches.batching import collate
from glosstune.trainables.checks.overfitting import OverfitSettings, overfit
from glosstune.trainables.corpora import PackedCorpus
from glosstune.trainables.export.comparing import Candidate, compare_models
from glosstune.trainables.settings import CorpusSettings, ModelSettings
from glosstune.trainables.training.pretraining import pretrained_weights, pretraining_key

OWN = "own_models:Tiny"
CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("on_cpu")


def _settings(corpus: CorpusSettings, strategy: str = "baseline", **sections: object) -> TrialSettings:
    tree = {
        "model": {"kind": OWN},
        "corpus": corpus,
        "training": {"epochs": 3, "batch_size": 8, "precision": "fp32"},
        "tuned": {"strategy": strategy, "learning_rate": 1e-3},
    }
    return TrialSettings.model_validate({**tree, **sections})


@pytest.fixture(scope="module")
def weights(small_settings: CorpusSettings, small_corpus: PackedCorpus) -> Path:
    settings = _settings(small_settings, pretraining={"steps": 9, "batch_size": 4})
    return pretrained_weights(settings, small_corpus, lambda line: None)


@pytest.fixture(scope="module")
def checkpoint(
    small_settings: CorpusSettings, small_corpus: PackedCorpus, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    session = TrainingSession(_settings(small_settings), small_corpus, device=CPU)
    session.run_epoch()
    path = tmp_path_factory.mktemp("own") / "best.pt"
    session.save(path)
    return path


@pytest.fixture(scope="module")
def exported(checkpoint: Path) -> Path:
    out = checkpoint.with_suffix(".safetensors")
    export_checkpoint(checkpoint, out, {"wer": 1.0})
    return out


def test_pretraining_makes_every_layer_before_the_head(weights: Path) -> None:
    made = {name.partition(".")[0] for name in read_weights(weights).tensors}
    assert made == set(Tiny.architecture.body)
    assert weights.name.startswith("pretrained-Tiny-")


@pytest.mark.parametrize(
    ("strategy", "trained"),
    [
        ("baseline", Tiny.architecture.layers),
        ("feature-extraction", ("block_1", "glosses")),
        ("fine-tune", ("stem", "block_1", "glosses")),
        ("full-finetune", Tiny.architecture.layers),
    ],
)
def test_strategies_freeze_the_depths_that_it_says(
    strategy: str,
    trained: tuple[str, ...],
    weights: Path,
    small_settings: CorpusSettings,
    small_corpus: PackedCorpus,
) -> None:
    settings = _settings(small_settings, strategy, pretrained=weights if STRATEGIES[strategy].pretrained else None)
    session = TrainingSession(settings, small_corpus, device=CPU)
    before = {name: value.clone() for name, value in session.model.state_dict().items()}
    session.run_epoch()
    after = session.model.state_dict()
    assert {name.partition(".")[0] for name in after if not after[name].equal(before[name])} == set(trained)


def test_progressive_thaws_a_group_a_stage_and_no_more_stages_than_groups(
    weights: Path, small_settings: CorpusSettings, small_corpus: PackedCorpus
) -> None:
    settings = _settings(small_settings, "progressive", pretrained=weights, training={"epochs": 8})
    session = TrainingSession(settings, small_corpus, device=CPU)
    assert session.thaw_epochs == {"glosses": 0, "block_1": 2, "beside": 4, "stem": 4, "project": 6}


def test_what_its_frozen_layers_give_is_kept_until_its_code_changes(
    weights: Path,
    small_settings: CorpusSettings,
    small_corpus: PackedCorpus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = _settings(small_settings, "feature-extraction", pretrained=weights)
    settings = settings.model_copy(update={"corpus": small_settings.model_copy(update={"cache": tmp_path})})

    def found() -> ActivationStore:
        session = TrainingSession(settings, small_corpus, device=CPU)
        session.model.requires_grad_(False)
        session.model.get_submodule("block_1").requires_grad_(True)
        cache = ActivationCache(settings, small_corpus, session.conditioning, CPU, lambda line: None)
        store, model = cache.find(session.model), session.model.eval()
        assert store is not None
        kept, whole = (
            store.batch(small_corpus.rows("dev")[:1], CPU),
            collate(small_corpus, small_corpus.rows("dev")[:1], session.conditioning),
        )
        frames = -(-int(whole.lengths) // settings.model.time_stride)
        theirs = model.forward_from("block_1", kept.state, kept.lengths)[0][:frames]
        ours = model.forward_from("project", whole.state, whole.lengths)[0][:frames]
        torch.testing.assert_close(theirs, ours, rtol=0.01, atol=0.01)
        return store

    first, key = found(), pretraining_key(settings, small_corpus)
    assert found().folder == first.folder
    other = tmp_path / "own_models.py"
    other.write_text("# changed\n")
    monkeypatch.setattr("glosstune.models.building.inspect.getfile", lambda each: str(other))
    assert found().folder != first.folder
    assert pretraining_key(settings, small_corpus) != key


def test_it_is_read_where_it_is_named_and_gives_what_it_gave(
    checkpoint: Path, exported: Path, small_corpus: PackedCorpus
) -> None:
    recogniser = load_recogniser(exported, [OWN])
    session = TrainingSession.of_checkpoint(checkpoint, small_corpus, [OWN])
    for name, value in session.model.state_dict().items():
        assert torch.equal(value.cpu(), recogniser.model.state_dict()[name])
    assert isinstance(recogniser.model, Tiny)


def test_a_file_that_names_code_of_its_own_runs_none_of_it(
    checkpoint: Path, exported: Path, small_corpus: PackedCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "planted_net.py").write_text("raise SystemExit('it ran')\n")
    monkeypatch.chdir(tmp_path)
    file = read_weights(exported)
    recorded = dict(file.recorded)
    recorded["settings"]["model"]["kind"] = "planted_net:Net"  # type: ignore[index]  # a mapping
    write_weights(tmp_path / "planted.safetensors", file.tensors, recorded)
    state = torch.load(checkpoint, weights_only=True)
    state["settings"]["model"]["kind"] = "planted_net:Net"
    torch.save(state, tmp_path / "planted.pt")
    rule = "its model is planted_net:Net, code that is not glosstune's .*name it: --kind planted_net:Net"
    for kinds in ([], [OWN]):
        with pytest.raises(CheckpointError, match=rule):
            load_recogniser(tmp_path / "planted.safetensors", kinds)
        with pytest.raises(CheckpointError, match=rule):
            TrainingSession.of_checkpoint(tmp_path / "planted.pt", small_corpus, kinds)
    export_checkpoint(tmp_path / "planted.pt", tmp_path / "again.safetensors", {})  # which needs no model


def test_it_can_be_taught_and_teach(
    exported: Path, exported_teacher: Path, small_settings: CorpusSettings, small_corpus: PackedCorpus
) -> None:
    own = TrainingSession(_settings(small_settings, teacher=exported_teacher), small_corpus, device=CPU)
    assert own.run_epoch()["distillation_loss"] > 0
    taught = _settings(small_settings, model={"kind": "student", "width": 0.25}, teacher=exported)
    with pytest.raises(CheckpointError, match="teacher_kind of a sweep"):
        TrainingSession(taught, small_corpus, device=CPU)
    named = taught.model_copy(update={"teacher_kind": OWN})
    assert TrainingSession(named, small_corpus, device=CPU).run_epoch()["distillation_loss"] > 0


def test_it_learns_a_few_utterances_by_heart(small_settings: CorpusSettings, small_corpus: PackedCorpus) -> None:
    settings = OverfitSettings(samples=2, epochs=300, learning_rate=5e-3, dropout=0.0, warmup_epochs=5)
    result = overfit(ModelSettings(kind=OWN, width=2.0), small_settings, small_corpus, settings)
    assert result.passed


def test_it_is_compared_with_ours(
    exported: Path, exported_teacher: Path, small_settings: CorpusSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glosstune.trainables.export.comparing.TIMED_UTTERANCES", 2)
    candidates = [Candidate.read(exported_teacher), Candidate.read(exported, [OWN])]
    compared = compare_models(candidates, small_settings, rounds=1, device=CPU)
    assert [model.kind for model in compared.models] == ["teacher", OWN]
