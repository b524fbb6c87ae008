"""Make a model by name, with weights that depend on the seed alone."""

import hashlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from glosstune.models.kinds import KIND_KEY, KINDS, load_kind
from glosstune.models.layers.modalities import MODALITY_WIDTHS, listed_modalities
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
    modalities: Mapping[str, int] = MODALITY_WIDTHS,
    seed: int = 0,
) -> Recogniser:
    """A freshly initialised model, on the CPU; the same seed gives the same weights.

    The global random state stays as it was.

    Args:
        kind: ``teacher``, ``student``, or ``package.module:Name`` of one's own, which is imported.
        modalities: values of each in a frame, in the order they are stored; default those of the default layout.

    Raises:
        SettingError: the kind is unknown, an argument is out of range, or a model of one's own lacks something or does
            not take the modalities.
    """
    make = load_kind(kind)
    sizes: dict[str, Any] = {"width": width, "time_stride": time_stride, "norm": norm, "dropout": dropout}
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would reset the generators of all accelerators as well.
        torch.default_generator.manual_seed(seed)
        if kind not in KINDS:
            return _own(kind, make, vocabulary_size, sizes, modalities)
        model: Recogniser = make(vocabulary_size, **sizes, modalities=modalities)
        return model


def source_hash(model: nn.Module) -> str:
    """Of the files that define the parts of a model of one's own; empty for ours, whose results are kept by format."""
    classes = {type(module) for module in model.modules()}
    own = {each for each in classes if each.__module__.partition(".")[0] not in ("glosstune", "torch")}
    files = sorted({inspect.getfile(each) for each in own})
    return hashlib.sha256(b"".join(Path(file).read_bytes() for file in files)).hexdigest() if files else ""


def _own(
    kind: str, make: Any, vocabulary_size: int, sizes: dict[str, Any], modalities: Mapping[str, int]
) -> Recogniser:
    if not (isinstance(make, type) and issubclass(make, Recogniser)):
        raise SettingError(f"{kind} is no subclass of glosstune.models.Recogniser; see docs/extending.md", key=KIND_KEY)
    time_stride = sizes["time_stride"]
    if _takes_modalities(make):
        sizes = {**sizes, "modalities": modalities}
    else:
        _check_default(kind, modalities)
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
    if not isinstance(model, Recogniser) or not {"_modules", "modalities"} <= set(vars(model)):
        raise SettingError(f"{kind} makes no Recogniser; its __init__ has to call super().__init__()", key=KIND_KEY)
    if list(model.modalities.items()) != list(modalities.items()):
        rule = f"{kind} takes modalities and does not hand them on"
        raise SettingError(f"{rule}; call super().__init__(..., modalities=modalities)", key=KIND_KEY)
    children, layers = tuple(name for name, _ in model.named_children()), model.layer_names
    if children != layers:
        rule = f"{kind}: its architecture names {', '.join(layers)}; its modules are {', '.join(children) or 'none'}"
        raise SettingError(f"{rule}; make them the same, in the order data flows", key=KIND_KEY)
    for name in model.architecture.body:
        stride = getattr(model.get_submodule(name), "stride", None)
        if type(stride) is not int or stride < 1:
            rule = f"{kind}: its layer {name} lacks a whole number stride: frames that it takes for each that it gives"
            raise SettingError(rule, key=KIND_KEY)
    strides = set(model.strides(model.architecture.head[0]))
    if strides != {time_stride}:
        taken = " and ".join(map(str, sorted(strides)))
        rule = f"{kind}: the strides of its layers make {taken}, and model.time_stride is {time_stride}"
        raise SettingError(f"{rule}; make them the same", key=KIND_KEY)
    return model


def _check_default(kind: str, modalities: Mapping[str, int]) -> None:
    """Refuse another layout for a model that knows the default one alone."""
    if list(modalities.items()) != list(MODALITY_WIDTHS.items()):
        rule = f"{kind} reads the default layout alone, and a frame is {listed_modalities(modalities)} here"
        way_out = "let its __init__ take modalities and hand them to super().__init__(..., modalities=modalities)"
        raise SettingError(f"{rule}; {way_out}", key=KIND_KEY)


def _takes_modalities(make: type) -> bool:
    """Whether a model has the argument, by itself or in what it hands all further ones on to."""
    for one in make.__mro__:
        if "__init__" in vars(one):
            parameters = inspect.signature(vars(one)["__init__"]).parameters
            if "modalities" in parameters:
                return True
            if all(each.kind != each.VAR_KEYWORD for each in parameters.values()):
                return False
    return False
