"""Which layers of a network train: freeze up to a depth, or thaw stage by stage."""

from collections.abc import Collection

from torch import nn

from glosstune.models.recogniser import Recogniser, likeliest
from glosstune.spaces.errors import SettingError, shown

MAX_STAGES = 5


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

    The first stage is the recurrent head alone (unless it is the only one), each further one adds layers
    towards the input. All but the projections of the features train in the last stage; five stages free
    those too.

    Args:
        n: number of stages, 1 to 5.

    Returns:
        For each stage the names of its layers in the order data flows.

    Raises:
        SettingError: n is out of range.
    """
    if not 1 <= n <= MAX_STAGES:
        raise SettingError(f"must be a number of stages from 1 to {MAX_STAGES}; got {shown(n)}", key="unfreeze_stages")
    recogniser = _recogniser(model)
    groups = recogniser.layer_groups
    if n < MAX_STAGES:
        # The head keeps a stage for itself: its classifier is random where all else is pretrained.
        last = MAX_STAGES - 1
        sizes = [1 + k * (last - 1) // (n - 1) for k in range(n)] if n > 1 else [last]
    else:
        sizes = list(range(1, n + 1))
    stages = []
    for size in sizes:
        trained = {name for group in groups[:size] for name in group}
        stages.append(tuple(name for name in recogniser.layer_names if name in trained))
    return tuple(stages)


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
    """The first layer with a parameter that trains, ``lstm`` at the latest: what lies before it is frozen."""
    recogniser = _recogniser(model)
    names = recogniser.layer_names[:-2]
    trains = (name for name in names if any(each.requires_grad for each in model.get_submodule(name).parameters()))
    return next(trains, "lstm")


def trainable_parameters(model: nn.Module) -> int:
    """Number of parameters that train."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _recogniser(model: nn.Module) -> Recogniser:
    if not isinstance(model, Recogniser):
        raise TypeError(f"{type(model).__name__} is no model of glosstune.models: its layers have no order")
    return model


def check_layer(layer: str, names: tuple[str, ...]) -> None:
    """Require that a layer is one of the model's; the SettingError names the likeliest and all of them."""
    if layer not in names:
        rule = f"must be a layer of the model; got {shown(layer)}{likeliest(layer, names)}"
        raise SettingError(f"{rule}; its layers are {', '.join(names)}", key="freeze_until")
