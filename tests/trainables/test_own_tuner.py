"""The Trainable in a Tuner of one's own, without a sweep."""

import re
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler

from glosstune.results import load_results
from glosstune.trainables import CTCTrainable
from glosstune.trainables.settings import CorpusSettings, read_settings

GUIDE = Path(__file__).parents[2] / "docs" / "ray-tune.md"

pytestmark = pytest.mark.usefixtures("ray_cluster")


@pytest.fixture
def settings(small_settings: CorpusSettings) -> dict[str, Any]:
    return {
        "model": {"kind": "student", "width": 0.25},
        "corpus": small_settings.model_dump(mode="json"),
        "training": {"epochs": 3, "batch_size": 8, "precision": "fp32"},
        "tuned": {"learning_rate": 1e-3},
    }


def _losses(trial: Any, epochs: int) -> list[float]:
    return [trial.train()["train_loss"] for _ in range(epochs)]


@pytest.mark.slow
def test_the_example_of_the_guide_runs_as_it_is_printed(
    small_settings: CorpusSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", raising=False)  # which a driver of ours sets
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL)
    found: dict[str, Any] = {}
    corpus = small_settings.model_dump(mode="json")  # which is packed already
    exec(code.replace('{"sentences": 24}', repr(corpus)), found)
    results = found["results"]
    assert not results.errors
    assert [result.metrics["epoch"] for result in results] == [4, 4]
    assert {(result.metrics["training_iteration"], result.metrics["done"]) for result in results} == {(4, True)}
    for result in results:
        assert Path(result.checkpoint.path, "last.pt").is_file()
        assert {"best.pt", "hypotheses.parquet", "trial.log"} <= {path.name for path in Path(result.path).iterdir()}
    read = load_results(tmp_path / "runs" / "pbt")
    # A trial that takes over the checkpoint of a better one takes its lowest WER too, and forgets its own.
    assert read.best["wer_best"] == read.epochs["wer"].min() <= min(result.metrics["best_wer"] for result in results)


@pytest.mark.slow
def test_rays_own_halving_takes_nested_settings(settings: dict[str, Any], tmp_path: Path) -> None:
    space = {**settings, "tuned": {"learning_rate": tune.grid_search([1e-3, 1e-6])}}
    halving = AsyncHyperBandScheduler(time_attr="epoch", max_t=3, grace_period=1, reduction_factor=2)
    results = tune.Tuner(
        tune.with_resources(CTCTrainable, {"cpu": 1}),
        param_space=space,
        tune_config=tune.TuneConfig(metric="train_loss", mode="min", scheduler=halving, max_concurrent_trials=1),
        run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0),
    ).fit()
    assert not results.errors
    assert [result.metrics["epoch"] for result in results] == [3, 1]


def test_a_trial_goes_on_from_rays_checkpoint_as_if_it_had_never_stopped(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    first = CTCTrainable(config=dict(settings))
    _losses(first, 1)
    saved = first.save(str(tmp_path / "checkpoint"))
    second = CTCTrainable(config=dict(settings))
    second.restore(saved)
    assert _losses(second, 1) == _losses(first, 1)
    first.stop()
    second.stop()


def test_an_error_is_one_that_ray_sees(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="lerning_rate"):
        CTCTrainable(config={**settings, "tuned.lerning_rate": 1e-3})


def test_names_with_dots_are_sections() -> None:
    dotted = read_settings({"tuned.dropout": 0.2, "corpus": {"gains.face": 0.5}, "tuned": {"warmup_epochs": 2}})
    nested = {"tuned": {"dropout": 0.2, "warmup_epochs": 2}, "corpus": {"gains": {"face": 0.5}}}
    assert dotted == read_settings(nested)
    assert (dotted.tuned.dropout, dotted.tuned.warmup_epochs, dotted.corpus.gains.face) == (0.2, 2, 0.5)
