"""Read files of weights without ever running what they hold, and write our own."""

import errno
import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from glosstune.models.weights.weights_record import plain, recorded_by
from glosstune.spaces.errors import CheckpointError, shown
from glosstune.spaces.files.atomic import write_whole
from glosstune.spaces.files.bounded import check_fits, check_size, check_zip, parse_json

TORCH_ENDINGS = (".pt", ".pth", ".pth.tar", ".ckpt")

# Where a checkpoint keeps its state dict when that is not all it is; averaged weights where there are no others.
STATE_DICTS = (
    *("state_dict", "model_state_dict", "model", "weights"),
    *("state_dict_ema", "ema_state_dict", "model_ema", "ema", "swa_state_dict"),
)

# What a scalar of numpy's, such as the WER beside a state dict, is made of: numbers, which run nothing.
_SCALAR = np.float64(0).__reduce__()[0]
_SCALARS: list[Any] = [np.dtype, *{type(np.dtype(kind)) for kind in "?bBhHiIlLqQefd"}]
_SCALARS += [(_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]  # of numpy 1 and 2

# The one key of our own metadata in a safetensors file.
METADATA = "glosstune"

AGAIN = "copy or download it again"


@dataclass(frozen=True)
class WeightsFile:
    """The tensors of a file by the names they have there, and what the file says of itself.

    Attributes:
        tensors: on the CPU, finite, in the file's order.
        recorded: plain data, nested: ``model`` (kind, width, time_stride, norm), ``corpus`` (layout, noise_floor,
            gains, split), ``layout`` (blocks of a frame, each with the modality that it is ``part`` of),
            ``vocabulary`` and ``recordings`` (hashes), whatever of them is known.
    """

    tensors: dict[str, Tensor]
    recorded: Mapping[str, object]


def read_weights(path: Path | str) -> WeightsFile:
    """Read ``.pt``, ``.pth``, ``.pth.tar``, ``.ckpt``, ``.safetensors`` or ``.npz``; nothing in the file is executed.

    A state dict is the whole torch file or stands under one of STATE_DICTS.

    Raises:
        CheckpointError: the file is missing, of another kind, damaged, needs code to be read, has no tensors, or
            a tensor with NaN or infinite values.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise CheckpointError(
                f"{path}: {'is a folder, not a file of weights' if path.is_dir() else 'no such file'}"
            )
        check_size(path)
        if path.name.endswith(TORCH_ENDINGS):
            tensors, recorded = _read_torch(path)
        elif path.suffix == ".safetensors":
            tensors, recorded = _read_safetensors(path)
        elif path.suffix == ".npz":
            tensors, recorded = _read_npz(path), {}
        else:
            endings = ", ".join(TORCH_ENDINGS)
            raise CheckpointError(
                f"{path}: unknown ending; weights are read from {endings}, .safetensors and .npz files"
            )
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not tensors:
        raise CheckpointError(f"{path}: holds no tensors; save a state dict: torch.save(model.state_dict(), path)")
    for name, tensor in tensors.items():
        _check(path, name, tensor)
    return WeightsFile(tensors, recorded)


def write_weights(path: Path | str, tensors: Mapping[str, Tensor], recorded: Mapping[str, object]) -> None:
    """Write a ``.safetensors`` file whole; ``recorded`` is plain data (see WeightsFile) and is read back as it is.

    Raises:
        FolderError: the disk is full or the folder cannot be written; the file is as it was.
    """
    metadata = {METADATA: json.dumps(plain(recorded), ensure_ascii=False, allow_nan=False)}
    # Safetensors refuses tensors that share memory, and strides.
    copies = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    data = safetensors.torch.save(copies, metadata)
    write_whole(path, lambda partial: partial.write_bytes(data))


def _read_torch(path: Path) -> tuple[dict[str, Tensor], dict[str, object]]:
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_SCALARS):
            warnings.simplefilter("ignore")  # about files that are refused below
            check_zip(path)
            checkpoint: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a different type for each kind of damage
        # A cut file makes it seek before the file's start, which is no fault of the disk.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise CheckpointError(f"{path}: {_torch_rule(path, error)}") from error
    if not isinstance(checkpoint, Mapping):
        raise CheckpointError(
            f"{path}: holds no state dict but {shown(type(checkpoint).__name__)}; save model.state_dict()"
        )
    nested = [checkpoint[name] for name in STATE_DICTS if isinstance(checkpoint.get(name), Mapping)]
    tensors = next((found for found in map(_tensors, (*nested, checkpoint)) if found), {})
    if not tensors and checkpoint:
        keys = ", ".join(map(str, list(checkpoint)[:8]))
        raise CheckpointError(
            f"{path}: holds no tensors, neither by itself nor under {', '.join(STATE_DICTS)}; its keys are {keys}; "
            "save the state dict alone"
        )
    return tensors, recorded_by(checkpoint)


def _tensors(mapping: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {
        name: value.detach() for name, value in mapping.items() if isinstance(name, str) and isinstance(value, Tensor)
    }


def _torch_rule(path: Path, error: Exception) -> str:
    """Tell a file that would have to run code from a damaged one."""
    needed = re.search(r"GLOBAL ([\w.]+)", str(error))
    pickled = isinstance(error, pickle.UnpicklingError) and "Unsupported operand" in str(error) and _opens_pickle(path)
    if not needed and not pickled and "TorchScript" not in str(error):
        return f"is damaged or no torch file; {AGAIN}"
    what = f" ({needed[1]})" if needed else ""
    return (
        f"holds more than tensors and plain data{what}: reading it would run code, so it was refused and nothing ran; "
        "where you made the file, save the state dict alone: torch.save(model.state_dict(), path)"
    )


def _opens_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(1) == b"\x80" or zipfile.is_zipfile(path)


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, object]]:
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            # Copied from the mapped file: Windows replaces none that is mapped, and elsewhere it may be cut meanwhile.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118  # has keys only
        recorded = parse_json(metadata.get(METADATA, "{}"))
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path}: is damaged or no safetensors file ({error}); {AGAIN}") from error
    if not isinstance(recorded, dict):
        raise CheckpointError(f"{path}: its metadata {METADATA!r} is no JSON object but {shown(recorded)}")
    return tensors, recorded


def _read_npz(path: Path) -> dict[str, Tensor]:
    if not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path}: is damaged or no npz file; {AGAIN}")
    tensors = {}
    name = ""
    try:
        # Numpy leaves the file open where it fails, so it gets an open one.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            check_fits(sum(each.file_size for each in archive.zip.infolist()))
            for name in archive.files:
                array = archive[name]
                if isinstance(array, np.ndarray) and array.dtype.kind in "fiub":
                    # Torch knows neither the other byte order nor all of numpy's integers.
                    kind = np.float32 if array.dtype.kind == "f" else np.int64
                    with np.errstate(over="ignore"):  # what overflows is refused as infinite
                        tensors[name] = torch.from_numpy(np.array(array, dtype=kind))
    except OSError:
        raise
    except Exception as error:  # zipfile, zlib and numpy each have their own for damage
        if "allow_pickle" in str(error):
            raise CheckpointError(
                f"{path}: {name}: holds Python objects: reading it would run code, so it was refused and nothing ran; "
                "save arrays of numbers alone"
            ) from error
        raise CheckpointError(f"{path}: {name}: is damaged ({error}); {AGAIN}") from error
    return tensors


def is_whole(tensor: Tensor) -> bool:
    """Whether a tensor holds as many values as it stands for: one may say that its only value is a billion."""
    if tensor.layout != torch.strided or tensor.device.type == "meta":
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def _check(path: Path, name: str, tensor: Tensor) -> None:
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex() or tensor.device.type != "cpu":
        raise CheckpointError(f"{path}: {name}: is sparse, quantised or complex; save it as a dense tensor of floats")
    if not is_whole(tensor):
        raise CheckpointError(f"{path}: {name}: stands for more values than it holds; save it with .contiguous()")
    # In single precision, which is what the networks hold.
    bad = tensor.numel() - int(tensor.float().isfinite().sum())
    if bad:
        raise CheckpointError(
            f"{path}: {name}: {bad} of {tensor.numel()} values are NaN or infinite: the training that wrote it "
            "diverged; take an earlier checkpoint"
        )
