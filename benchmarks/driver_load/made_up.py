"""Trials of which everything is real but their training: epochs are pauses, curves are a formula."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from glosstune.results.reading.epoch_metrics import METRICS
from glosstune.search import Sweep, load_sweep
from glosstune.spaces.files.atomic import write_whole
from glosstune.trainables.settings import TrialSettings
from glosstune.trainables.trainable import CTCTrainable, TrialContext, in_sweep

SPACE = "{learning_rate: {float: [1e-5, 1e-1], log: true}, dropout: {float: [0, 0.5]}, warmup_epochs: {int: [0, 2]}}"
EPOCHS, MIN_EPOCHS, REDUCTION = 18, 2, 3


def sweep_of(samples: int, *overrides: str) -> Sweep:
    """A sweep over three parameters."""
    fixed = [f"space={SPACE}", "search.start_points=[]", f"search.samples={samples}", f"training.epochs={EPOCHS}"]
    rungs = [f"halving.min_epochs={MIN_EPOCHS}", f"halving.reduction={REDUCTION}"]
    return load_sweep("student", [*fixed, *rungs, *overrides])


def replayed(configuration: Mapping[str, Any], epoch: int) -> dict[str, float]:
    """Metrics of an epoch: a trial learns the better, the nearer its rate is to 1e-3 and its dropout to 0."""
    distance = abs(math.log10(configuration["learning_rate"]) + 3) + configuration["dropout"]
    learned = 1 - math.exp(-0.3 * max(0.1, 1.2 - distance) * epoch)
    # All digits, as real ones have; nothing that a rule would stop a trial for.
    rest = {name: learned / (3 + place) for place, name in enumerate(METRICS)}
    shown = {"wer": max(0.02, 1.05 - 1.2 * learned), "train_loss": 3 * (1 - learned), "loss_below_floor": learned}
    return {**rest, **shown, "loss_below_floor_se": 0.001, "epoch_s": 1.0}


class Session:
    """What a ``CTCTrainable`` asks of a training session."""

    def __init__(self, settings: TrialSettings, trials: Path, epoch_s: float, together: int) -> None:
        tuned = settings.tuned
        self.configuration = {name: getattr(tuned, name) for name in ("learning_rate", "dropout")}
        self.trials, self.epoch_s, self.together = trials, epoch_s, together
        self.epoch = 0
        self.metrics: dict[str, float] = {}
        self.improved, self.hypotheses, self.load_report = False, None, None

    def run_epoch(self) -> dict[str, float]:
        """Wait until as many trials have begun as are to run together, so that none ends before all are there."""
        while self.epoch == 0 and sum(1 for _ in self.trials.glob("*/trial.log")) < self.together:
            time.sleep(min(1.0, self.epoch_s))
        time.sleep(self.epoch_s)
        self.epoch += 1
        self.metrics = {**replayed(self.configuration, self.epoch), "epoch": self.epoch}
        return self.metrics

    def save(self, path: Path) -> None:
        state = json.dumps({"epoch": self.epoch, "metrics": self.metrics})
        write_whole(path, lambda partial: partial.write_text(state))

    def load(self, path: Path) -> None:
        state = json.loads(path.read_text())
        self.epoch, self.metrics = state["epoch"], state["metrics"]


class Replay(CTCTrainable):
    """A trial of which everything is real but its training."""

    def setup(
        self, config: dict[str, Any], context: TrialContext | None = None, epoch_s: float = 0.0, together: int = 1
    ) -> None:
        self._epoch_s, self._together = epoch_s, together
        super().setup(config, context)

    def _new_session(self, settings: TrialSettings) -> Any:
        return Session(settings, self._folder.parent, self._epoch_s, self._together)

    def _costs(self, objectives: Sequence[str]) -> dict[str, float]:
        return {"parameters": 1e6, "size_mb": 4.0}


def replay_of(folder: Path, epoch_s: float, together: int) -> Any:
    """The trainable of a sweep."""
    context = TrialContext(str(folder), threads=1)
    return in_sweep(Replay, context, epoch_s=epoch_s, together=together)
