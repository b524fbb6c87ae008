"""What the tests of clusters share: a SLURM of our own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_slurm import end_all, install


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a SLURM whose commands are on PATH; what still runs is killed in the end."""
    root = tmp_path / "slurm"
    root.mkdir()
    commands = install(tmp_path / "slurm-commands")
    monkeypatch.setenv("FAKE_SLURM", str(root))
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    yield root
    end_all(root)
