"""What all tests share: a small corpus, packed once, and one Ray cluster."""

import importlib
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path
from tempfile import mkdtemp
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
import torch
from feature_folder import with_temporal, write_folder
from hypothesis import settings
from s3_server import KEY, SECRET, S3Server, serve_s3

# Ray decides on authentication when it is imported; these tests talk to a cluster of their own on loopback.
os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
# Ray's workers take the environment over from the first test that starts them.
os.environ["AWS_ACCESS_KEY_ID"] = KEY
os.environ["AWS_SECRET_ACCESS_KEY"] = SECRET
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
# For the workers of xdist and all that they start: more threads than cores wait for one another.
os.environ["OMP_NUM_THREADS"] = "1"
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # which counts when Triton is imported
os.environ["GLOSSTUNE_CACHE"] = mkdtemp(prefix="glosstune-tests-")

from glosstune.trainables import TrainingSession, TrialSettings, export_checkpoint
from glosstune.trainables.corpora import FingerspellingCorpus, PackedCorpus, pack_corpus
from glosstune.trainables.settings import CorpusSettings, Gains

if TYPE_CHECKING:
    from forked_workers import Forks

torch.set_num_threads(1)

# Where a script runs the tests in its background, its shell has them, and all that they start, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is no failure of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
# For --hypothesis-profile: where it is the libraries that are tested and not what is drawn.
settings.register_profile("few", deadline=None, max_examples=5)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--every", type=int, default=1, metavar="N", help="Of all tests each Nth alone.")


@pytest.hookimpl(trylast=True)  # of those that -m leaves
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that no worker is left with one when the other has nothing to do."""
    every = config.getoption("--every")
    config.hook.pytest_deselected(items=[item for place, item in enumerate(items) if place % every])
    items[:] = items[::every]
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_sessionfinish() -> None:
    shutil.rmtree(os.environ["GLOSSTUNE_CACHE"], ignore_errors=True)


SIGNERS = ("ase", "gsg", "psr")


@pytest.fixture
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """For results that have to repeat bit by bit, which on CUDA the CTC loss, the LSTM and other kernels do not."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture(scope="session")
def corpus_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("corpora")


@pytest.fixture
def benchmark_module(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a module that lies in benchmarks/, by its name there."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return importlib.import_module


@pytest.fixture(scope="session")
def small_settings(corpus_cache: Path) -> CorpusSettings:
    return CorpusSettings(sentences=24, signers=SIGNERS, gains=Gains(), cache=corpus_cache)


@pytest.fixture(scope="session")
def small_corpus(small_settings: CorpusSettings) -> PackedCorpus:
    return pack_corpus(small_settings)


@pytest.fixture(scope="session")
def exported_teacher(small_settings: CorpusSettings, small_corpus: PackedCorpus, corpus_cache: Path) -> Path:
    """A teacher of two epochs, exported."""
    sections = {"model": {"kind": "teacher", "width": 0.25}, "training": {"epochs": 2, "batch_size": 8}}
    settings = TrialSettings.model_validate({"corpus": small_settings, **sections, "tuned": {"learning_rate": 3e-3}})
    session = TrainingSession(settings, small_corpus, device=torch.device("cpu"))
    for _ in range(2):
        session.run_epoch()
    session.save(corpus_cache / "teacher.pt")
    export_checkpoint(corpus_cache / "teacher.pt", corpus_cache / "teacher.safetensors", {"wer": session.best_wer})
    return corpus_cache / "teacher.safetensors"


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Forks"]:
    """For Rays whose workers begin at once."""
    from forked_workers import forked_workers

    with forked_workers(tmp_path_factory.mktemp("forks")) as forks:
        yield forks


@pytest.fixture(scope="session")
def ray_cluster(forks: "Forks") -> Iterator[None]:
    import ray

    from glosstune.search.nodes.resources import try_to_start

    asked = {"num_cpus": 2, "include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    with forks.used():
        try_to_start(lambda: ray.init("local", **asked))
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A server of S3 on loopback, with a bucket ``bucket``."""
    with serve_s3() as server:
        yield server


@pytest.fixture
def s3(s3_server: S3Server) -> Iterator[S3Server]:
    """The same; every fault that a test injects ends with it."""
    yield s3_server
    s3_server.fault = None


@pytest.fixture(scope="session")
def drivers() -> ForkServerContext:
    from victim import start_drivers

    return start_drivers()


@pytest.fixture
def phoenix_folder(tmp_path: Path) -> Callable[[bool], Path]:
    """Make a small PHOENIX-style folder of the embedded corpus, with all 6516 values or the 1629 base values."""
    corpus = FingerspellingCorpus(sentences=24, signers=SIGNERS)
    return lambda full: write_folder(
        tmp_path / "phoenix", corpus, change=with_temporal if full else lambda values: values
    )
