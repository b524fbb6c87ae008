"""Nothing that is open or mapped is renamed, replaced or removed, which Windows would refuse."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from frozen_trials import find_store, stores_in, trial_of
from windows_files import windows_files

from glosstune.models import build_model, write_weights
from glosstune.models.weights.weights_file import read_weights
from glosstune.spaces import FolderError
from glosstune.spaces.files import atomic
from glosstune.spaces.files.atomic import put_new, write_text
from glosstune.spaces.files.folder import LocalFolder
from glosstune.trainables.activations.eviction import make_room
from glosstune.trainables.corpora import PackedCorpus, pack_corpus
from glosstune.trainables.distillation.posteriors import open_teacher, teacher_posteriors
from glosstune.trainables.settings import CorpusSettings, TrialSettings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is open, /proc says")


@pytest.fixture(autouse=True)
def files_of_windows(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with windows_files():
        yield


def test_these_tests_notice_what_windows_refuses(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    file = tmp_path / "folder" / "a"
    file.write_bytes(bytes(4096))
    with file.open("rb"), pytest.raises(PermissionError):
        file.unlink()
    mapped = np.memmap(file, mode="r")
    with pytest.raises(PermissionError):
        file.parent.rename(tmp_path / "other")
    (tmp_path / "b").write_bytes(b"")
    with pytest.raises(PermissionError):
        (tmp_path / "b").replace(file)
    del mapped
    file.unlink()


@pytest.fixture
def frozen(tmp_path: Path) -> TrialSettings:
    model = build_model("teacher", 9, width=0.25, norm="batch", seed=7)
    kept = {name: value for name, value in model.state_dict().items() if not name.startswith(("lstm", "class"))}
    write_weights(tmp_path / "teacher.safetensors", kept, {})
    return trial_of(tmp_path, tmp_path / "teacher.safetensors")


def test_a_cache_of_frozen_layers_is_built_healed_and_evicted(
    tmp_path: Path, small_corpus: PackedCorpus, frozen: TrialSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")  # elsewhere whoever removes a store holds a file of it
    session, store, said = find_store(frozen, small_corpus)
    assert store is not None and not said
    size = sum(file.stat().st_size for file in store.folder.iterdir())
    del session, store
    (folder,) = stores_in(tmp_path)
    values = (folder / "0.f16").read_bytes()
    (folder / "0.f16").write_bytes(bytes(len(values)))
    os.utime(folder / "rows.npz", ns=(0, 0))  # so that this process does not go by the hash that it remembers
    session, store, said = find_store(frozen, small_corpus)
    assert store is not None and len(said) == 1 and "built again" in said[0]
    del session, store
    assert make_room(folder.parent, 1, size) and not stores_in(tmp_path)


def test_on_windows_a_store_that_is_read_stays_though_nothing_locks_it(
    tmp_path: Path, small_corpus: PackedCorpus, frozen: TrialSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    session, store, _ = find_store(frozen, small_corpus)
    assert store is not None
    size = sum(file.stat().st_size for file in store.folder.iterdir())
    assert not make_room(store.folder.parent, 1, size)
    assert (store.folder / "store.json").is_file()
    del session, store
    assert make_room(stores_in(tmp_path)[0].parent, 1, size) and not stores_in(tmp_path)


def test_a_corpus_is_packed(tmp_path: Path, small_settings: CorpusSettings) -> None:
    corpus = pack_corpus(small_settings.model_copy(update={"cache": tmp_path}))
    assert len(corpus.frames(0)) == corpus.length(0)


def test_posteriors_of_a_teacher_are_kept(
    tmp_path: Path, small_corpus: PackedCorpus, small_settings: CorpusSettings, exported_teacher: Path
) -> None:
    corpus = small_settings.model_copy(update={"cache": tmp_path})
    sections = {"model": {"kind": "student"}, "training": {"epochs": 1}, "tuned": {"learning_rate": 1e-3}}
    settings = TrialSettings.model_validate({"corpus": corpus, "teacher": exported_teacher, **sections})
    kept = teacher_posteriors(settings, small_corpus, open_teacher(settings, small_corpus), "0" * 64)
    assert torch.from_numpy(np.array(kept.log_probs(small_corpus.rows("train")[0]))).isfinite().all()


def test_weights_that_were_read_may_be_written_anew(tmp_path: Path) -> None:
    write_weights(tmp_path / "a.safetensors", {"a": torch.zeros(100, 100)}, {})
    read = read_weights(tmp_path / "a.safetensors")
    write_weights(tmp_path / "a.safetensors", read.tensors, {})


def test_a_file_that_somebody_reads_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(tmp_path / "a", "before\n")
    reader = (tmp_path / "a").open("rb")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(atomic.time, "sleep", lambda seconds: reader.close())
    write_text(tmp_path / "a", "after\n")
    assert (tmp_path / "a").read_bytes() == b"after\n"


def test_a_file_that_stays_open_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(tmp_path / "a", "before")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(atomic, "_READERS_S", 0.0)
    with (tmp_path / "a").open("rb"), pytest.raises(FolderError, match=r"a: cannot be written: .*used"):
        write_text(tmp_path / "a", "after")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("platform", ["linux", "win32"])
def test_a_new_file_takes_nobodys_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    def rename(source: Path, target: Path) -> None:
        if os.path.exists(target):  # as Windows has it
            raise FileExistsError(target)
        os.replace(source, target)

    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(os, "rename", rename)
    (tmp_path / "new").write_bytes(b"first")
    put_new(tmp_path / "new", tmp_path / "a")
    with pytest.raises(FileExistsError):
        LocalFolder(tmp_path).write("a", b"second", new=True)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"first")]
