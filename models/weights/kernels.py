"""Bring a kernel of another network into the shape of one of ours: without space, centred in time."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

# Over the two spatial axes of (output, input, time, height, width). The sum keeps the response to an input that is
# constant in space, so running statistics stay valid; the mean shrinks a 3x3 kernel's by 9.
ADAPTATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sum": lambda kernel: kernel.sum((3, 4)),
    "mean": lambda kernel: kernel.mean((3, 4)),
    "max": lambda kernel: kernel.amax((3, 4)),
    "centre": lambda kernel: kernel[..., kernel.shape[3] // 2, kernel.shape[4] // 2],
}


class Misfit(Exception):
    """Why a tensor of a file cannot be taken."""


def fit(tensor: Tensor, shape: tuple[int, ...], adapt: str) -> tuple[Tensor, str]:
    """A tensor of a file in our shape, and how it got there; empty where no value changed.

    Kernels (output, input, time, height, width) or (output, input, time) fit convolutions over time; anything else
    must have the shape already.

    Raises:
        Misfit: it cannot be had in this shape.
    """
    if len(shape) == 3 and tensor.dim() in (3, 5):
        return _fit_kernel(tensor.float(), shape, adapt)
    if tensor.shape != shape:
        raise Misfit(f"shape {tuple(tensor.shape)} in the file, {shape} here")
    return tensor, ""


def _fit_kernel(kernel: Tensor, shape: tuple[int, ...], adapt: str) -> tuple[Tensor, str]:
    for size, ours, what in zip(kernel.shape, shape[:2], ("outputs", "inputs"), strict=False):
        if size != ours:
            raise Misfit(f"{size} {what} in the file, {ours} here")
    steps = []
    if kernel.dim() == 5:
        height, width = kernel.shape[3:]
        kernel = ADAPTATIONS[adapt](kernel)
        if height * width > 1:
            steps.append(f"{adapt} over {height}x{width}")
    taps, ours = kernel.shape[2], shape[2]
    if taps > ours or (ours - taps) % 2:
        raise Misfit(f"{taps} taps in the file, {ours} here")
    if taps < ours:
        steps.append(f"{taps} taps centred in {ours}")
    margin = (ours - taps) // 2
    return F.pad(kernel, (margin, margin)), ", ".join(steps)
