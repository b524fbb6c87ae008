"""Decide for each tensor of a model what it receives from a file, before anything is changed."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from glosstune.models.layers.temporal import ConvNorm
from glosstune.models.weights.kernels import Misfit, fit
from glosstune.models.weights.load_report import LoadEntry
from glosstune.models.weights.namings import Found

ABSENT = "not in the file"
NO_KERNEL = "without the kernel of their convolution"
NO_STATISTICS = "running statistics: group normalisation has none"
UNKNOWN = "the model has no such tensor"

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")

# What an entry of a convolution with normalisation is where a file has none, and which entries show that it means so.
NEUTRAL = {
    "0.bias": (0.0, ("0.weight",)),
    "1.weight": (1.0, ("1.bias", "1.running_mean")),
    "1.num_batches_tracked": (0.0, ("1.running_mean",)),
}


class LoadPlan:
    """What a model will receive from a file.

    Args:
        state: the model's state dict.
        found: the file's tensors by our names.
        adapt: how kernels lose their spatial axes.

    Attributes:
        values: tensors to copy, by our names.
        ours: an entry for each of our names that was decided on.
        skipped: the file's tensors that are not taken, and why.
    """

    def __init__(self, state: Mapping[str, Tensor], found: Mapping[str, Found], adapt: str) -> None:
        self.state = state
        self.found = found
        self.adapt = adapt
        self.values: dict[str, Tensor] = {}
        self.ours: dict[str, LoadEntry] = {}
        self.skipped: dict[str, str] = {}

    def take(self, names: Sequence[str]) -> None:
        """Take all that the file has of these tensors, or nothing where one of them does not fit."""
        try:
            fitted = {name: self._fit(name) for name in names if name in self.found}
        except Misfit as reason:
            self.skip(names, str(reason))
            return
        for name in names:
            if name in fitted:
                self.values[name], self.ours[name] = fitted[name]
            else:
                self.ours[name] = LoadEntry(name, "missing", ABSENT)

    def take_convolution(self, names: Sequence[str]) -> None:
        """Take a convolution with its normalisation; ``names`` are those of a ConvNorm, its kernel first."""
        kernel = names[0]
        if kernel not in self.found:
            # The normalisation alone would belong to other activations.
            self.skip(names, NO_KERNEL if any(name in self.found for name in names) else ABSENT)
            return
        self.take(names)
        place = kernel.removesuffix("0.weight")
        for name in names if kernel in self.values else ():
            value, signs = NEUTRAL.get(name.removeprefix(place), (0.0, ()))
            if name not in self.values and any(f"{place}{sign}" in self.values for sign in signs):
                self.values[name] = torch.full(self.state[name].shape, value)
                self.ours[name] = LoadEntry(name, "adapted", f"{ABSENT}: {value:g}")

    def skip(self, names: Sequence[str], reason: str) -> None:
        """Take nothing of these tensors."""
        for name in names:
            if name in self.found:
                self.skipped[self.found[name].name] = reason
            self.ours[name] = LoadEntry(name, "missing", reason if reason == ABSENT else f"skipped: {reason}")

    def skip_rest(self, other: str = "", places: tuple[str, ...] = ()) -> None:
        """Say why those of the file's tensors were skipped that the model has no place for.

        Args:
            other: the reason for names that begin with one of ``places``.
        """
        for name, found in self.found.items():
            if name not in self.state and name.startswith(places):
                self.skipped[found.name] = other
            elif name not in self.state:
                place, _, entry = name.rpartition(".1.")
                kernel = f"{place}.0.weight"
                reason = NO_STATISTICS if entry in STATISTICS and kernel in self.state else UNKNOWN
                if reason == NO_STATISTICS and kernel not in self.values:
                    reason = self.skipped[self.found[kernel].name] if kernel in self.found else NO_KERNEL
                self.skipped[found.name] = reason

    def _fit(self, name: str) -> tuple[Tensor, LoadEntry]:
        found = self.found[name]
        value, how = fit(found.tensor, tuple(self.state[name].shape), self.adapt)
        changes = ", ".join(filter(None, (found.note, how)))
        origin = "" if found.name == name else f"from {found.name}"
        detail = ": ".join(filter(None, (origin, changes)))
        return value, LoadEntry(name, "adapted" if changes else "taken", detail)


def units(model: nn.Module) -> Iterator[tuple[list[str], nn.Module]]:
    """What is taken together: each convolution with its normalisation, the direct tensors of each other module."""
    inside = ""
    for place, module in model.named_modules():
        if inside and place.startswith(inside):
            continue
        prefix = f"{place}." if place else ""
        if isinstance(module, ConvNorm):
            inside = prefix
            names = list(module.state_dict())
        else:
            inside = ""
            names = [
                name for name, _ in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))
            ]
        if names:
            yield [f"{prefix}{name}" for name in names], module
