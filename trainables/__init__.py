"""How one trial trains; nothing here but ``CTCTrainable`` needs Ray."""

from typing import TYPE_CHECKING

from glosstune.spaces.lazy import import_later

if TYPE_CHECKING:
    from glosstune.trainables.ctc.decoding import greedy_decode
    from glosstune.trainables.ctc.scoring import ErrorRates, word_error_rate
    from glosstune.trainables.export.exporting import TrainedRecogniser, export_checkpoint, load_recogniser
    from glosstune.trainables.settings import (
        CorpusSettings,
        Gains,
        ModelSettings,
        TrainingSettings,
        TrialSettings,
        TunedSettings,
    )
    from glosstune.trainables.trainable import CTCTrainable
    from glosstune.trainables.training.session import TrainingSession
else:
    # Settings need neither torch nor Ray, training no Ray; each takes seconds to import.
    __getattr__, __dir__ = import_later(__name__, __file__)

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
