"""What all tests share: a small corpus, packed once, and one Ray cluster."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

# Ray decides on authentication when it is imported; these tests talk to a cluster of their own on loopback.
os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ["RAY_AIR_NEW_OUTPUT"] = "0"

from glosstune.trainables.corpora import PackedCorpus, pack_corpus
from glosstune.trainables.corpora.geometry import expand
from glosstune.trainables.settings import CorpusSettings

torch.set_num_threads(1)

# A busy machine is no failure of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

SIGNERS = ("ase", "gsg", "psr")


@pytest.fixture(scope="session")
def corpus_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("corpora")


@pytest.fixture(scope="session")
def small_settings(corpus_cache: Path) -> CorpusSettings:
    return CorpusSettings(sentences=24, signers=SIGNERS, cache=corpus_cache)


@pytest.fixture(scope="session")
def small_corpus(small_settings: CorpusSettings) -> PackedCorpus:
    return pack_corpus(small_settings)


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture
def phoenix_folder(small_corpus: PackedCorpus, tmp_path: Path) -> Callable[[bool], Path]:
    """Make a small PHOENIX-style folder of the embedded corpus, with all 6516 values or the 1629 base values."""

    def write(full: bool) -> Path:
        root = tmp_path / "phoenix"
        rows = {split: ["id|folder|signer|annotation"] for split in ("train", "dev", "test")}
        for row, utterance in enumerate(small_corpus.table.itertuples()):
            frames = torch.from_numpy(small_corpus.frames(row).astype(np.float32))
            folder = root / str(utterance.split)
            folder.mkdir(parents=True, exist_ok=True)
            np.savez(folder / f"{utterance.key}.npz", features=(expand(frames) if full else frames).numpy())
            rows[str(utterance.split)].append(
                f"{utterance.key}|x|{utterance.signer}|{' '.join(small_corpus.glosses(row))}"
            )
        for split, lines in rows.items():
            (root / f"{split}.corpus.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return root

    return write
