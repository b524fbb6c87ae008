"""What the tests of the search share."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_slurm import end_all, install

from glosstune.search import load_sweep
from glosstune.search.cli import main as command_line
from glosstune.spaces import SettingError
from glosstune.trainables.settings import CorpusSettings

TINY = ["student", "model.width=0.25", "training.epochs=3", "training.batch_size=8", "halving.min_epochs=1"]


def _run(*arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["glosstune", *arguments])
        with pytest.raises(SystemExit) as ended:
            command_line.main()
    return int(ended.value.code or 0)


@pytest.fixture
def run() -> Callable[..., int]:
    """Run the command as a shell would and give its exit status."""
    return _run


@pytest.fixture(scope="session")
def tiny(small_settings: CorpusSettings) -> list[str]:
    """Arguments of a sweep whose epochs take less time than the processes of its trials take to start."""
    signers = list(small_settings.signers or ())
    return [*TINY, f"corpus.signers={signers}", "corpus.sentences=24", f"corpus.cache={small_settings.cache}"]


@pytest.fixture(scope="session")
def _swept(ray_cluster: None, tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("swept") / "sweep"
    assert _run("sweep", *tiny, "search.samples=2", "--out", str(folder)) == 0
    return folder


@pytest.fixture
def ended(_swept: Path, tmp_path: Path) -> Path:
    """The folder of a sweep of two trials, a copy for each test to go on with."""
    return Path(shutil.copytree(_swept, tmp_path / "sweep"))


@pytest.fixture
def refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """The message that a file ``teacher.yaml`` with this text is refused with."""
    monkeypatch.chdir(tmp_path)

    def refusal(text: str | bytes, *overrides: str) -> str:
        file = tmp_path / "teacher.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(SettingError) as error:
            load_sweep(file, overrides)
        message = str(error.value)
        assert not any(jargon in message for jargon in ("pydantic", "http", "Input should", "Value error", "Traceback"))
        return message

    return refusal


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
