"""How one trial trains; nothing here but ``CTCTrainable`` needs Ray."""

from typing import TYPE_CHECKING

from glosstune.trainables.decoding import greedy_decode
from glosstune.trainables.exporting import TrainedRecogniser, export_checkpoint, load_recogniser
from glosstune.trainables.scoring import ErrorRates, word_error_rate
from glosstune.trainables.session import TrainingSession
from glosstune.trainables.settings import (
    CorpusSettings,
    Gains,
    ModelSettings,
    TrainingSettings,
    TrialSettings,
    TunedSettings,
)

if TYPE_CHECKING:
    from glosstune.trainables.trainable import CTCTrainable

__all__ = [
    "CTCTrainable",
    "CorpusSettings",
    "ErrorRates",
    "Gains",
    "ModelSettings",
    "TrainedRecogniser",
    "TrainingSession",
    "TrainingSettings",
    "TrialSettings",
    "TunedSettings",
    "export_checkpoint",
    "greedy_decode",
    "load_recogniser",
    "word_error_rate",
]


def __getattr__(name: str) -> object:
    # Importing Ray takes two seconds, which training without it should not pay.
    if name == "CTCTrainable":
        from glosstune.trainables.trainable import CTCTrainable

        return CTCTrainable
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
