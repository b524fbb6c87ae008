"""Choose the precision of the forward pass."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch

Precision = Literal["auto", "fp32", "bf16"]


def autocast(device: torch.device, precision: Precision, *, cached: bool = True) -> AbstractContextManager[Any]:
    """bfloat16 where asked for, or where the device computes it natively; the CTC loss stays in float32.

    Args:
        cached: whether a weight is cast once for all its uses; CUDA graphs cannot have it so.
    """
    if computes_bf16(device, precision):
        return torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=cached)
    return nullcontext()


def computes_bf16(device: torch.device, precision: Precision) -> bool:
    """Whether a forward pass is in bfloat16."""
    return precision == "bf16" or (precision == "auto" and has_native_bf16(device))


def has_native_bf16(device: torch.device) -> bool:
    """Whether a device multiplies in bfloat16 without emulating it."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # torch >= 2.10
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
