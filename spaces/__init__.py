"""What a sweep may vary: parameters, conditions, spaces and the five strategies; needs neither Ray nor torch."""

from glosstune.spaces.errors import CheckpointError, CorpusError, FolderError, GlosstuneError, SettingError
from glosstune.spaces.parameters import Choice, Float, Int
from glosstune.spaces.space import Space
from glosstune.spaces.strategies import STRATEGIES, Strategy

__all__ = [
    "STRATEGIES",
    "CheckpointError",
    "Choice",
    "CorpusError",
    "Float",
    "FolderError",
    "GlosstuneError",
    "Int",
    "SettingError",
    "Space",
    "Strategy",
]
