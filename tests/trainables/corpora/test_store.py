import errno
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_corpus import DrawnCorpus

from glosstune.spaces import CorpusError, FolderError
from glosstune.trainables.corpora import FingerspellingCorpus, PackedCorpus, Recording, pack_corpus
from glosstune.trainables.corpora.store import pack
from glosstune.trainables.layouts.derivation import expand
from glosstune.trainables.layouts.layout import DEFAULT, FileLayout
from glosstune.trainables.settings import CorpusSettings


def test_a_store_holds_the_corpus_in_half_precision(small_corpus: PackedCorpus) -> None:
    source = FingerspellingCorpus(signers=("ase", "gsg", "psr"), sentences=24)
    for row, (utterance, frames) in enumerate(zip(source.utterances(), source.read(), strict=True)):
        assert small_corpus.glosses(row) == utterance.glosses
        assert np.array_equal(small_corpus.frames(row), frames.astype(np.float16))
    assert len(small_corpus.rows("train")) == 24
    assert len(small_corpus.rows("dev")) == len(small_corpus.rows("test")) == 4


def test_frames_are_mapped_not_loaded(small_corpus: PackedCorpus) -> None:
    view: object = small_corpus.frames(0)
    while isinstance(view, np.ndarray) and not isinstance(view, np.memmap):
        view = view.base
    assert isinstance(view, np.memmap)


def test_statistics_are_those_of_the_training_split_alone(small_corpus: PackedCorpus) -> None:
    rows = small_corpus.rows("train")
    base = [torch.from_numpy(small_corpus.frames(row).astype(np.float32)) for row in rows]
    features = torch.cat([expand(each, DEFAULT) for each in base])
    assert np.allclose(small_corpus.statistics["mean"], features.mean(0), atol=1e-3)
    assert np.allclose(small_corpus.statistics["deviation"], features.std(0, correction=0), atol=1e-3)


def test_values_alone_are_packed_and_opened_as_what_they_are(tmp_path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    DrawnCorpus.recordings = [
        Recording(features, ["A"], "s", "train", key="a"),
        Recording(features, ["A"], "s", "dev", key="b"),
    ]
    layout = ({"block": "video", "values": 4, "velocity": True},)
    settings = CorpusSettings(kind="drawn_corpus:DrawnCorpus", layout=layout, cache=tmp_path)
    packed = pack_corpus(settings)
    assert packed.layout == FileLayout.of(layout).layout and packed.width == 4
    assert np.array_equal(packed.frames(0), features.astype(np.float16))
    assert len(packed.statistics["mean"]) == 8 and not len(packed.statistics["mirror_order"])


def _truncate(store: Path, name: str) -> None:
    (store / name).write_bytes((store / name).read_bytes()[:50])


@pytest.mark.parametrize(
    "damage",
    [
        lambda store: _truncate(store, "features.f16"),
        lambda store: _truncate(store, "utterances.parquet"),
        lambda store: _truncate(store, "statistics.npz"),
        lambda store: _truncate(store, "store.json"),
        lambda store: (store / "features.f16").unlink(),
        lambda store: (store / "store.json").write_text("[]"),
        lambda store: (store / "store.json").write_text('{"format": 0, "key": "", "width": 1629}'),
    ],
)
def test_a_damaged_store_is_refused_with_the_way_out(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    corpus = FingerspellingCorpus(signers=("ase",), sentences=12)
    damage(pack(corpus, tmp_path).folder)
    with pytest.raises(CorpusError, match=r"remove .* to have it packed again"):
        pack(corpus, tmp_path)


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("numpy.savez", full)
    with pytest.raises(FolderError, match="No space left on device"):
        pack(FingerspellingCorpus(signers=("ase",), sentences=12), tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []
