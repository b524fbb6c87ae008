from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ray import tune

from glosstune.trainables import CTCTrainable, TrialSettings
from glosstune.trainables.settings import CorpusSettings
from glosstune.trainables.trainable import TrialContext

CONFIG = {"trial": 0, "learning_rate": 1e-3}


@pytest.fixture
def trainable(ray_cluster: None, small_settings: CorpusSettings, tmp_path: Path) -> Any:
    def build(configuration: Mapping[str, object]) -> TrialSettings:
        return TrialSettings.model_validate(
            {
                "model": {"width": 0.25},
                "corpus": small_settings.model_dump(),
                "training": {"batch_size": 8, "precision": "fp32"},
                "tuned": dict(configuration),
            }
        )

    context = TrialContext(build=build, folder=tmp_path, threads=1, metric="dev_loss")
    return tune.with_parameters(CTCTrainable, context=context)


def _losses(trial: Any, epochs: int) -> list[float]:
    return [trial.train()["train_loss"] for _ in range(epochs)]


def test_a_restored_trial_goes_on_from_its_newest_epoch(trainable: Any, tmp_path: Path) -> None:
    whole = trainable(config=dict(CONFIG))
    losses = _losses(whole, 2)
    (tmp_path / "checkpoint").mkdir()
    whole.save_checkpoint(str(tmp_path / "checkpoint"))
    restored = trainable(config=dict(CONFIG))
    restored.load_checkpoint(str(tmp_path / "checkpoint"))
    assert _losses(restored, 1) == _losses(whole, 1) != losses[:1]
    whole.stop()
    restored.stop()


def test_a_reused_process_trains_the_next_trial_as_a_fresh_one_would(trainable: Any, tmp_path: Path) -> None:
    reused = trainable(config=dict(CONFIG))
    _losses(reused, 1)
    assert reused.reset({"trial": 1, "learning_rate": 2e-3})
    fresh = trainable(config={"trial": 2, "learning_rate": 2e-3})
    assert _losses(reused, 1) == _losses(fresh, 1)
    reused.stop()
    fresh.stop()
    assert {path.name for path in (tmp_path / "trials").iterdir()} == {"0000", "0001", "0002"}
    assert "configuration" in (tmp_path / "trials" / "0001" / "trial.log").read_text()


def test_the_objective_is_the_lowest_value_of_the_metric_so_far(trainable: Any) -> None:
    trial = trainable(config=dict(CONFIG))
    reports = [trial.train() for _ in range(3)]
    lowest = [min(report["dev_loss"] for report in reports[: index + 1]) for index in range(3)]
    assert [report["objective"] for report in reports] == lowest
    trial.stop()
