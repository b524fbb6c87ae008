"""The cache of frozen layers stays within its limit, and the store that has not been used for longest goes first."""

import os
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from glosstune.trainables.activations.eviction import make_room, mark_used, remove
from glosstune.trainables.activations.store import COMPLETE, hold


def _store(home: Path, name: str, size: int, used: int) -> Path:
    folder = home / f"store-{name}"
    folder.mkdir(parents=True)
    (folder / "0.f16").write_bytes(bytes(size))
    (folder / COMPLETE).write_bytes(b"")
    os.utime(folder / COMPLETE, (used, used))
    return folder


@given(sizes=st.lists(st.integers(1, 100), max_size=6), needed=st.integers(1, 150), limit=st.integers(1, 300))
def test_as_few_of_the_longest_unused_go_as_make_room(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], needed: int, limit: int
) -> None:
    home = tmp_path_factory.mktemp("room")
    stores = [_store(home, str(number), size, 1000 + number) for number, size in enumerate(sizes)]
    made = make_room(home, needed, limit)
    left = [number for number, store in enumerate(stores) if store.exists()]
    assert made == (needed <= limit)
    if not made:
        assert len(left) == len(stores)
        return
    assert left == list(range(len(stores) - len(left), len(stores)))
    assert sum(sizes[number] for number in left) + needed <= limit
    if len(left) < len(stores):
        spared = [len(stores) - len(left) - 1, *left]
        assert sum(sizes[number] for number in spared) + needed > limit


def test_what_is_read_stays_and_the_next_goes(tmp_path: Path) -> None:
    stores = [_store(tmp_path, str(number), 10, 1000 + number) for number in range(3)]
    held = hold(stores[0])
    assert held is not None
    with held:
        assert make_room(tmp_path, 10, 30)
        assert [store.exists() for store in stores] == [True, False, True]
        assert not make_room(tmp_path, 30, 30)
        assert stores[2].exists()
    assert make_room(tmp_path, 30, 30)
    assert not stores[0].exists()


def test_a_store_that_was_opened_stays_longer(tmp_path: Path) -> None:
    first, second = (_store(tmp_path, name, 10, used) for name, used in (("a", 1000), ("b", 2000)))
    mark_used(first)
    assert make_room(tmp_path, 10, 20)
    assert first.exists() and not second.exists()


def test_what_a_killed_builder_left_goes_and_what_is_being_built_stays(tmp_path: Path) -> None:
    for name in ("dead", "alive"):
        (tmp_path / f"store-{name}.partial").mkdir()
        (tmp_path / f"store-{name}.partial" / "0.f16").write_bytes(bytes(60))
    with FileLock(tmp_path / "store-alive.lock"):
        assert not make_room(tmp_path, 50, 100)
    assert [path.name for path in tmp_path.glob("*.partial")] == ["store-alive.partial"]


def test_a_full_disk_makes_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = _store(tmp_path, "a", 10, 1000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1 << 20})())
    assert not make_room(tmp_path, 1000, 1 << 40)
    assert kept.exists()


def test_removing_what_another_process_has_removed_is_no_error(tmp_path: Path) -> None:
    remove(tmp_path / "store-gone")
    assert not list(tmp_path.iterdir())
