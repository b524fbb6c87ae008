"""Every recipe of docs/extending.md runs as it is printed, through a real sweep of two trials."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from forked_workers import Forks

from glosstune.results import Results, load_results
from glosstune.trainables.corpora import FingerspellingCorpus

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
# So that a sweep takes no longer than its processes need to start.
SMALL = [
    "model.width=0.25",
    "training.epochs=2",
    "training.batch_size=8",
    "halving.kind=none",
    "pretraining.steps=9",
]
SIGNERS = ("ase", "gsg", "psr")
FEW = ["corpus.sentences=24", f"corpus.signers={list(SIGNERS)}"]  # of the embedded corpus
RATES = ["search.start_points=[]", "space={learning_rate: {float: [1e-4, 1e-3]}}"]

Follow = Callable[..., Results]


def blocks(section: str) -> dict[str, str]:
    """The first code block of each language in a section of the page."""
    text = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (found,) = [part for part in text if part.startswith(f"{section}\n")]
    fences = re.findall(r"^```(\w+)\n(.*?)^```", found, flags=re.MULTILINE | re.DOTALL)
    return dict(reversed(fences))


@pytest.fixture
def follow(corpus_cache: Path, forks: Forks, tmp_path: Path) -> Follow:
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
        ended = subprocess.run(run, cwd=tmp_path, env=free | forks.environment, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        return load_results(tmp_path / "swept")

    return follow


@pytest.mark.slow
def test_the_model_of_the_page_is_searched_like_one_of_ours(follow: Follow) -> None:
    results = follow("A model", *FEW)
    assert results.trials["status"].tolist() == ["finished", "finished"]
    assert (results.epochs["train_loss"] > 0).all()


@pytest.mark.slow
def test_the_corpus_of_the_page_is_packed_and_searched(follow: Follow, tmp_path: Path) -> None:
    corpus, rows = FingerspellingCorpus(sentences=24, signers=SIGNERS), []
    (tmp_path / "recorded").mkdir()
    for utterance, values in zip(corpus.utterances(), corpus.read(), strict=True):
        np.save(tmp_path / "recorded" / f"{utterance.key}.npy", values.reshape(len(values), -1, 3))
        row = {"file": f"{utterance.key}.npy", "glosses": utterance.glosses}
        rows.append(json.dumps({**row, "signer": utterance.signer, "split": utterance.split}))
    (tmp_path / "recorded" / "utterances.jsonl").write_text("\n".join(rows))
    results = follow("A corpus", *FEW, "search.start_points=[]")
    assert results.trials["status"].tolist() == ["finished", "finished"]
    manifest = json.loads((tmp_path / "swept" / "manifest.json").read_text())
    assert Path(manifest["corpus"]["folder"]).name.startswith("MyCorpus-")


@pytest.mark.slow
def test_the_sampler_of_the_page_draws_the_trials(follow: Follow) -> None:
    results = follow("A sampler", *FEW, *RATES)
    assert results.trials["status"].tolist() == ["finished", "finished"]
    assert results.trials["source"].tolist() == ["my_sampler:NearBest"] * 2


@pytest.mark.slow
def test_the_stopping_rule_of_the_page_stops_trials_that_learn_nothing(follow: Follow) -> None:
    results = follow("A stopping rule", *FEW, *RATES, "training.epochs=4", "space={learning_rate: 1e-8}")
    assert results.trials["stop_rule"].tolist() == ["slow start", "slow start"]
    assert results.trials["epochs"].tolist() == [3, 3]
