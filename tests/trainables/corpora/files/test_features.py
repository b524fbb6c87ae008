"""Every common format is read alike, and whatever is wrong with a file is one error that names it."""

import importlib.util
import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glosstune.spaces import CorpusError, SettingError
from glosstune.trainables.corpora.files import features
from glosstune.trainables.corpora.files.features import load_values

VALUES = np.random.default_rng(0).uniform(0.1, 0.9, size=(5, 6)).astype(np.float32)


def _hdf5(path: Path, **arrays: object) -> None:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


WRITERS: dict[str, tuple[str, Callable[[Path, np.ndarray], object]]] = {
    "npy": ("a.npy", lambda path, values: np.save(path, values)),
    "npz": ("a.npz", lambda path, values: np.savez(path, features=values, masks=np.ones(3))),
    "tensor": ("a.pt", lambda path, values: torch.save(torch.from_numpy(values), path)),
    "dict of tensors": ("a.PTH", lambda path, values: torch.save({"feature": torch.from_numpy(values), "n": 1}, path)),
    "HDF5 with one dataset": ("a.h5", lambda path, values: _hdf5(path, **{"clips/first": values})),
    "HDF5 with several": ("a.hdf5", lambda path, values: _hdf5(path, features=values, masks=np.ones(3))),
}
formats = pytest.mark.parametrize(("name", "write"), WRITERS.values(), ids=WRITERS)


@formats
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_floats_come_as_they_are(tmp_path: Path, name: str, write: Callable[..., object], kind: type) -> None:
    write(tmp_path / name, VALUES.astype(kind))
    read = load_values(tmp_path / name)
    assert read.dtype == kind
    assert np.array_equal(read, VALUES.astype(kind))


@formats
def test_integers_become_floats_and_points_stand_side_by_side(
    tmp_path: Path, name: str, write: Callable[..., object]
) -> None:
    points = np.arange(30, dtype=np.int16).reshape(5, 3, 2) - 7
    write(tmp_path / name, points)
    read = load_values(tmp_path / name)
    assert (read.dtype, read.shape) == (np.float32, (5, 6))
    assert np.array_equal(read, points.reshape(5, 6))


def test_a_tensor_may_be_brain_floats_and_want_gradients(tmp_path: Path) -> None:
    torch.save(torch.from_numpy(VALUES).to(torch.bfloat16).requires_grad_(), tmp_path / "a.pt")
    assert np.allclose(load_values(tmp_path / "a.pt"), VALUES, atol=0.01)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.npz", lambda path: np.savez(path, one=VALUES, two=VALUES + 1)),
        ("a.pt", lambda path: torch.save({"one": torch.from_numpy(VALUES), "two": torch.from_numpy(VALUES + 1)}, path)),
        ("a.h5", lambda path: _hdf5(path, one=VALUES, two=VALUES + 1)),
    ],
)
def test_one_of_several_arrays_is_named(tmp_path: Path, name: str, write: Callable[[Path], object]) -> None:
    write(tmp_path / name)
    assert np.array_equal(load_values(tmp_path / name, "two"), VALUES + 1)
    with pytest.raises(CorpusError, match=rf"{name}: no array three; it holds one, two$"):
        load_values(tmp_path / name, "three")
    with pytest.raises(CorpusError, match=rf"{name}: no array features, feature, arr_0; it holds one, two$"):
        load_values(tmp_path / name)


def test_a_dataset_may_lie_deep_in_its_file(tmp_path: Path) -> None:
    _hdf5(tmp_path / "a.h5", **{"day/first": VALUES, "day/second": VALUES + 1})
    assert np.array_equal(load_values(tmp_path / "a.h5", "day/second"), VALUES + 1)
    assert np.array_equal(load_values(tmp_path / "a.h5", "/day/first"), VALUES)
    with pytest.raises(CorpusError, match=r"a\.h5: no array day; it holds day/first, day/second"):
        load_values(tmp_path / "a.h5", "day")


def test_a_name_is_no_use_where_there_is_one_array(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", VALUES)
    with pytest.raises(CorpusError, match=r"a\.npy: holds one array, which has no name; leave out '#features'"):
        load_values(tmp_path / "a.npy", "features")


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("executed"),)


BAD: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "a video": (
        "a.mp4",
        lambda path: path.write_bytes(b"ftypisom"),
        "; what is read ends in .npy, .npz, .pt, .pth, .h5, .hdf5, .pose",
    ),
    "empty npy": ("a.npy", lambda path: path.touch(), "empty, truncated or no NumPy file of numbers"),
    "empty pt": ("a.pt", lambda path: path.touch(), "empty, truncated or no PyTorch file of numbers"),
    "empty h5": ("a.h5", lambda path: path.touch(), "empty, truncated or no HDF5 file of numbers"),
    "no file": ("a.pt", lambda path: None, "cannot be read: No such file"),
    "folder": ("a.h5", lambda path: path.mkdir(), "cannot be read: is no regular file"),
    "one axis": ("a.npy", lambda path: np.save(path, VALUES[0]), r"expected floats .* got float32 \(6,\)"),
    "four axes": ("a.npy", lambda path: np.save(path, np.ones((2, 1, 3, 2))), "expected floats"),
    "no frame": ("a.npy", lambda path: np.save(path, VALUES[:0]), "at least one frame"),
    "no value": ("a.npy", lambda path: np.save(path, VALUES[:, :0]), "expected floats"),
    "text": ("a.npy", lambda path: np.save(path, np.array([["a"]])), "expected floats .* got <U1"),
    "complex": ("a.pt", lambda path: torch.save(torch.ones(2, 2, dtype=torch.complex64), path), "got complex64"),
    "a number": ("a.pt", lambda path: torch.save(3, path), "got int"),
    "a list": ("a.pt", lambda path: torch.save({"features": [1.0]}, path), "got list"),
    "numpy in torch": ("a.pt", lambda path: torch.save(VALUES, path), "a tensor is read that torch.save has written"),
    "a pickle": ("a.pt", lambda path: path.write_bytes(pickle.dumps(_Bomb())), "no PyTorch file of numbers"),
    "a pickled object": ("a.pt", lambda path: torch.save({"features": _Bomb()}, path), "no PyTorch file of numbers"),
    "text in HDF5": ("a.h5", lambda path: _hdf5(path, features="text"), "expected floats"),
    "no dataset": ("a.h5", lambda path: _hdf5(path), "it holds none"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_file_is_one_error_that_names_it(tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name, write, rule = BAD[fault]
    write(tmp_path / name)
    with pytest.raises(CorpusError, match=rule) as caught:
        load_values(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(caught.value)
    assert not Path("executed").exists()


@formats
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(
    tmp_path: Path, name: str, write: Callable[..., object], data: st.DataObject
) -> None:
    write(tmp_path / name, VALUES)
    content = bytearray((tmp_path / name).read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    (tmp_path / name).write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        assert load_values(tmp_path / name).ndim == 2
    except CorpusError as error:
        assert str(error).startswith(str(tmp_path / name))


def test_what_reads_hdf5_is_asked_for_where_it_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _hdf5(tmp_path / "a.h5", features=VALUES)
    monkeypatch.setattr(features, "find_spec", lambda name: None if name == "h5py" else importlib.util.find_spec(name))
    with pytest.raises(SettingError, match=r"a\.h5: HDF5 files need h5py, .* pip install .*\[hdf5\]"):
        load_values(tmp_path / "a.h5")
