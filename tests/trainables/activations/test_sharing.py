"""Trials share what frozen layers gave, whatever becomes of it: builders at once, damage, faults, no room."""

import errno
import fcntl
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from frozen_trials import find_store, stores_in, trial_of

from glosstune.spaces import CheckpointError
from glosstune.trainables import TrainingSession
from glosstune.trainables.activations import ActivationStore
from glosstune.trainables.activations import cache as cache_module
from glosstune.trainables.activations import store as store_module
from glosstune.trainables.activations.eviction import make_room
from glosstune.trainables.activations.store import COMPLETE, part_file
from glosstune.trainables.corpora import PackedCorpus


def test_builders_at_once_make_one_store(tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path]) -> None:
    trial = trial_of(tmp_path, weights["teacher"])
    with ThreadPoolExecutor(3) as pool:  # threads, but the lock is on a file that each opens for itself
        found = list(pool.map(lambda _: find_store(trial, small_corpus), range(3)))
    assert found[0][1] == found[1][1] == found[2][1] and not any(said for *_, said in found)
    assert len(stores_in(tmp_path)) == 1


@pytest.mark.parametrize("name", [COMPLETE, "rows.npz", "0.f16", "flipped"])
def test_a_damaged_store_is_built_again(
    tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path], name: str
) -> None:
    trial = trial_of(tmp_path, weights["teacher"])
    _, store, _ = find_store(trial, small_corpus)
    assert store is not None
    damaged = store.folder / ("0.f16" if name == "flipped" else name)
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 255
    store_again = tmp_path / "again"
    shutil.move(store.folder, store_again)  # what this process has hashed it remembers by the folder's writing
    shutil.copytree(store_again, store.folder, copy_function=shutil.copy)
    damaged.write_bytes(content if name == "flipped" else content[: len(content) // 2])
    _, healed, said = find_store(trial, small_corpus)
    assert len(said) == 1 and "built again" in said[0] and str(store.folder) in said[0]
    assert healed is not None
    assert part_file(healed.folder, 0).read_bytes() == (store_again / "0.f16").read_bytes()


def test_of_many_who_find_damage_one_builds_again(
    tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path]
) -> None:
    trial = trial_of(tmp_path, weights["teacher"])
    _, store, _ = find_store(trial, small_corpus)
    assert store is not None
    (store.folder / "rows.npz").unlink()
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: find_store(trial, small_corpus), range(3)))
    assert found[0][1] == found[1][1] == found[2][1] == store
    assert sum("built again" in line for *_, said in found for line in said) == 1


def test_what_cannot_be_read_now_is_not_damaged(
    tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = trial_of(tmp_path, weights["teacher"])
    assert find_store(trial, small_corpus)[1] is not None
    with monkeypatch.context() as patch:
        patch.setattr(np, "memmap", _too_many_files)
        _, store, said = find_store(trial, small_corpus)
    assert store is None and len(said) == 1 and "run at every step" in said[0] and "Too many open files" in said[0]
    _, store, said = find_store(trial, small_corpus)
    assert store is not None and not said


def _too_many_files(*arguments: object, **named: object) -> None:
    raise OSError(errno.EMFILE, "Too many open files")


def test_a_store_stays_for_as_long_as_a_trial_reads_it(
    tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path]
) -> None:
    session, store, _ = find_store(trial_of(tmp_path, weights["teacher"]), small_corpus)
    assert store is not None
    size = sum(file.stat().st_size for file in store.folder.iterdir())
    assert not make_room(tmp_path / "activations", 1, size) and stores_in(tmp_path)
    del session, store
    assert make_room(tmp_path / "activations", 1, size) and not stores_in(tmp_path)


def test_a_deeper_layers_store_may_take_the_place_of_the_one_it_could_be_built_from(
    tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path]
) -> None:
    _, store, _ = find_store(trial_of(tmp_path, weights["teacher"], tuned={"freeze_until": "mixed_4b"}), small_corpus)
    assert store is not None
    limit = 1.5 * sum(file.stat().st_size for file in store.folder.iterdir()) / 2**30
    deeper = trial_of(tmp_path, weights["teacher"], tuned={"freeze_until": "mixed_5b"}, activation_cache_gb=limit)
    _, none, said = find_store(deeper, small_corpus)
    assert none is None and "no room" in said[0]  # somebody reads the first one
    del store
    _, store, said = find_store(deeper, small_corpus)
    assert store is not None and not said
    assert [path.name for path in stores_in(tmp_path)] == [store.folder.name]


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "Permission denied"), CheckpointError("damaged")])
def test_an_earlier_layers_store_that_cannot_be_used_is_done_without(
    tmp_path: Path,
    small_corpus: PackedCorpus,
    weights: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    _, first, _ = find_store(trial_of(tmp_path, weights["teacher"], tuned={"freeze_until": "mixed_4b"}), small_corpus)
    assert first is not None
    opened = ActivationStore.open

    def other_users(folder: Path) -> ActivationStore | None:
        if folder == first.folder:
            raise error
        return opened(folder)

    monkeypatch.setattr(ActivationStore, "open", other_users)
    monkeypatch.setattr(cache_module, "remove", lambda folder: None)
    _, store, _ = find_store(trial_of(tmp_path, weights["teacher"], tuned={"freeze_until": "mixed_5b"}), small_corpus)
    assert store is not None


def test_a_file_system_without_locks_keeps_stores_too(
    tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = {name: getattr(fcntl, name) for name in ("LOCK_SH", "LOCK_EX", "LOCK_NB")}
    monkeypatch.setattr(store_module, "fcntl", SimpleNamespace(flock=_no_locks, **kinds))
    for _ in range(2):
        _, store, said = find_store(trial_of(tmp_path, weights["teacher"]), small_corpus)
        assert store is not None and not said
    assert make_room(tmp_path / "activations", 1, 1) and not stores_in(tmp_path)


def _no_locks(*arguments: object) -> None:
    raise OSError(errno.ENOSYS, "Function not implemented")


@pytest.mark.usefixtures("on_cpu")
def test_each_stage_of_a_progressive_trial_makes_room_for_the_next(
    tmp_path: Path, small_corpus: PackedCorpus, weights: dict[str, Path]
) -> None:
    tuned = {"strategy": "progressive", "unfreeze_stages": 3}
    TrainingSession(trial_of(tmp_path / "x", weights["teacher"], tuned=tuned), small_corpus).run_epoch()
    (largest,) = stores_in(tmp_path / "x")
    limit = sum(file.stat().st_size for file in largest.iterdir()) / 2**30
    session = TrainingSession(
        trial_of(tmp_path, weights["teacher"], tuned=tuned, activation_cache_gb=limit), small_corpus
    )
    seen = set()
    for _ in range(3):
        session.run_epoch()
        (store,) = stores_in(tmp_path)
        seen.add(store.name)
    assert len(seen) == 3
