"""What frozen layers gave once is what they would give again, and whoever may share it shares it."""

import errno
import fcntl
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glosstune.models import build_model, freeze_until, thaw, write_weights
from glosstune.models.layers import STUDENT_LAYERS, TEACHER_LAYERS
from glosstune.spaces import CheckpointError
from glosstune.trainables import TrainingSession, TrialSettings
from glosstune.trainables.corpora import PackedCorpus
from glosstune.trainables.feeding import Feed
from glosstune.trainables.prefixes import PrefixCache, PrefixStore
from glosstune.trainables.prefixes import cache as cache_module
from glosstune.trainables.prefixes import store as store_module
from glosstune.trainables.prefixes.room import make_room
from glosstune.trainables.prefixes.store import COMPLETE, part_file

CPU = torch.device("cpu")
LAYERS = {"teacher": TEACHER_LAYERS, "student": STUDENT_LAYERS}


@pytest.fixture(scope="module")
def weights(small_corpus: PackedCorpus, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files such as pretraining leaves: all layers before the LSTM."""
    found = {}
    for kind in LAYERS:
        model = build_model(kind, 9, width=0.25, norm="batch", seed=7)
        kept = {name: value for name, value in model.state_dict().items() if not name.startswith(("lstm", "class"))}
        found[kind] = tmp_path_factory.mktemp("weights") / f"{kind}.safetensors"
        write_weights(found[kind], kept, {})
    return found


def _trial(cache: Path, weights: Path, kind: str = "teacher", **changes: Any) -> TrialSettings:
    tree = {
        "model": {"kind": kind, "width": 0.25, "norm": "batch", **changes.pop("model", {})},
        "corpus": {"cache": cache},
        "training": {"epochs": 3, "batch_size": 8, "precision": "fp32", **changes.pop("training", {})},
        "tuned": {"strategy": "fine-tune", "learning_rate": 1e-3, "dropout": 0.1, **changes.pop("tuned", {})},
        "pretrained": weights,
    }
    return TrialSettings.model_validate({**tree, **changes})


def _find(settings: TrialSettings, corpus: PackedCorpus) -> tuple[TrainingSession, PrefixStore | None, list[str]]:
    """A session frozen as in its first epoch, what its frozen layers gave, and what was said."""
    said: list[str] = []
    session = TrainingSession(settings, corpus, device=CPU)
    freeze_until(session.model, settings.tuned.freeze_until or "mixed_4f")
    cache = PrefixCache(settings, corpus, session.conditioning, CPU, said.append)
    return session, cache.find(session.model), said


def _stores(cache: Path) -> list[Path]:
    return sorted((cache / "prefixes").glob("prefix-*/"))


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prefixes")


@settings(max_examples=25)
@given(data=st.data())
def test_the_rest_of_the_model_gives_the_same_from_what_was_kept(
    shared_cache: Path, small_corpus: PackedCorpus, data: st.DataObject
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
            "corpus": {"cache": shared_cache},
            "training": {"precision": precision},
            "tuned": {"freeze_until": layer},
            "freezing": {"allow_random_frozen": True},
        }
    )
    session, store, said = _find(trial, small_corpus)
    assert store is not None and store.layer == layer and not said
    session.model.eval()
    feed = Feed(small_corpus, session.conditioning, CPU, trial.training)
    kept, whole = feed.scored(rows, store), feed.scored(rows)
    assert kept.layer == layer and kept.lengths.tolist() == whole.lengths.tolist()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
        _, x, lengths = session.model.forward_from(layer, kept.state, kept.lengths)
        _, y, others = session.model.forward_from(LAYERS[kind][0], whole.state, whole.lengths)
    assert lengths.tolist() == others.tolist()
    # Normalisation over the few frames of a large stride makes some of the rounding larger, so not each value is held
    # against its fellow but all of them together.
    tolerance = 0.05 if precision == "fp32" else 0.1
    for slot, length in enumerate(lengths.tolist()):
        off = (x[slot, :length] - y[slot, :length]).float().norm()
        assert off < tolerance * (y[slot, :length].float().norm() + 1e-3)


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
    for prefix_cache in (True, False):
        trial = _trial(tmp_path, weights[kind], kind, tuned=tuned, prefix_cache=prefix_cache)
        session = TrainingSession(trial, small_corpus)
        curves.append([session.run_epoch() for _ in range(3)])
    assert _stores(tmp_path)
    for ours, theirs in zip(*curves, strict=True):
        for name in ("train_loss", "dev_loss", "blank_ratio", "wer"):
            assert ours[name] == pytest.approx(theirs[name], rel=0.02, abs=0.02), name
        assert ours["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=0.1)


@pytest.mark.usefixtures("on_cpu")
def test_frozen_layers_run_for_each_utterance_once(
    tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path]
) -> None:
    seen = {"stem": 0, "mixed_5c": 0}
    sessions = [TrainingSession(_trial(tmp_path, weights["teacher"], tuned=tuned), small_corpus) for tuned in _SEARCHED]
    for session in sessions:
        for name in seen:
            hook = lambda module, inputs, output, name=name: seen.update({name: seen[name] + len(inputs[0])})  # noqa: E731
            session.model.get_submodule(name).register_forward_hook(hook)
        session.run_epoch()
        session.run_epoch()
    used = len(small_corpus.rows("train")) + len(small_corpus.rows("dev"))
    assert seen["stem"] == used
    assert seen["mixed_5c"] == used * 4
    assert len(_stores(tmp_path)) == 1


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
    first, changed = _trial(tmp_path, weights["teacher"]), _trial(tmp_path, weights["teacher"])
    if change == "other weights":
        model = build_model("teacher", 9, width=0.25, norm="batch", seed=8)
        write_weights(
            tmp_path / "other.safetensors", {n: v for n, v in model.state_dict().items() if "lstm" not in n}, {}
        )
        changed = _trial(tmp_path, tmp_path / "other.safetensors")
    else:
        corpus = {**change.get("corpus", {}), "cache": tmp_path}
        changed = _trial(tmp_path, weights["teacher"], **{**change, "corpus": corpus})
    stores = [_find(trial, small_corpus)[1] for trial in (first, changed, first)]
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
    def find(cache: Path, layer: str) -> PrefixStore | None:
        tuned, training = {"freeze_until": layer}, {"precision": precision}
        return _find(_trial(cache, weights["teacher"], tuned=tuned, training=training), small_corpus)[1]

    find(tmp_path, "mixed_4b")
    direct = find(tmp_path / "x", "mixed_5b")
    monkeypatch.setattr(cache_module, "collate", _forbidden)
    built = find(tmp_path, "mixed_5b")
    assert built is not None and direct is not None and built.folder != direct.folder
    assert part_file(built.folder, 0).read_bytes() == part_file(direct.folder, 0).read_bytes()


def _forbidden(*arguments: object, **named: object) -> None:
    raise AssertionError("features were read")


def test_builders_at_once_make_one_store(tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path]) -> None:
    trial = _trial(tmp_path, weights["teacher"])
    with ThreadPoolExecutor(3) as pool:  # threads, but the lock is on a file that each opens for itself
        found = list(pool.map(lambda _: _find(trial, small_corpus), range(3)))
    assert found[0][1] == found[1][1] == found[2][1] and not any(said for *_, said in found)
    assert len(_stores(tmp_path)) == 1


@pytest.mark.parametrize("name", [COMPLETE, "rows.npz", "0.f16", "flipped"])
def test_a_damaged_store_is_built_again(
    tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path], name: str
) -> None:
    trial = _trial(tmp_path, weights["teacher"])
    _, store, _ = _find(trial, small_corpus)
    assert store is not None
    damaged = store.folder / ("0.f16" if name == "flipped" else name)
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 255
    store_again = tmp_path / "again"
    shutil.move(store.folder, store_again)  # what this process has hashed it remembers by the folder's writing
    shutil.copytree(store_again, store.folder, copy_function=shutil.copy)
    damaged.write_bytes(content if name == "flipped" else content[: len(content) // 2])
    _, healed, said = _find(trial, small_corpus)
    assert len(said) == 1 and "built again" in said[0] and str(store.folder) in said[0]
    assert healed is not None
    assert part_file(healed.folder, 0).read_bytes() == (store_again / "0.f16").read_bytes()


def test_of_many_who_find_damage_one_builds_again(
    tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path]
) -> None:
    trial = _trial(tmp_path, weights["teacher"])
    _, store, _ = _find(trial, small_corpus)
    assert store is not None
    (store.folder / "rows.npz").unlink()
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: _find(trial, small_corpus), range(3)))
    assert found[0][1] == found[1][1] == found[2][1] == store
    assert sum("built again" in line for *_, said in found for line in said) == 1


def test_what_cannot_be_read_now_is_not_damaged(
    tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = _trial(tmp_path, weights["teacher"])
    assert _find(trial, small_corpus)[1] is not None
    with monkeypatch.context() as patch:
        patch.setattr(np, "memmap", _too_many_files)
        _, store, said = _find(trial, small_corpus)
    assert store is None and len(said) == 1 and "run at every step" in said[0] and "Too many open files" in said[0]
    _, store, said = _find(trial, small_corpus)
    assert store is not None and not said


def _too_many_files(*arguments: object, **named: object) -> None:
    raise OSError(errno.EMFILE, "Too many open files")


def test_a_store_stays_for_as_long_as_a_trial_reads_it(
    tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path]
) -> None:
    session, store, _ = _find(_trial(tmp_path, weights["teacher"]), small_corpus)
    assert store is not None
    size = sum(file.stat().st_size for file in store.folder.iterdir())
    assert not make_room(tmp_path / "prefixes", 1, size) and _stores(tmp_path)
    del session, store
    assert make_room(tmp_path / "prefixes", 1, size) and not _stores(tmp_path)


def test_a_deeper_layers_store_may_take_the_place_of_the_one_it_could_be_built_from(
    tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path]
) -> None:
    _, store, _ = _find(_trial(tmp_path, weights["teacher"], tuned={"freeze_until": "mixed_4b"}), small_corpus)
    assert store is not None
    limit = 1.5 * sum(file.stat().st_size for file in store.folder.iterdir()) / 2**30
    deeper = _trial(tmp_path, weights["teacher"], tuned={"freeze_until": "mixed_5b"}, prefix_cache_gb=limit)
    _, none, said = _find(deeper, small_corpus)
    assert none is None and "no room" in said[0]  # somebody reads the first one
    del store
    _, store, said = _find(deeper, small_corpus)
    assert store is not None and not said
    assert [path.name for path in _stores(tmp_path)] == [store.folder.name]


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "Permission denied"), CheckpointError("damaged")])
def test_an_earlier_layers_store_that_cannot_be_used_is_done_without(
    tmp_path: Path,
    small_corpus: PackedCorpus,
    weights: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    _, first, _ = _find(_trial(tmp_path, weights["teacher"], tuned={"freeze_until": "mixed_4b"}), small_corpus)
    assert first is not None
    opened = PrefixStore.open

    def other_users(folder: Path) -> PrefixStore | None:
        if folder == first.folder:
            raise error
        return opened(folder)

    monkeypatch.setattr(PrefixStore, "open", other_users)
    monkeypatch.setattr(cache_module, "remove", lambda folder: None)
    _, store, _ = _find(_trial(tmp_path, weights["teacher"], tuned={"freeze_until": "mixed_5b"}), small_corpus)
    assert store is not None


def test_a_file_system_without_locks_keeps_stores_too(
    tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # In the store alone: filelock warns where it has to do without.
    monkeypatch.setattr(store_module, "fcntl", SimpleNamespace(LOCK_SH=fcntl.LOCK_SH, flock=_no_locks))
    for _ in range(2):
        _, store, said = _find(_trial(tmp_path, weights["teacher"]), small_corpus)
        assert store is not None and not said
    assert make_room(tmp_path / "prefixes", 1, 1) and not _stores(tmp_path)


def _no_locks(*arguments: object) -> None:
    raise OSError(errno.ENOSYS, "Function not implemented")


@pytest.mark.usefixtures("on_cpu")
def test_each_stage_of_a_progressive_trial_makes_room_for_the_next(
    tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path]
) -> None:
    tuned = {"strategy": "progressive", "unfreeze_stages": 3}
    TrainingSession(_trial(tmp_path / "x", weights["teacher"], tuned=tuned), small_corpus).run_epoch()
    (largest,) = _stores(tmp_path / "x")
    limit = sum(file.stat().st_size for file in largest.iterdir()) / 2**30
    session = TrainingSession(_trial(tmp_path, weights["teacher"], tuned=tuned, prefix_cache_gb=limit), small_corpus)
    seen = set()
    for _ in range(3):
        session.run_epoch()
        (store,) = _stores(tmp_path)
        seen.add(store.name)
    assert len(seen) == 3


@pytest.mark.usefixtures("on_cpu")
def test_frozen_layers_take_smaller_batches_where_memory_was_short(
    tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path]
) -> None:
    session = TrainingSession(_trial(tmp_path, weights["teacher"]), small_corpus)
    session.micro_batches = 16
    sizes = list[int]()
    session.model.get_submodule("stem").register_forward_hook(lambda module, inputs, y: sizes.append(len(y)))
    session.run_epoch()
    assert max(sizes) == 2 and _stores(tmp_path)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"prefix_cache": False}, []),
        ({"tuned": {"strategy": "baseline", "freeze_until": "modality_fusion"}}, []),
        ({"training": {"augment": "speed"}}, ["training.augment"]),
        ({"prefix_cache_gb": 1e-6}, ["prefix_cache_gb"]),
    ],
)
def test_without_a_store_frozen_layers_run_and_the_log_says_why(
    tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path], changes: dict[str, Any], told: list[str]
) -> None:
    _, store, said = _find(_trial(tmp_path, weights["teacher"], **changes), small_corpus)
    assert store is None and len(said) == len(told)
    assert all(part in line for part, line in zip(told, said, strict=True))
    assert not _stores(tmp_path)


def test_values_beyond_half_precision_are_not_kept(
    tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path]
) -> None:
    trial, said = _trial(tmp_path, weights["teacher"]), list[str]()
    session = TrainingSession(trial, small_corpus, device=CPU)
    freeze_until(session.model, "mixed_4f")
    with torch.no_grad():
        session.model.get_submodule("mixed_4e").get_parameter("branch1.1.bias").fill_(1e5)
    cache = PrefixCache(trial, small_corpus, session.conditioning, CPU, said.append)
    assert cache.find(session.model) is None and cache.find(session.model) is None
    assert len(said) == 1 and "half precision" in said[0]
    assert not _stores(tmp_path)
    augmented = trial.training.model_copy(update={"augment_activations": "noise"})
    feed = Feed(small_corpus, session.conditioning, CPU, augmented)
    batch = feed.trained(small_corpus.rows("train")[:2], session.model, None, np.random.default_rng(0))
    assert all(bool(part.isfinite().all()) for part in batch.state)


def test_a_layer_with_a_fresh_parameter_is_not_frozen(
    tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path]
) -> None:
    trial = _trial(tmp_path, weights["teacher"])
    session = TrainingSession(trial, small_corpus, device=CPU)
    thaw(session.model, ["lstm", "classifier"], fresh=["mixed_4b.branch1.1.bias"])
    store = PrefixCache(trial, small_corpus, session.conditioning, CPU, print).find(session.model)
    assert store is not None and store.layer == "mixed_4b"


def test_what_enters_the_trained_layers_can_be_augmented_with_and_without_a_store(
    tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path]
) -> None:
    states = []
    for prefix_cache in (True, False):
        training = {"augment_activations": "speed+noise+time-masks"}
        trial = _trial(tmp_path, weights["teacher"], training=training, prefix_cache=prefix_cache)
        session, store, _ = _find(trial, small_corpus)
        feed = Feed(small_corpus, session.conditioning, CPU, trial.training)
        rows = small_corpus.rows("train")[:4]
        batch = feed.trained(rows, session.model, store, np.random.default_rng(3))
        assert batch.layer == "mixed_4f" and (store is None) != prefix_cache
        assert batch.lengths.tolist() != [small_corpus.length(row) for row in rows]
        states.append(batch)
    assert states[0].lengths.tolist() == states[1].lengths.tolist()
    torch.testing.assert_close(states[0].state, states[1].state, rtol=0.01, atol=0.01)


def test_the_meta_file_names_no_path(tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path]) -> None:
    _, store, _ = _find(_trial(tmp_path, weights["teacher"]), small_corpus)
    assert store is not None
    assert str(tmp_path) not in json.dumps(json.loads((store.folder / COMPLETE).read_text()))
