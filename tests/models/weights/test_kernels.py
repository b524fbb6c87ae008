"""Kernels from 3-D to 1-D: each adaptation is what its name says, and the sum keeps what was learned."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from glosstune.models.layers.masking import Frames
from glosstune.models.layers.temporal import ConvNorm
from glosstune.models.weights.kernels import ADAPTATIONS, fit


@pytest.mark.parametrize(("taps", "ours"), [(1, 1), (3, 3), (3, 5)])
@torch.no_grad()
def test_sum_keeps_running_statistics_valid(taps: int, ours: int) -> None:
    torch.manual_seed(0)
    convolution = nn.Conv3d(8, 16, taps, padding=(taps // 2, 0, 0), bias=False)
    norm = nn.BatchNorm3d(16, eps=1e-3).eval()
    for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        nn.init.uniform_(tensor, 0.5, 1.5)  # type: ignore[arg-type]  # torch declares statistics as optional
    unit = ConvNorm(8, 16, ours, "batch").eval()
    kernel, _ = fit(convolution.weight, (16, 8, ours), "sum")
    unit.load_state_dict(
        {"0.weight": kernel, "0.bias": torch.zeros(16)} | {f"1.{n}": t for n, t in norm.state_dict().items()}
    )
    x = torch.randn(2, 7, 8)
    image = x.transpose(1, 2)[..., None, None].expand(-1, -1, -1, taps, taps)
    theirs = norm(convolution(image)).relu()[..., 0, 0].transpose(1, 2)
    torch.testing.assert_close(unit(x, Frames.of(torch.tensor([7, 7]), 7, x.device)), theirs)


sizes = st.integers(1, 4)
kernels = st.builds(
    lambda *shape, seed: torch.randn(*shape, generator=torch.Generator().manual_seed(seed)),
    *[sizes] * 5,
    seed=st.integers(0, 999),
)


@given(kernel=kernels)
def test_each_adaptation_is_what_its_name_says(kernel: Tensor) -> None:
    outputs, inputs, taps, height, width = kernel.shape
    adapted = {how: fit(kernel, (outputs, inputs, taps), how)[0] for how in ADAPTATIONS}
    torch.testing.assert_close(adapted["sum"], adapted["mean"] * height * width)
    assert torch.equal(adapted["max"], kernel.flatten(3).max(3).values)
    assert torch.equal(adapted["centre"], kernel[:, :, :, height // 2, width // 2])
    if height == width == 1:
        assert all(torch.equal(value, kernel[..., 0, 0]) for value in adapted.values())


@given(kernel=kernels, margin=st.integers(0, 3))
def test_a_shorter_kernel_computes_the_same_in_a_longer_one(kernel: Tensor, margin: int) -> None:
    outputs, inputs, taps = kernel.shape[:3]
    short = kernel[..., 0, 0]
    long, how = fit(short, (outputs, inputs, taps + 2 * margin), "sum")
    x = torch.randn(1, inputs, 9, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(F.conv1d(x, short, padding=4), F.conv1d(x, long, padding=4 + margin))
    assert how == (f"{taps} taps centred in {taps + 2 * margin}" if margin else "")
