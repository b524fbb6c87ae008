"""Make a model by name, with weights that depend on the seed alone."""

import hashlib
import inspect
from pathlib import Path
from typing import Any

import torch
from torch import nn

from glosstune.models.kinds import KIND_KEY, KINDS, load_kind
from glosstune.models.recogniser import Recogniser
from glosstune.spaces.errors import SettingError, told


def build_model(
    kind: str,
    vocabulary_size: int,
    *,
    width: float = 1.0,
    time_stride: int = 4,
    norm: str = "group",
    dropout: float = 0.1,
    seed: int = 0,
) -> Recogniser:
    """A freshly initialised model, on the CPU; the same seed gives the same weights.

    The global random state stays as it was.

    Args:
        kind: ``teacher``, ``student``, or ``package.module:Name`` of one's own, which is imported.

    Raises:
        SettingError: the kind is unknown, an argument is out of range, or a model of one's own lacks something.
    """
    make = load_kind(kind)
    sizes: dict[str, Any] = {"width": width, "time_stride": time_stride, "norm": norm, "dropout": dropout}
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would reset the generators of all accelerators as well.
        torch.default_generator.manual_seed(seed)
        if kind not in KINDS:
            return _own(kind, make, vocabulary_size, sizes)
        model: Recogniser = make(vocabulary_size, **sizes)
        return model


def source_hash(model: nn.Module) -> str:
    """Of the files that define the parts of a model of one's own; empty for ours, whose results are kept by format."""
    classes = {type(module) for module in model.modules()}
    own = {each for each in classes if each.__module__.partition(".")[0] not in ("glosstune", "torch")}
    files = sorted({inspect.getfile(each) for each in own})
    return hashlib.sha256(b"".join(Path(file).read_bytes() for file in files)).hexdigest() if files else ""


def _own(kind: str, make: Any, vocabulary_size: int, sizes: dict[str, Any]) -> Recogniser:
    if not (isinstance(make, type) and issubclass(make, Recogniser)):
        raise SettingError(f"{kind} is no subclass of glosstune.models.Recogniser; see docs/extending.md", key=KIND_KEY)
    try:
        inspect.signature(make).bind(vocabulary_size, **sizes)
    except TypeError as error:
        rule = f"{kind} does not take (vocabulary_size, *, {', '.join(sizes)}): {error}"
        raise SettingError(rule, key=KIND_KEY) from None
    try:
        model = make(vocabulary_size, **sizes)
    except SettingError:
        raise
    except (Exception, SystemExit) as error:  # somebody else's code
        raise SettingError(f"{kind} cannot be made ({told(error)})", key=KIND_KEY) from error
    if not isinstance(model, Recogniser) or "_modules" not in vars(model):
        raise SettingError(f"{kind} makes no Recogniser; its __init__ has to call super().__init__()", key=KIND_KEY)
    children, layers = tuple(name for name, _ in model.named_children()), model.layer_names
    if children != layers:
        rule = f"{kind}: its architecture names {', '.join(layers)}; its modules are {', '.join(children) or 'none'}"
        raise SettingError(f"{rule}; make them the same, in the order data flows", key=KIND_KEY)
    for name in model.architecture.body:
        stride = getattr(model.get_submodule(name), "stride", None)
        if type(stride) is not int or stride < 1:
            rule = f"{kind}: its layer {name} lacks a whole number stride: frames that it takes for each that it gives"
            raise SettingError(rule, key=KIND_KEY)
    strides, time_stride = set(model.strides(model.architecture.head[0])), sizes["time_stride"]
    if strides != {time_stride}:
        taken = " and ".join(map(str, sorted(strides)))
        rule = f"{kind}: the strides of its layers make {taken}, and model.time_stride is {time_stride}"
        raise SettingError(f"{rule}; make them the same", key=KIND_KEY)
    return model
