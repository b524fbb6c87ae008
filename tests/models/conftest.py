"""Small batches with padding for the tests of the models."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from glosstune.models import FEATURE_WIDTH

# At the deepest stride the shortest still has three output frames: a group of two values of one frame is +1 and -1
# whatever they are, so that rounding decides.
LENGTHS = (48, 41, 35)


@pytest.fixture(scope="session")
def lengths() -> torch.Tensor:
    return torch.tensor(LENGTHS)


@pytest.fixture(scope="session")
def features(lengths: torch.Tensor) -> torch.Tensor:
    """Features (3, 48, 6516), zero behind each length."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(len(lengths), int(lengths.max()), FEATURE_WIDTH, generator=generator)
    for utterance, length in zip(x, lengths.tolist(), strict=True):
        utterance[length:] = 0
    return x


@pytest.fixture
def garbage(features: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """The same with large values in place of the padding."""
    x = features.clone()
    for utterance, length in zip(x, lengths.tolist(), strict=True):
        utterance[length:] = 1e3
    return x


@pytest.fixture
def save(tmp_path: Path) -> Callable[[dict[str, torch.Tensor]], Path]:
    """Save a state dict as weights.pt."""

    def write(state: dict[str, torch.Tensor]) -> Path:
        torch.save(state, tmp_path / "weights.pt")
        return tmp_path / "weights.pt"

    return write
