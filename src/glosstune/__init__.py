"""Finds the training recipe of a continuous sign-language recogniser, from Python as from the command line."""

from typing import TYPE_CHECKING

try:
    from glosstune.spaces.lazy import import_later
except ModuleNotFoundError as error:
    where = f"{__path__[0]} lacks the links to the packages of its checkout"
    raise ImportError(f"{where}; make them in its root with: pip install -e .") from error

if TYPE_CHECKING:
    from glosstune.background import BackgroundSweep
    from glosstune.results.showing import Results, load_results
    from glosstune.running import resume, sweep
    from glosstune.search.config.loading import load_sweep
    from glosstune.search.config.sweep import Sweep
    from glosstune.trainables.export.exporting import TrainedRecogniser, load_recogniser
else:
    # pandas, torch and Ray take seconds to import.
    __getattr__, __dir__ = import_later(__name__, __file__)

__version__ = "0.2.0"

__all__ = [
    "BackgroundSweep",
    "Results",
    "Sweep",
    "TrainedRecogniser",
    "__version__",
    "load_recogniser",
    "load_results",
    "load_sweep",
    "resume",
    "sweep",
]
