"""How trials are chosen, run, stopped and resumed."""

from glosstune.search.launch import launch
from glosstune.search.resuming import resume
from glosstune.search.sweep import Sweep, load_sweep
from glosstune.search.weights import with_weights

__all__ = ["Sweep", "launch", "load_sweep", "resume", "with_weights"]
