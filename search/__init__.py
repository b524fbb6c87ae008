"""How trials are chosen, run, stopped and resumed."""

from typing import TYPE_CHECKING

from glosstune.spaces.lazy import import_later

if TYPE_CHECKING:
    from glosstune.search.config.loading import load_sweep
    from glosstune.search.config.sweep import Sweep
    from glosstune.search.driver.launching import launch
    from glosstune.search.driver.resuming import resume
    from glosstune.search.driver.weights import with_weights
else:
    # torch and Optuna take seconds to import, which neither glosstune --help nor a wrong key should wait for.
    __getattr__, __dir__ = import_later(__name__, __file__)

__all__ = ["Sweep", "launch", "load_sweep", "resume", "with_weights"]
