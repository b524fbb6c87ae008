"""Padding never changes a result: an utterance scores the same alone and in any batch."""

import pytest
import torch
from torch import Tensor

from glosstune.models import build_model
from glosstune.models.recogniser import TIME_STRIDES, Recogniser

every_model = pytest.mark.parametrize("kind", ["teacher", "student"])
every_norm = pytest.mark.parametrize("norm", ["group", "batch"])
every_stride = pytest.mark.parametrize("time_stride", TIME_STRIDES)


def small(kind: str, norm: str, time_stride: int, dropout: float = 0.0) -> Recogniser:
    return build_model(kind, 9, width=0.25, time_stride=time_stride, norm=norm, dropout=dropout)


def train_step(model: Recogniser, features: Tensor, lengths: Tensor) -> list[Tensor]:
    """Outputs, gradients and buffers of one pass in training mode."""
    model.train()
    log_probs, out_lengths = model(features, lengths)
    real = [log_probs[:length, row] for row, length in enumerate(out_lengths.tolist())]
    torch.cat(real).square().mean().backward()  # type: ignore[no-untyped-call]  # torch has no annotation for it
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return [*real, *gradients, *model.buffers()]


@every_model
@every_norm
@every_stride
@torch.no_grad()
def test_alone_equals_padded(kind: str, norm: str, time_stride: int, garbage: Tensor, lengths: Tensor) -> None:
    model = small(kind, norm, time_stride, dropout=0.5).eval()
    log_probs, out_lengths = model(garbage, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone, (out_length,) = model(garbage[row : row + 1, :length], lengths[row : row + 1])
        assert out_length == out_lengths[row] == alone.shape[0]
        torch.testing.assert_close(log_probs[:out_length, row], alone[:, 0], atol=2e-5, rtol=0)


@every_model
@every_norm
def test_garbage_in_padding_changes_nothing_in_training(
    kind: str, norm: str, features: Tensor, garbage: Tensor, lengths: Tensor
) -> None:
    clean = train_step(small(kind, norm, 4), features, lengths)
    dirty = train_step(small(kind, norm, 4), garbage, lengths)
    for one, other in zip(clean, dirty, strict=True):
        torch.testing.assert_close(one, other)


@every_model
@every_norm
def test_a_longer_batch_changes_nothing_in_training(kind: str, norm: str, features: Tensor, lengths: Tensor) -> None:
    short = train_step(small(kind, norm, 4), features, lengths)
    longer = torch.nn.functional.pad(features, (0, 0, 0, 13), value=7.0)
    long = train_step(small(kind, norm, 4), longer, lengths)
    for one, other in zip(short, long, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-3)


@every_model
@torch.no_grad()
def test_not_even_nan_in_padding_reaches_the_output(kind: str, garbage: Tensor, lengths: Tensor) -> None:
    model = small(kind, "group", 4).eval()
    clean, _ = model(garbage, lengths)
    dirty, _ = model(garbage.masked_fill(garbage == 1e3, torch.nan), lengths)
    torch.testing.assert_close(clean, dirty)


@every_model
@torch.no_grad()
def test_an_utterance_of_one_frame_has_one_output(kind: str, features: Tensor) -> None:
    log_probs, lengths = small(kind, "group", 4).eval()(features[:1, :1], torch.tensor([1]))
    assert log_probs.shape[0] == 1 and lengths.tolist() == [1]
    assert log_probs.isfinite().all()
