"""The networks that are trained: teacher, student, their pretrained weights, and which of their layers are frozen."""

from typing import TYPE_CHECKING

from glosstune.spaces.lazy import import_later

if TYPE_CHECKING:
    from glosstune.models.building import build_model
    from glosstune.models.freezing import freeze_until, progressive_stages, thaw, trainable_parameters
    from glosstune.models.kinds import Architecture
    from glosstune.models.layers.modalities import FEATURE_WIDTH, MODALITY_WIDTHS
    from glosstune.models.recogniser import Recogniser
    from glosstune.models.student import MobileNetV3Student
    from glosstune.models.teacher import I3DTeacher
    from glosstune.models.verification import Check, verify_model
    from glosstune.models.weights.load_report import LoadEntry, LoadReport
    from glosstune.models.weights.pretrained import load_pretrained
    from glosstune.models.weights.weights_file import WeightsFile, read_weights, write_weights
else:
    # The names of their layers are wanted where nothing is trained, and importing torch takes seconds.
    __getattr__, __dir__ = import_later(__name__, __file__)

__all__ = [
    "FEATURE_WIDTH",
    "MODALITY_WIDTHS",
    "Architecture",
    "Check",
    "I3DTeacher",
    "LoadEntry",
    "LoadReport",
    "MobileNetV3Student",
    "Recogniser",
    "WeightsFile",
    "build_model",
    "freeze_until",
    "load_pretrained",
    "progressive_stages",
    "read_weights",
    "thaw",
    "trainable_parameters",
    "verify_model",
    "write_weights",
]
