"""Every recipe of docs/extending.md runs as it is printed, through a real sweep of two trials."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from glosstune.results import Results, load_results

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
# So that a sweep takes no longer than its processes need to start.
SMALL = [
    "model.width=0.25",
    "training.epochs=2",
    "training.batch_size=8",
    "halving.kind=none",
]
FEW = ["corpus.sentences=24", "corpus.signers=[ase, gsg, psr]"]  # of the embedded corpus

Follow = Callable[..., Results]


def blocks(section: str) -> dict[str, str]:
    """The first code block of each language in a section of the page."""
    text = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (found,) = [part for part in text if part.startswith(f"{section}\n")]
    fences = re.findall(r"^```(\w+)\n(.*?)^```", found, flags=re.MULTILINE | re.DOTALL)
    return dict(reversed(fences))


@pytest.fixture
def follow(corpus_cache: Path, tmp_path: Path) -> Follow:
    """Follow a recipe in an empty folder, with overrides that make it small, and read what its sweep left."""

    def follow(section: str, *overrides: str) -> Results:
        found = blocks(section)
        code = found["python"]
        assert len(code.strip().splitlines()) < 40
        (name,) = re.findall(r"\A# (\w+\.py)$", code, flags=re.MULTILINE)
        (tmp_path / name).write_text(code, encoding="utf-8")
        (line,) = found["sh"].splitlines()
        command, *arguments = shlex.split(line)
        assert command == "glosstune" and arguments[0] == "sweep"
        cache = f"corpus.cache={json.dumps(str(corpus_cache))}"
        script = Path(sys.executable).with_name(command)  # python -m would find the user's file by itself
        run = [str(script), *arguments, *SMALL, cache, *overrides, "--out", "swept"]
        free = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
        ended = subprocess.run(run, cwd=tmp_path, env=free, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        return load_results(tmp_path / "swept")

    return follow


@pytest.mark.slow
def test_the_model_of_the_page_is_searched_like_one_of_ours(follow: Follow) -> None:
    results = follow("A model", *FEW)
    assert results.trials["status"].tolist() == ["finished", "finished"]
    assert (results.epochs["train_loss"] > 0).all()
