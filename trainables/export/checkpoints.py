"""What a trial leaves to go on from, read without running anything in it."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from glosstune.models.weights.weights_file import is_whole
from glosstune.spaces.errors import CheckpointError, shown
from glosstune.spaces.files.bounded import check_size, check_zip
from glosstune.spaces.parts import is_own
from glosstune.trainables.settings import TrialSettings

CHECKPOINT_KEYS = {
    "model",
    "trained",
    "optimiser",
    "epoch",
    "best_wer",
    "metrics",
    "vocabulary",
    "layout",
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
        check_size(path)
        check_zip(path)
        state = torch.load(path, map_location=device, weights_only=True)
        if not all(map(is_whole, _tensors(state))):
            raise ValueError("a tensor stands for more values than it holds")
    except Exception as error:  # torch raises a different type for each kind of damage
        raise CheckpointError(f"{path}: cannot be read as a checkpoint ({error})") from error
    missing = CHECKPOINT_KEYS - set(state) if isinstance(state, dict) else CHECKPOINT_KEYS
    if missing:
        raise CheckpointError(f"{path}: is no checkpoint of a trial: {', '.join(sorted(missing))} missing")
    return dict(state)


def _tensors(value: object) -> Iterator[torch.Tensor]:
    """Every tensor in plain data."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _tensors(part)


def recorded_settings(path: Path, recorded: object) -> TrialSettings:
    """The settings of the trial that wrote a file; CheckpointError if this version does not know them."""
    try:
        return TrialSettings.model_validate(recorded)
    except ValidationError as error:
        first = error.errors()[0]
        told = f"{'.'.join(map(str, first['loc']))}: {first['msg']}; got {shown(first['input'])}"
        raise CheckpointError(f"{path}: its settings are of another version ({told}); export it again") from error


def check_named(path: Path, settings: TrialSettings, kinds: Collection[str | None]) -> None:
    """Require that a file's model is glosstune's or one that the user has named.

    A file that comes from elsewhere would else have any module imported, which runs it.
    """
    kind = settings.model.kind
    if is_own(kind) and kind not in kinds:
        raise CheckpointError(
            f"{path}: its model is {kind}, code that is not glosstune's and that reading the file would run; if you "
            f"trust it, name it: --kind {kind}, teacher_kind of a sweep, or load_recogniser(path, [{kind!r}])"
        )
