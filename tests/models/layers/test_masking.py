"""Normalisation over real frames equals torch's own over the frames alone."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

from glosstune.models.layers.masking import Frames, strided_lengths
from glosstune.models.layers.normalisation import Activation, MaskedBatchNorm, MaskedGroupNorm, group_count
from glosstune.models.layers.temporal import bidirectional, packed_bidirectional

CPU = torch.device("cpu")
LENGTHS = torch.tensor([7, 4, 2])


def ragged(channels: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(3, 7, channels, generator=torch.Generator().manual_seed(1)).to(dtype)


def real(lengths: Tensor) -> Tensor:
    """Which of the seven frames are real (batch, time)."""
    return torch.arange(7) < lengths.unsqueeze(1)


def same(norm: nn.Module, reference: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Both with the same random scale and shift."""
    for ours, theirs in zip(norm.parameters(), reference.parameters(), strict=True):
        nn.init.normal_(ours)
        theirs.data.copy_(ours)
    return norm, reference


def assert_same_function(
    norm: nn.Module, reference: nn.Module, expected: Callable[[Tensor], Tensor], lengths: Tensor
) -> None:
    """Same values in real frames, zero in padded ones, same gradients."""
    x = ragged(next(norm.parameters()).numel()).requires_grad_()
    y = norm(x, Frames.of(lengths, 7, CPU))
    assert not y[~real(lengths)].any()
    results = []
    for module, values in ((norm, y[real(lengths)]), (reference, expected(x))):
        # Uneven weights: a plain sum of normalised values hardly has a gradient.
        loss = (values * torch.linspace(-1, 1, values.numel()).view_as(values)).sum()
        results.append((values, *torch.autograd.grad(loss, (x, *module.parameters()))))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)


@given(st.integers(1, 4096))
def test_groups_are_the_largest_divisor_up_to_32_and_half_the_width(width: int) -> None:
    groups = group_count(width)
    assert width % groups == 0
    assert groups <= max(1, min(32, width // 2))
    assert not any(width % more == 0 for more in range(groups + 1, min(32, width // 2) + 1))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=4), st.integers(0, 20), st.lists(st.sampled_from([1, 2])))
def test_frames_shrink_as_convolutions_do(lengths: list[int], padding: int, strides: list[int]) -> None:
    frames = Frames.of(torch.tensor(lengths), max(lengths) + padding, CPU)
    x = torch.zeros(1, 1, frames.time)
    for stride in strides:
        frames = frames.strided(stride)
        x = nn.functional.conv1d(x, torch.zeros(1, 1, 7), stride=stride, padding=3)
    total = 2 ** sum(stride == 2 for stride in strides)
    assert frames.time == x.shape[2]
    assert frames.lengths.tolist() == strided_lengths(torch.tensor(lengths), total).tolist()


def test_masks_are_made_once_for_each_resolution() -> None:
    frames = Frames.of(LENGTHS, 7, CPU)
    assert frames.strided(2) is frames.strided(2)
    assert frames.strided(1) is frames


def test_no_mask_is_made_where_nothing_is_padded() -> None:
    assert Frames.of(torch.tensor([5, 5]), 5, CPU).mask is None
    assert Frames.of(torch.tensor([5, 5]), 6, CPU).mask is not None


@pytest.mark.parametrize("lengths", [LENGTHS, torch.tensor([7, 7, 7])])
def test_group_norm_equals_torch_on_each_utterance_alone(lengths: Tensor) -> None:
    norm, reference = same(MaskedGroupNorm(24), nn.GroupNorm(12, 24))

    def alone(x: Tensor) -> Tensor:
        utterances = [x[row : row + 1, :length].mT for row, length in enumerate(lengths.tolist())]
        return torch.cat([reference(utterance).mT[0] for utterance in utterances])

    assert_same_function(norm, reference, alone, lengths)


@pytest.mark.parametrize("lengths", [LENGTHS, torch.tensor([7, 7, 7])])
def test_batch_norm_equals_torch_on_the_real_frames(lengths: Tensor) -> None:
    norm, reference = same(MaskedBatchNorm(6), nn.BatchNorm1d(6, eps=1e-3))
    for training in (True, True, False):
        norm.train(training)
        reference.train(training)
        assert_same_function(norm, reference, lambda x: reference(x[real(lengths)]), lengths)
    for name, value in reference.state_dict().items():
        torch.testing.assert_close(norm.state_dict()[name], value)


@pytest.fixture
def doubled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Computes in double precision what is otherwise computed in single precision."""
    monkeypatch.setattr(Tensor, "float", Tensor.double)


# The last is a layer that is frozen but for the bias of its convolution.
TRAINED = {"all": (0, 1, 2, 3), "input": (0,), "scale and shift": (2, 3), "bias": (1,)}


@pytest.mark.usefixtures("doubled")
@pytest.mark.parametrize("activation", [None, "relu", "hardswish"])
@pytest.mark.parametrize("trained", TRAINED.values(), ids=TRAINED)
@pytest.mark.parametrize("norm", ["group", "batch", "batch in evaluation"])
def test_gradients_are_those_of_finite_differences(
    norm: str, trained: tuple[int, ...], activation: Activation | None
) -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((2, 5, 4), *[(4,)] * 3)]
    inputs = [value.requires_grad_(place in trained) for place, value in enumerate(drawn)]
    frames = Frames.of(torch.tensor([5, 3]), 5, CPU)
    module = (MaskedGroupNorm if norm == "group" else MaskedBatchNorm)(4).double()
    module.train(norm != "batch in evaluation")

    def normalised(x: Tensor, added: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        values = {"weight": weight, "bias": bias}
        if norm != "group":
            values |= {"running_mean": torch.full((4,), 0.3).double(), "running_var": torch.full((4,), 2.0).double()}
        y: Tensor = functional_call(module, values, (x, frames, activation, added))
        return y

    assert torch.autograd.gradcheck(normalised, inputs)


def test_batch_norm_keeps_finite_statistics_of_a_single_frame() -> None:
    norm = MaskedBatchNorm(4)
    norm(torch.ones(1, 1, 4), Frames.of(torch.tensor([1]), 1, CPU))
    assert torch.isfinite(norm.running_var).all()


def test_half_precision_goes_in_and_out_with_statistics_in_single() -> None:
    frames = Frames.of(LENGTHS, 7, CPU)
    norm = MaskedGroupNorm(16)
    x = ragged(16, torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        y = norm(x, frames)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), norm(x.float(), frames), atol=2e-2, rtol=1e-2)


def test_both_ways_through_the_lstm_agree() -> None:
    # One is for CPUs, the other for CUDA: cuDNN wants packed sequences.
    lstm = nn.LSTM(5, 4, batch_first=True, bidirectional=True)
    frames = Frames.of(LENGTHS, 7, CPU)
    x = ragged(5).requires_grad_()
    results = []
    for run in (bidirectional, packed_bidirectional):
        y = run(lstm, x, frames)[real(LENGTHS)]
        results.append((y, *torch.autograd.grad(y.square().sum(), (x, *lstm.parameters()))))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_padding_is_cleared_however_activations_lie() -> None:
    frames = Frames.of(torch.tensor([5, 2]), 5, torch.device("cpu"))
    lying = torch.ones(5, 2, 3).transpose(0, 1)
    assert frames.clear_padding_(lying) is lying
    assert lying.sum(2).tolist() == [[3.0] * 5, [3.0, 3.0, 0.0, 0.0, 0.0]]
