"""The fused kernels compute what is written out: on a GPU, or where there is none in Triton's interpreter."""

from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from glosstune.models.layers.masking import Frames
from glosstune.models.layers.normalisation import (
    Activation,
    Moving,
    WrittenOut,
    _function,
    check_function,
    group_count,
)

# As conftest.py has it: the interpreter is on where there is no GPU.
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
MOST = {torch.float32: 2e-5, torch.bfloat16: 2e-2}


class Case(NamedTuple):
    lengths: list[int]
    padding: int
    channels: int
    grouped: bool
    added: bool
    activation: Activation | None
    dtype: torch.dtype


CASES = st.builds(
    Case,
    lengths=st.lists(st.integers(2, 40), min_size=1, max_size=3),
    padding=st.integers(0, 5),
    channels=st.integers(1, 40),
    grouped=st.booleans(),
    added=st.booleans(),
    activation=st.sampled_from([None, "relu", "hardswish"]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)


@pytest.fixture(scope="module")
def fused() -> ModuleType:
    pytest.importorskip("triton", reason="Triton is made for Linux alone")
    return import_module("glosstune.models.layers.fused_normalisation")


def outcome(function: type[torch.autograd.Function], case: Case) -> dict[str, Tensor]:
    """Result, statistics that moved, and gradients."""
    generator = torch.Generator().manual_seed(0)
    batch, time, channels = len(case.lengths), max(case.lengths) + case.padding, case.channels

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(DEVICE)

    x = (3 * drawn(batch, time, channels) + 1).to(case.dtype).requires_grad_()
    added, weight, bias = (drawn(channels).requires_grad_() for _ in range(3))
    moving = (
        None
        if case.grouped
        else Moving(*(each.to(DEVICE) for each in (torch.zeros(channels), torch.ones(channels), torch.tensor(3))), 0.1)
    )
    y = function.apply(  # type: ignore[no-untyped-call]  # torch leaves apply bare
        x,
        added if case.added else None,
        weight,
        bias,
        Frames.of(torch.tensor(case.lengths), time, DEVICE),
        group_count(channels) if case.grouped else 0,
        1e-5,
        case.activation,
        moving,
    )
    inputs = {"x": x, "weight": weight, "bias": bias, **({"added": added} if case.added else {})}
    gradients = torch.autograd.grad(y, [*inputs.values()], drawn(batch, time, channels).to(case.dtype))
    moved = {} if moving is None else {"mean": moving.mean, "variance": moving.variance, "batches": moving.batches}
    return {"y": y.detach(), **moved, **dict(zip(inputs, gradients, strict=True))}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(case=CASES)
def test_kernels_compute_what_is_written_out(fused: ModuleType, case: Case) -> None:
    values = min(case.lengths) * case.channels // group_count(case.channels) if case.grouped else sum(case.lengths)
    assume(values > 4)  # of fewer, all of a gradient may cancel out but rounding
    ours, written = (outcome(function, case) for function in (fused.FusedNormalisation, WrittenOut))
    assert ours.keys() == written.keys()
    for name, expected in written.items():
        assert ours[name].dtype == expected.dtype, name
        # What cancels out leaves rounding of what it was made of, so the sum of the weights' gradients sets the scale.
        scale = max(1.0, float(expected.abs().max()), float(written["weight"].abs().max()))
        torch.testing.assert_close(
            ours[name], expected, atol=MOST[case.dtype] * scale, rtol=0, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_kernels_are_checked_before_they_are_used(fused: ModuleType) -> None:
    check_function(fused.FusedNormalisation, DEVICE)

    class Halved(WrittenOut):
        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
            first, *others = WrittenOut.backward(ctx, *grads)
            return None if first is None else first / 2, *others

    with pytest.raises(RuntimeError, match="results differ by"):
        check_function(Halved, DEVICE)


@pytest.mark.skipif(torch.cuda.is_available(), reason="kernels work there")
def test_where_kernels_fail_the_written_out_form_is_taken_and_that_is_said(fused: ModuleType) -> None:
    _function.cache_clear()
    with pytest.warns(UserWarning, match="normalisation on cuda takes several kernels"):
        assert _function(torch.device("cuda")) is WrittenOut
    _function.cache_clear()


def test_an_activation_hides_no_nan(fused: ModuleType) -> None:
    x = torch.ones(1, 16, 4, device=DEVICE)
    x[0, 0, 0] = torch.nan
    frames, ones = Frames.of(torch.tensor([16]), 16, DEVICE), torch.ones(4, device=DEVICE)
    for activation in ("relu", "hardswish"):
        y = fused.FusedNormalisation.apply(x, None, ones, ones, frames, 0, 1e-5, activation, None)
        assert y[..., 0].isnan().all() and not y[..., 1:].isnan().any(), activation
