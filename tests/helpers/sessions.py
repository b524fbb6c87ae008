"""Small trials, and what they report."""

from pathlib import Path

from glosstune.trainables import TrainingSession, TrialSettings


def trial_settings(pretrained: Path | None = None, **sections: dict[str, object]) -> TrialSettings:
    """A narrow model, a few epochs; sections change what they name."""
    defaults: dict[str, dict[str, object]] = {
        "model": {"width": 0.25},
        "training": {"epochs": 4, "batch_size": 8, "precision": "fp32"},
        "tuned": {"learning_rate": 1e-3, "dropout": 0.1},
    }
    merged = {name: {**defaults.get(name, {}), **sections.get(name, {})} for name in {*defaults, *sections}}
    return TrialSettings.model_validate({**merged, "pretrained": pretrained})


def curve(session: TrainingSession, epochs: int) -> list[dict[str, float]]:
    """Metrics of some epochs, without those that a clock tells."""
    rates = ("frames_per_s", "epoch_s")
    return [{name: value for name, value in session.run_epoch().items() if name not in rates} for _ in range(epochs)]
