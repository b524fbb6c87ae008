"""How trials are chosen and run."""

from glosstune.search.launch import launch
from glosstune.search.sweep import Sweep, load_sweep
from glosstune.search.weights import with_weights

__all__ = ["Sweep", "launch", "load_sweep", "with_weights"]
