"""Cast all weights once for a forward pass in half precision, where autocast would cast them one by one."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from glosstune.models.layers.temporal import TemporalConv


@contextmanager
def cast_once(layers: Iterable[nn.Module], device: torch.device) -> Iterator[None]:
    """Within, layers find their weights in the type that autocast would give them, if it is on for this device.

    Args:
        layers: those that run; another thread may run others of the same model meanwhile.
    """
    if not torch.is_autocast_enabled(device.type):
        yield
        return
    dtype = torch.get_autocast_dtype(device.type)
    places = [(module, name) for layer in layers for module in layer.modules() for name in _cast_by(module)]
    weights = [module.get_parameter(name) for module, name in places]
    # A frozen weight among those that train would be given a gradient nobody asks for.
    trained = iter(_CastAll.apply(dtype, *(weight for weight in weights if weight.requires_grad)))  # type: ignore[no-untyped-call]  # torch leaves apply bare
    with torch.no_grad():
        frozen = iter(_copied([weight for weight in weights if not weight.requires_grad], dtype))
    for (module, name), weight in zip(places, weights, strict=True):
        # Found before the parameter, which stays where it is.
        module.__dict__[name] = next(trained if weight.requires_grad else frozen)
    try:
        yield
    finally:
        for module, name in places:
            del module.__dict__[name]


def _cast_by(module: nn.Module) -> list[str]:
    """Parameters that are used in half precision; depthwise convolutions stay as they are."""
    names: tuple[str, ...] = ()
    if isinstance(module, TemporalConv) and module.groups == 1:
        names = ("weight",)
    elif isinstance(module, nn.MultiheadAttention):
        names = ("in_proj_weight", "in_proj_bias")
    elif isinstance(module, nn.Linear):
        names = ("weight", "bias")
    # A model of the user's may leave one out, or compute it from others.
    return [name for name in names if module._parameters.get(name) is not None]


class _CastAll(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        return tuple(_copied(weights, dtype))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        wide = iter(_copied([grad for grad in grads if grad is not None], torch.float32))
        return None, *(None if grad is None else next(wide) for grad in grads)


def _copied(tensors: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    copies = [torch.empty_like(tensor, dtype=dtype) for tensor in tensors]
    if copies:
        torch._foreach_copy_(copies, list(tensors))
    return copies
