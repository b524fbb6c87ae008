"""The recipes of docs/extending-parts.md run as they are printed, through real sweeps of two trials."""

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

from glosstune.results import Results, load_results
from glosstune.results.reading.record import read_record
from glosstune.trainables.corpora import FingerspellingCorpus

PAGE = Path(__file__).parents[1] / "docs" / "extending-parts.md"
SIGNERS = ("ase", "gsg", "psr")
# So that a sweep takes no longer than its processes need to start.
SMALL = [
    "model.width=0.25",
    "training.epochs=2",
    "training.batch_size=8",
    "halving.kind=none",
    "search.start_points=[]",
    "space={learning_rate: {float: [1e-4, 1e-3]}}",
    "corpus.sentences=24",
    f"corpus.signers={list(SIGNERS)}",
]

Follow = Callable[..., Results]


def blocks(section: str) -> dict[str, str]:
    """The first code block of each language in a section of the page."""
    text = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (found,) = [part for part in text if part.startswith(f"{section}\n")]
    return dict(reversed(re.findall(r"^```(\w+)\n(.*?)^```", found, flags=re.MULTILINE | re.DOTALL)))


@pytest.fixture
def follow(corpus_cache: Path, tmp_path: Path) -> Follow:
    """Follow a recipe in a folder, with overrides that make it small, and read what its sweep left."""

    def follow(section: str, *overrides: str) -> Results:
        code, line = blocks(section)["python"], blocks(section)["sh"]
        assert len(code.strip().splitlines()) < 40
        (name,) = re.findall(r"\A# (\w+\.py)$", code, flags=re.MULTILINE)
        (tmp_path / name).write_text(code, encoding="utf-8")
        command, *arguments = shlex.split(line)
        assert command == "glosstune" and arguments[0] == "sweep"
        cache = f"corpus.cache={json.dumps(str(corpus_cache))}"
        run = [sys.executable, "-m", "glosstune.search", *arguments, *SMALL, cache, *overrides, "--out", "swept"]
        free = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
        ended = subprocess.run(run, cwd=tmp_path, env=free, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        return load_results(tmp_path / "swept")

    return follow


@pytest.mark.slow
def test_the_corpus_of_the_page_is_packed_and_searched(follow: Follow, tmp_path: Path) -> None:
    corpus, rows = FingerspellingCorpus(sentences=24, signers=SIGNERS), []
    (tmp_path / "recorded").mkdir()
    for utterance, values in zip(corpus.utterances(), corpus.read(), strict=True):
        np.save(tmp_path / "recorded" / f"{utterance.key}.npy", values.reshape(len(values), -1, 3))
        row = {"file": f"{utterance.key}.npy", "glosses": utterance.glosses}
        rows.append(json.dumps({**row, "signer": utterance.signer, "split": utterance.split}))
    (tmp_path / "recorded" / "utterances.jsonl").write_text("\n".join(rows))
    results = follow("A corpus")
    assert results.trials["status"].tolist() == ["finished", "finished"]
    manifest = json.loads((tmp_path / "swept" / "manifest.json").read_text())
    assert Path(manifest["corpus"]["folder"]).name.startswith("MyCorpus-")


@pytest.mark.slow
def test_the_sampler_of_the_page_draws_the_trials(follow: Follow, tmp_path: Path) -> None:
    results = follow("A sampler")
    assert results.trials["status"].tolist() == ["finished", "finished"]
    begun = [event for event in read_record(tmp_path / "swept").events if event["event"] == "trial"]
    assert [event["source"] for event in begun] == ["my_sampler:NearBest"] * 2


@pytest.mark.slow
def test_the_stopping_rule_of_the_page_stops_trials_that_learn_nothing(follow: Follow) -> None:
    results = follow("A stopping rule", "training.epochs=4", "space={learning_rate: 1e-8}")
    assert results.trials["stop_rule"].tolist() == ["slow start", "slow start"]
    assert results.trials["epochs"].tolist() == [3, 3]
