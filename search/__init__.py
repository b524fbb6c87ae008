"""How trials are chosen and run."""

from glosstune.search.launch import launch
from glosstune.search.sweep import Sweep, load_sweep

__all__ = ["Sweep", "launch", "load_sweep"]
