"""No file of features, weights or rows takes more memory than there is because it says so."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from hostile import deep_safetensors, npy, sparse, torch_bomb, zip_bomb

from glosstune.models import read_weights
from glosstune.spaces.errors import CheckpointError, CorpusError
from glosstune.spaces.files import bounded, parquet
from glosstune.trainables.corpora.files.features import load_values
from glosstune.trainables.corpora.files.rows import read_rows
from glosstune.trainables.export.checkpoints import read_checkpoint

MEMORY = 2_000_000
LARGE = 8_000_000
TOO_LARGE = "more than half of the memory here"


def _declared_h5(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file.create_dataset("features", shape=(LARGE, 4), chunks=(1000, 4), dtype="f4")
    return path


def _expanded(path: Path) -> Path:
    torch.save({"features": torch.zeros(1, 1).expand(10**8, 10**4)}, path)
    return path


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "largest_array", lambda: MEMORY)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.npy", lambda path: sparse(path, npy((LARGE, 4)), 16 * LARGE)),
        ("a.npz", lambda path: zip_bomb(path, LARGE)),
        ("a.pt", lambda path: torch_bomb(path, LARGE)),
        ("b.pt", _expanded),
        ("a.h5", _declared_h5),
        ("a.pose", lambda path: sparse(path, b"", 2**40)),
    ],
    ids=["sparse", "zip bomb", "compressed tensor", "expanded tensor", "chunks never written", "sparse pose"],
)
def test_features_that_unfold_beyond_memory_are_refused(name: str, make: Callable[[Path], Path], tmp_path: Path):
    path = make(tmp_path / name)
    if name.endswith(".pose"):
        from glosstune.trainables.corpora.files.pose import open_pose

        with pytest.raises(CorpusError, match="is larger than"):
            open_pose(path)
        return
    with pytest.raises(CorpusError, match=TOO_LARGE):
        load_values(path)


def test_an_array_that_says_a_trillion_rows_is_truncated(tmp_path: Path):
    (tmp_path / "a.npy").write_bytes(npy((10**12, 100)) + bytes(64))
    with pytest.raises(CorpusError, match="empty, truncated or no NumPy file of numbers"):
        load_values(tmp_path / "a.npy")


@pytest.mark.parametrize(
    ("name", "make", "rule"),
    [
        ("a.npz", lambda path: zip_bomb(path, LARGE), TOO_LARGE),
        ("a.pth", lambda path: torch_bomb(path, LARGE), TOO_LARGE),
        ("b.pth", _expanded, "stands for more values than it holds"),
        ("a.safetensors", lambda path: sparse(path, (100 << 30).to_bytes(8, "little"), 1000), "no safetensors file"),
        ("b.safetensors", deep_safetensors, "is nested in more than 100 levels"),
    ],
    ids=["zip bomb", "compressed tensor", "expanded tensor", "header of 100 GB", "deep metadata"],
)
def test_weights_that_unfold_beyond_memory_are_refused(
    name: str, make: Callable[[Path], Path], rule: str, tmp_path: Path
):
    with pytest.raises(CheckpointError, match=rule):
        read_weights(make(tmp_path / name))


@pytest.mark.parametrize("make", [lambda path: torch_bomb(path, LARGE), _expanded], ids=["compressed", "expanded"])
def test_checkpoints_that_unfold_beyond_memory_are_refused(make: Callable[[Path], Path], tmp_path: Path):
    with pytest.raises(CheckpointError, match="cannot be read as a checkpoint"):
        read_checkpoint(make(tmp_path / "a.pt"), torch.device("cpu"))


def _repeated(path: Path, text: str, times: int) -> Path:
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(times, np.int32)), pa.array([text]))
    pa.parquet.write_table(pa.table({"path": column, "glosses": column}), path)
    return path


def test_a_table_of_kilobytes_that_stands_for_more_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parquet, "MOST_ROWS", 5000)
    monkeypatch.setattr(parquet, "MOST_TEXT", 1_000_000)
    for text, times, rule in (
        ("x", 5001, "must have at most 5,000 rows; got 5,001"),
        ("x" * 1000, 5000, "must unfold to at most 1 MB of text"),
        ("x" * 200_000, 1, "must have no cell longer than 131,072 bytes; got 200,000"),
    ):
        path = _repeated(tmp_path / "a.parquet", text, times)
        assert path.stat().st_size < 300_000
        with pytest.raises(CorpusError, match=rule):
            read_rows(path)


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_a_table_of_a_terabyte_of_nothing_is_refused(ending: str, tmp_path: Path):
    with pytest.raises(CorpusError, match="cannot be read: is larger than 512 MB"):
        read_rows(sparse(tmp_path / f"a.{ending}", b"path,glosses\n", 2**40))


def test_a_field_of_a_gigabyte_is_refused_where_it_grows_too_long(tmp_path: Path):
    (tmp_path / "a.csv").write_text(f'path,glosses\na,"{"x" * 200_000}')
    with pytest.raises(CorpusError, match=r"line 2: is no sound row \(field larger than field limit"):
        read_rows(tmp_path / "a.csv")
