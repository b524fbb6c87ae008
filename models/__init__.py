"""The networks that are trained: teacher, student, and which of their layers are frozen."""

from glosstune.models.building import build_model
from glosstune.models.freezing import freeze_until, progressive_stages, thaw, trainable_parameters
from glosstune.models.modalities import FEATURE_WIDTH, MODALITY_WIDTHS
from glosstune.models.student import MobileNetV3Student
from glosstune.models.teacher import I3DTeacher

__all__ = [
    "FEATURE_WIDTH",
    "MODALITY_WIDTHS",
    "I3DTeacher",
    "MobileNetV3Student",
    "build_model",
    "freeze_until",
    "progressive_stages",
    "thaw",
    "trainable_parameters",
]
