"""Read one file of features, frame by frame: NumPy, PyTorch or HDF5."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from glosstune.spaces.errors import CorpusError, SettingError
from glosstune.spaces.files.bounded import check_fits, check_size, check_zip

FEATURE_KEYS = ("features", "feature", "arr_0")


def load_values(path: Path, inner: str = "") -> npt.NDArray[np.floating]:
    """Floats (time, width) of one feature file, whatever they are; CorpusError if it holds none.

    Integers become single precision, and points (time, points, dims) stand side by side. Nothing in a file is
    executed.

    Args:
        inner: which array, where the file holds several; default one of FEATURE_KEYS.

    Raises:
        CorpusError: empty, damaged, of another kind, or without such an array.
        SettingError: what reads this format is not installed.
    """
    kind, load = _FORMATS.get(path.suffix.lower(), ("NumPy", _load_numpy))
    try:
        check_size(path)
        values = load(path, inner)
        if isinstance(values, np.ndarray):  # a tensor may stand for more values than it holds
            check_fits(values.size * 4)
    except (CorpusError, SettingError):
        raise
    except Exception as error:  # every library raises a different type for each kind of damage
        if isinstance(error, OSError) and error.strerror:
            raise CorpusError(f"{path}: cannot be read: {error.strerror}") from error
        rule = f"empty, truncated or no {kind} file of numbers ({type(error).__name__})"
        way_out = _WAYS_OUT.get(kind, "") if path.suffix.lower() in _ENDINGS else f"; what is read ends in {_READ}"
        raise CorpusError(f"{path}: {rule}{way_out}") from error
    if not isinstance(values, np.ndarray):
        raise CorpusError(f"{path}: {_EXPECTED}, got {type(values).__name__}; convert it")
    _check(path, values)
    floats = values if values.dtype.kind == "f" else values.astype(np.float32)
    return floats.reshape(len(floats), -1)


_EXPECTED = "expected floats (time, width) and at least one frame"
_WAYS_OUT = {"PyTorch": "; a tensor is read that torch.save has written, alone or in a dict"}


def _check(path: Path, values: Any) -> None:
    """Require an array, or a dataset that is not read yet, of numbers a frame."""
    if len(values.shape) not in (2, 3) or 0 in values.shape or values.dtype.kind not in "fiu":
        raise CorpusError(f"{path}: {_EXPECTED}, got {values.dtype} {tuple(values.shape)}; convert it")


def _load_numpy(path: Path, inner: str) -> object:
    # Opened here, since NumPy leaves a file open when its content is broken.
    with path.open("rb") as file:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return _only(path, loaded, inner)
        key = _array_key(path, loaded.files, inner)
        check_fits(sum(each.file_size for each in loaded.zip.infolist() if each.filename.removesuffix(".npy") == key))
        return loaded[key]


def _load_torch(path: Path, inner: str) -> object:
    import torch  # not needed to check a sweep file, which imports every kind of corpus

    check_zip(path)
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(loaded, Mapping):
        tensor = loaded[_array_key(path, [name for name in loaded if isinstance(name, str)], inner)]
    else:
        tensor = _only(path, loaded, inner)
    if not isinstance(tensor, torch.Tensor):
        return tensor
    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()  # NumPy has no bfloat16


def _load_hdf5(path: Path, inner: str) -> object:
    if find_spec("h5py") is None:
        raise SettingError(
            f'{path}: HDF5 files need h5py, which the hdf5 extra installs: pip install "glosstune[hdf5]"'
        )
    import h5py

    with h5py.File(path, "r", locking="best-effort") as file:  # some network drives know no locks
        found = file.get(inner) if inner else None
        if not isinstance(found, h5py.Dataset):
            names: list[str] = []
            file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
            alone = not inner and len(names) == 1
            found = file[names[0] if alone else _array_key(path, names, inner.strip("/"))]
        _check(path, found)  # before it is read
        check_fits(found.nbytes)
        return found[()]


_FORMATS = {
    ".pt": ("PyTorch", _load_torch),
    ".pth": ("PyTorch", _load_torch),
    ".h5": ("HDF5", _load_hdf5),
    ".hdf5": ("HDF5", _load_hdf5),
}
_ENDINGS = (".npy", ".npz", *_FORMATS)
_READ = ", ".join((*_ENDINGS, ".pose"))


def _only(path: Path, loaded: Any, inner: str) -> Any:
    if inner:
        raise CorpusError(f"{path}: holds one array, which has no name; leave out '#{inner}'")
    return loaded


def _array_key(path: Path, names: Sequence[str], inner: str) -> str:
    for key in (inner,) if inner else FEATURE_KEYS:
        if key in names:
            return key
    wanted = inner or ", ".join(FEATURE_KEYS)
    raise CorpusError(f"{path}: no array {wanted}; it holds {', '.join(names) or 'none'}")
