"""What frozen layers gave once is what they would give again, and whoever may share it shares it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from frozen_trials import CPU, LAYERS, find_store, stores_in, trial_of
from hypothesis import given, settings
from hypothesis import strategies as st

from glosstune.models import build_model, freeze_until, thaw, write_weights
from glosstune.trainables import TrainingSession, TrialSettings
from glosstune.trainables.activations import ActivationCache, ActivationStore
from glosstune.trainables.activations import cache as cache_module
from glosstune.trainables.activations.store import COMPLETE, part_file
from glosstune.trainables.corpora import PackedCorpus
from glosstune.trainables.training.feed import Feed


@pytest.mark.slow
@settings(max_examples=25)
@given(data=st.data())
def test_the_rest_of_the_model_gives_the_same_from_what_was_kept(
    tmp_path_factory: pytest.TempPathFactory, small_corpus: PackedCorpus, data: st.DataObject
) -> None:
    kind = data.draw(st.sampled_from(sorted(LAYERS)))
    layer = data.draw(st.sampled_from(LAYERS[kind][1:-1]))
    model = {
        "time_stride": data.draw(st.sampled_from([1, 2, 4, 8, 16])),
        "norm": data.draw(st.sampled_from(["group", "batch"])),
    }
    precision = data.draw(st.sampled_from(["fp32", "bf16"]))
    rows = data.draw(st.lists(st.sampled_from(small_corpus.rows("train")), min_size=1, max_size=5, unique=True))
    trial = TrialSettings.model_validate(
        {
            "model": {"kind": kind, "width": 0.125, **model},
            "corpus": {"cache": tmp_path_factory.mktemp("activations")},  # a new one: nothing to build on
            "training": {"precision": precision},
            "tuned": {"freeze_until": layer},
            "freezing": {"allow_random_frozen": True},
        }
    )
    session, store, said = find_store(trial, small_corpus)
    assert store is not None and store.layer == layer and not said
    session.model.eval()
    feed = Feed(small_corpus, session.conditioning, CPU, trial.training)
    kept, whole = feed.scored(rows, store), feed.scored(rows)
    assert kept.layer == layer and kept.lengths.tolist() == whole.lengths.tolist()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
        entering = session.model.forward_until(layer, LAYERS[kind][0], whole.state, whole.lengths)
        _, x, lengths = session.model.forward_from(layer, entering, kept.lengths)
        _, y, others = session.model.forward_from(LAYERS[kind][0], whole.state, whole.lengths)
    assert lengths.tolist() == others.tolist()
    assert torch.equal(x, y)
    # What is kept is held against what enters the layer, not what comes of it: normalisation over the few frames of a
    # large stride makes much of the last digit, in half precision and, by sums in another order, in single precision.
    tolerance = 0.05 if precision == "fp32" else 0.1
    for ours, theirs, stride in zip(kept.state, entering, session.model.strides(layer), strict=True):
        for slot, length in enumerate((-(-kept.lengths // stride)).tolist()):
            off = (ours[slot, :length].float() - theirs[slot, :length].float()).norm()
            assert off <= tolerance * (theirs[slot, :length].float().norm() + 1e-3)


@pytest.mark.parametrize(
    ("kind", "tuned"),
    [
        ("teacher", {"strategy": "feature-extraction"}),
        ("teacher", {"strategy": "progressive", "unfreeze_stages": 3}),
        ("student", {"strategy": "fine-tune"}),
        ("student", {"strategy": "feature-extraction", "freeze_until": "lstm"}),
    ],
)
@pytest.mark.usefixtures("on_cpu")
def test_curves_of_equal_seeds_are_the_same_with_and_without(
    tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path], kind: str, tuned: dict[str, object]
) -> None:
    curves = []
    for activation_cache in (True, False):
        trial = trial_of(tmp_path, weights[kind], kind, tuned=tuned, activation_cache=activation_cache)
        session = TrainingSession(trial, small_corpus)
        curves.append([session.run_epoch() for _ in range(3)])
    assert stores_in(tmp_path)
    for ours, theirs in zip(*curves, strict=True):
        for name in ("train_loss", "dev_loss", "blank_ratio", "wer"):
            assert ours[name] == pytest.approx(theirs[name], rel=0.02, abs=0.02), name
        assert ours["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=0.1)


@pytest.mark.usefixtures("on_cpu")
def test_frozen_layers_run_for_each_utterance_once(
    tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path]
) -> None:
    seen = {"stem": 0, "mixed_5c": 0}
    sessions = [
        TrainingSession(trial_of(tmp_path, weights["teacher"], tuned=tuned), small_corpus) for tuned in _SEARCHED
    ]
    for session in sessions:
        for name in seen:
            hook = lambda module, inputs, output, name=name: seen.update({name: seen[name] + len(inputs[0])})  # noqa: E731
            session.model.get_submodule(name).register_forward_hook(hook)
        session.run_epoch()
        session.run_epoch()
    used = len(small_corpus.rows("train")) + len(small_corpus.rows("dev"))
    assert seen["stem"] == used
    assert seen["mixed_5c"] == used * 4
    assert len(stores_in(tmp_path)) == 1


_SEARCHED: list[dict[str, object]] = [
    {"learning_rate": 1e-3, "dropout": 0.0},
    {"learning_rate": 1e-4, "dropout": 0.3, "warmup_epochs": 1},
]


@pytest.mark.parametrize(
    "change",
    [
        {"model": {"time_stride": 2}},
        {"training": {"precision": "bf16"}},
        {"corpus": {"gains": {"hands": 2.0}}},
        {"tuned": {"freeze_until": "mixed_5b"}},
        "other weights",
    ],
    ids=str,
)
def test_what_the_values_depend_on_has_a_store_of_its_own(
    tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path], change: Any
) -> None:
    first, changed = trial_of(tmp_path, weights["teacher"]), trial_of(tmp_path, weights["teacher"])
    if change == "other weights":
        model = build_model("teacher", 9, width=0.25, norm="batch", seed=8)
        write_weights(
            tmp_path / "other.safetensors", {n: v for n, v in model.state_dict().items() if "lstm" not in n}, {}
        )
        changed = trial_of(tmp_path, tmp_path / "other.safetensors")
    else:
        corpus = {**change.get("corpus", {}), "cache": tmp_path}
        changed = trial_of(tmp_path, weights["teacher"], **{**change, "corpus": corpus})
    stores = [find_store(trial, small_corpus)[1] for trial in (first, changed, first)]
    assert None not in stores
    assert stores[0] == stores[2] != stores[1]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_deeper_layer_is_built_from_an_earlier_ones_store_and_is_the_same(
    tmp_path: Path,
    small_corpus: PackedCorpus,
    weights: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    precision: str,
) -> None:
    def find(cache: Path, layer: str) -> ActivationStore | None:
        tuned, training = {"freeze_until": layer}, {"precision": precision}
        return find_store(trial_of(cache, weights["teacher"], tuned=tuned, training=training), small_corpus)[1]

    find(tmp_path, "mixed_4b")
    direct = find(tmp_path / "x", "mixed_5b")
    monkeypatch.setattr(cache_module, "collate", _forbidden)
    built = find(tmp_path, "mixed_5b")
    assert built is not None and direct is not None and built.folder != direct.folder
    assert part_file(built.folder, 0).read_bytes() == part_file(direct.folder, 0).read_bytes()


def _forbidden(*arguments: object, **named: object) -> None:
    raise AssertionError("features were read")


@pytest.mark.usefixtures("on_cpu")
def test_frozen_layers_take_smaller_batches_where_memory_was_short(
    tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path]
) -> None:
    session = TrainingSession(trial_of(tmp_path, weights["teacher"]), small_corpus)
    session.micro_batches = 16
    sizes = list[int]()
    session.model.get_submodule("stem").register_forward_hook(lambda module, inputs, y: sizes.append(len(y)))
    session.run_epoch()
    assert max(sizes) == 2 and stores_in(tmp_path)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"activation_cache": False}, []),
        ({"tuned": {"strategy": "baseline", "freeze_until": "modality_fusion"}}, []),
        ({"training": {"augment": "speed"}}, ["training.augment"]),
        ({"training": {"augment": "auto"}}, ["training.augment"]),
        ({"activation_cache_gb": 1e-6}, ["activation_cache_gb"]),
    ],
)
def test_without_a_store_frozen_layers_run_and_the_log_says_why(
    tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path], changes: dict[str, Any], told: list[str]
) -> None:
    _, store, said = find_store(trial_of(tmp_path, weights["teacher"], **changes), small_corpus)
    assert store is None and len(said) == len(told)
    assert all(part in line for part, line in zip(told, said, strict=True))
    assert not stores_in(tmp_path)


def test_augmentation_that_comes_to_nothing_leaves_the_store(
    tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PackedCorpus, "has_positions", False)  # as of ready features
    _, store, said = find_store(trial_of(tmp_path, weights["teacher"], training={"augment": "auto"}), small_corpus)
    assert store is not None and not said


def test_values_beyond_half_precision_are_not_kept(
    tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path]
) -> None:
    trial, said = trial_of(tmp_path, weights["teacher"]), list[str]()
    session = TrainingSession(trial, small_corpus, device=CPU)
    freeze_until(session.model, "mixed_4f")
    with torch.no_grad():
        session.model.get_submodule("mixed_4e").get_parameter("branch1.1.bias").fill_(1e5)
    cache = ActivationCache(trial, small_corpus, session.conditioning, CPU, said.append)
    assert cache.find(session.model) is None and cache.find(session.model) is None
    assert len(said) == 1 and "half precision" in said[0]
    assert not stores_in(tmp_path)
    augmented = trial.training.model_copy(update={"augment_activations": "noise"})
    feed = Feed(small_corpus, session.conditioning, CPU, augmented)
    batch = feed.trained(small_corpus.rows("train")[:2], session.model, None, np.random.default_rng(0))
    assert all(bool(part.isfinite().all()) for part in batch.state)


def test_a_layer_with_a_fresh_parameter_is_not_frozen(
    tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path]
) -> None:
    trial = trial_of(tmp_path, weights["teacher"])
    session = TrainingSession(trial, small_corpus, device=CPU)
    thaw(session.model, ["lstm", "classifier"], fresh=["mixed_4b.branch1.1.bias"])
    store = ActivationCache(trial, small_corpus, session.conditioning, CPU, print).find(session.model)
    assert store is not None and store.layer == "mixed_4b"


def test_what_enters_the_trained_layers_can_be_augmented_with_and_without_a_store(
    tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path]
) -> None:
    states = []
    for activation_cache in (True, False):
        training = {"augment_activations": "speed+noise+time-masks"}
        trial = trial_of(tmp_path, weights["teacher"], training=training, activation_cache=activation_cache)
        session, store, _ = find_store(trial, small_corpus)
        feed = Feed(small_corpus, session.conditioning, CPU, trial.training)
        rows = small_corpus.rows("train")[:4]
        batch = feed.trained(rows, session.model, store, np.random.default_rng(3))
        assert batch.layer == "mixed_4f" and (store is None) != activation_cache
        assert batch.lengths.tolist() != [small_corpus.length(row) for row in rows]
        states.append(batch)
    assert states[0].lengths.tolist() == states[1].lengths.tolist()
    torch.testing.assert_close(states[0].state, states[1].state, rtol=0.01, atol=0.01)


def test_the_meta_file_names_no_path(tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path]) -> None:
    _, store, _ = find_store(trial_of(tmp_path, weights["teacher"]), small_corpus)
    assert store is not None
    assert str(tmp_path) not in json.dumps(json.loads((store.folder / COMPLETE).read_text()))
