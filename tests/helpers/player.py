"""A Trainable that replays made-up learning curves: everything of a trial but its training."""

import ctypes
import errno
import json
import math
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray
import replay

from glosstune.results.reading.epoch_metrics import METRICS
from glosstune.spaces.errors import CheckpointError
from glosstune.spaces.files.atomic import write_whole
from glosstune.trainables.settings import TrialSettings
from glosstune.trainables.trainable import CTCTrainable, TrialContext, in_sweep

# Workers cannot import the tests.
for module in (sys.modules[__name__], replay):
    ray.cloudpickle.register_pickle_by_value(module)


class ReplaySession:
    """What a ``CTCTrainable`` asks of a training session, from a formula."""

    def __init__(self, settings: TrialSettings, pause_s: float) -> None:
        tuned = settings.tuned
        self.configuration = {name: getattr(tuned, name) for name in ("learning_rate", "dropout", "warmup_epochs")}
        self.width = settings.model.width
        self.pause_s = pause_s
        self.epoch = 0
        self.metrics: dict[str, float] = {}
        self.improved = False
        self.best_wer = math.inf
        self.hypotheses = None
        self.load_report = None

    def run_epoch(self) -> dict[str, float]:
        time.sleep(self.pause_s)
        if self.configuration["dropout"] > 0.45:
            raise RuntimeError("dropout above 0.45 breaks this model")
        self.epoch += 1
        known = replay.learning(self.configuration, self.epoch)
        self.improved = known["wer"] < self.best_wer
        self.best_wer = min(self.best_wer, known["wer"])
        self.metrics = {**dict.fromkeys(METRICS, 0.0), **known, "best_wer": self.best_wer, "epoch": self.epoch}
        return self.metrics

    def save(self, path: Path) -> None:
        state = json.dumps({"epoch": self.epoch, "metrics": self.metrics, "best_wer": self.best_wer})
        write_whole(path, lambda partial: partial.write_text(state))
        self.tell_where(path.parent)

    def tell_where(self, folder: Path) -> None:
        """Leave process and node of the trial in its folder."""
        write_whole(folder / "pid", lambda partial: partial.write_text(str(os.getpid())))
        with (folder / "nodes").open("a") as nodes:
            nodes.write(f"{ray.get_runtime_context().get_node_id()}\n")

    def load(self, path: Path) -> None:
        try:
            state = json.loads(path.read_text())
            self.epoch, self.metrics, self.best_wer = state["epoch"], state["metrics"], state["best_wer"]
        except ValueError as error:
            raise CheckpointError(f"{path}: damaged") from error


class Player(CTCTrainable):
    """A trial whose sessions are replayed."""

    pause_s = 0.0

    def _new_session(self, settings: TrialSettings) -> Any:
        return ReplaySession(settings, self.pause_s)

    def _costs(self, objectives: Sequence[str]) -> dict[str, float]:
        return replay.costs({"width": self._session.width}) or {}


class SlowPlayer(Player):
    """The same at a pace that leaves time for a crash."""

    pause_s = 0.04


class SteadyPlayer(Player):
    """The same at a pace that lets nodes come and go, for as long as the sweep's folder holds a file ``steady``."""

    def _train_epoch(self) -> dict[str, Any]:
        if (self._folder.parents[1] / "steady").exists():
            time.sleep(0.5)
        return super()._train_epoch()


class MortalPlayer(SlowPlayer):
    """The first trial's process dies in its third epoch, every time."""

    def _train_epoch(self) -> dict[str, Any]:
        if self._folder.name == "0000" and self._session.epoch == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._train_epoch()


class HangingPlayer(Player):
    """The first trial's process stands still before its first epoch, once; and hangs in its third, once, in C and with
    Python's own lock held.
    """

    def _new_session(self, settings: TrialSettings) -> Any:
        stood = self._folder / "stood still"
        if self._folder.name == "0000" and not stood.exists():
            stood.touch()
            time.sleep(600)
        return super()._new_session(settings)

    def _train_epoch(self) -> dict[str, Any]:
        hung = self._folder / "hung"
        if self._folder.name == "0000" and self._session.epoch == 2 and not hung.exists():
            hung.touch()
            ctypes.PyDLL(None).pause()
        return super()._train_epoch()


class FullPlayer(SlowPlayer):
    """The disk is full when the third epoch of the first trial is written, for as long as two processes try."""

    def _train_epoch(self) -> dict[str, Any]:
        tries = self._folder / "tries"
        tried = len(tries.read_text()) if tries.exists() else 0
        if self._folder.name == "0000" and self._session.epoch == 2 and tried < 2:
            tries.write_text("x" * (tried + 1))
            write_whole(self._folder / "last.pt", _fill_disk)
        return super()._train_epoch()


def _fill_disk(partial: Path) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def play(folder: Path, kind: type[Player] = Player, uri: str | None = None, hang_min: float | None = None) -> Any:
    """The Trainable that replays the trials of the sweep in a folder, or at an address."""
    context = TrialContext(uri or str(folder), threads=1, hang_min=hang_min)
    return in_sweep(kind, context)
