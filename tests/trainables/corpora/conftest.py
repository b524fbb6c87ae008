"""What the tests of tables share."""

from pathlib import Path

import numpy as np
import pytest
from tables import recorded


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of three recordings of eight frames in base values; the tables are written by the tests."""
    root = tmp_path / "recordings"
    (root / "clips").mkdir(parents=True)
    for place, name in enumerate(("001", "002", "003")):
        np.save(root / "clips" / f"{name}.npy", recorded() * np.float32(1 + place / 64))  # none a copy of another
    return root
