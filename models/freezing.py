"""Which layers of a network train: freeze up to a depth, or thaw stage by stage."""

from collections.abc import Collection
from itertools import chain

from torch import nn

from glosstune.models.recogniser import Recogniser
from glosstune.spaces.errors import SettingError, likeliest, shown


def freeze_until(model: nn.Module, layer: str, *, fresh: Collection[str] = ()) -> None:
    """Freeze all layers before ``layer``; it and all layers after it train.

    Args:
        fresh: parameters that hold random values (``LoadReport.fresh``) and train at any depth.

    Raises:
        SettingError: the model has no such layer; names those it has.
    """
    names = _recogniser(model).layer_names
    check_layer(layer, names)
    thaw(model, names[names.index(layer) :], fresh=fresh)


def progressive_stages(model: nn.Module, n: int) -> tuple[tuple[str, ...], ...]:
    """The layers that train in each of n stages of gradual unfreezing (Howard and Ruder 2018).

    The first stage is the head alone (unless it is the only one), each further one adds groups of layers
    towards the input. All but the first group, the projections of the features, train in the last stage; as many
    stages as groups free that too.

    Args:
        n: number of stages, 1 to the number of groups.

    Returns:
        For each stage the names of its layers in the order data flows.

    Raises:
        SettingError: n is out of range.
    """
    groups = _recogniser(model).architecture.groups
    if not 1 <= n <= len(groups):
        raise SettingError(f"must be a number of stages from 1 to {len(groups)}; got {shown(n)}", key="unfreeze_stages")
    if n < len(groups):
        # The head keeps a stage for itself: its classifier is random where all else is pretrained.
        last = len(groups) - 1
        sizes = [1 + k * (last - 1) // (n - 1) for k in range(n)] if n > 1 else [last]
    else:
        sizes = list(range(1, n + 1))
    return tuple(tuple(chain.from_iterable(groups[-size:])) for size in sizes)


def thaw(model: nn.Module, layers: Collection[str], *, fresh: Collection[str] = ()) -> None:
    """Let exactly these layers train and freeze all others; frozen modules are in eval mode at once.

    Args:
        fresh: parameters of the others that train nevertheless, since they hold random values.

    Raises:
        SettingError: the model has no such layer.
    """
    names = _recogniser(model).layer_names
    for layer in layers:
        check_layer(layer, names)
    for name in names:
        for inner, parameter in model.get_submodule(name).named_parameters():
            trains = name in layers or f"{name}.{inner}" in fresh
            parameter.requires_grad_(trains)
            if not trains:
                parameter.grad = None  # an optimiser would still step along an old one
    model.train(model.training)


def first_trained(model: nn.Module) -> str:
    """The first layer with a parameter that trains, at the latest the head's: what lies before it is frozen."""
    architecture = _recogniser(model).architecture
    for name in architecture.body:
        if any(each.requires_grad for each in model.get_submodule(name).parameters()):
            return name
    return architecture.head[0]


def trainable_parameters(model: nn.Module) -> int:
    """Number of parameters that train."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _recogniser(model: nn.Module) -> Recogniser:
    if not isinstance(model, Recogniser):
        raise TypeError(f"{type(model).__name__} is no glosstune.models.Recogniser: its layers have no order")
    return model


def check_layer(layer: str, names: tuple[str, ...]) -> None:
    """Require that a layer is one of the model's; the SettingError names the likeliest and all of them."""
    if layer not in names:
        rule = f"must be a layer of the model; got {shown(layer)}{likeliest(layer, names)}"
        raise SettingError(f"{rule}; its layers are {', '.join(names)}", key="freeze_until")
