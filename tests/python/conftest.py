"""A sweep as it lies on the disk, while it runs."""

from pathlib import Path

import pytest
from sweep_folder import SweepFolder


@pytest.fixture
def drawn(tmp_path: Path) -> SweepFolder:
    """A sweep of two trials, one of them at its end."""
    sweep = SweepFolder(tmp_path / "drawn")
    sweep.start(0, learning_rate=1e-3)
    sweep.report(0, 1, wer=0.9, loss_below_floor=0.1)
    sweep.report(0, 2, wer=0.2, loss_below_floor=0.5)
    sweep.end(0, "finished", "all epochs")
    sweep.start(1, learning_rate=2e-3)
    return sweep
