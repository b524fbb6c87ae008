"""Small trials with frozen layers, and the stores of what those gave."""

from pathlib import Path
from typing import Any

import torch

from glosstune.models import freeze_until
from glosstune.models.kinds import KINDS
from glosstune.trainables import TrainingSession, TrialSettings
from glosstune.trainables.activations import ActivationCache, ActivationStore
from glosstune.trainables.corpora import PackedCorpus

CPU = torch.device("cpu")
LAYERS = {kind: known.architecture.layers for kind, known in KINDS.items()}


def trial_of(cache: Path, weights: Path, kind: str = "teacher", **changes: Any) -> TrialSettings:
    tree = {
        "model": {"kind": kind, "width": 0.25, "norm": "batch", **changes.pop("model", {})},
        "corpus": {"cache": cache},
        "training": {"epochs": 3, "batch_size": 8, "precision": "fp32", **changes.pop("training", {})},
        "tuned": {"strategy": "fine-tune", "learning_rate": 1e-3, "dropout": 0.1, **changes.pop("tuned", {})},
        "pretrained": weights,
    }
    return TrialSettings.model_validate({**tree, **changes})


def find_store(
    settings: TrialSettings, corpus: PackedCorpus
) -> tuple[TrainingSession, ActivationStore | None, list[str]]:
    """A session frozen as in its first epoch, what its frozen layers gave, and what was said."""
    said: list[str] = []
    session = TrainingSession(settings, corpus, device=CPU)
    freeze_until(session.model, settings.tuned.freeze_until or "mixed_4f")
    cache = ActivationCache(settings, corpus, session.conditioning, CPU, said.append)
    return session, cache.find(session.model), said


def stores_in(cache: Path) -> list[Path]:
    return sorted((cache / "activations").glob("store-*/"))
