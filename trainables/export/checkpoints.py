"""What a trial leaves to go on from, read without running anything in it."""

from pathlib import Path
from typing import Any

import torch

from glosstune.spaces.errors import CheckpointError

CHECKPOINT_KEYS = {
    "model",
    "optimiser",
    "epoch",
    "best_wer",
    "metrics",
    "vocabulary",
    "settings",
    "recordings",
    "fresh",
    "conditioning",
    "micro_batches",
    "taught_by",
}


def read_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """What ``save`` has written, on a device; nothing in the file is executed.

    Raises:
        CheckpointError: it is damaged, or no checkpoint of a trial.
    """
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises a different type for each kind of damage
        raise CheckpointError(f"{path}: cannot be read as a checkpoint ({error})") from error
    missing = CHECKPOINT_KEYS - set(state) if isinstance(state, dict) else CHECKPOINT_KEYS
    if missing:
        raise CheckpointError(f"{path}: is no checkpoint of a trial: {', '.join(sorted(missing))} missing")
    return dict(state)
