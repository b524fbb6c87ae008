"""The Ray Tune Trainable around a training session."""

import json
import logging
import math
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ray import tune

from glosstune.trainables.corpora import PackedCorpus, pack_corpus
from glosstune.trainables.files import write_whole
from glosstune.trainables.session import TrainingSession
from glosstune.trainables.settings import TrialSettings

POINTER = "checkpoint.json"


@dataclass(frozen=True)
class TrialContext:
    """What all trials of a sweep share.

    Attributes:
        build: turns a configuration into the settings of a trial.
        folder: the sweep's folder, absolute.
        threads: torch threads; more than the trial's CPUs makes concurrent trials several times slower.
        metric: the metric whose lowest value so far is reported as ``objective``.
    """

    build: Callable[[Mapping[str, object]], TrialSettings]
    folder: Path
    threads: int
    metric: str


class CTCTrainable(tune.Trainable):
    """One trial: a thin shell around ``TrainingSession`` that writes into the sweep's folder.

    ``<folder>/trials/0003`` receives ``last.pt`` after every epoch, ``best.pt`` and ``hypotheses.parquet``
    after every improvement, and ``trial.log``. Ray's own checkpoint only points at ``last.pt``, which is
    written before the epoch is reported.

    ``tune.with_parameters(CTCTrainable, context=...)`` gives it a ``TrialContext``.
    """

    _objective: float = math.inf

    def setup(self, config: dict[str, Any], context: TrialContext | None = None) -> None:
        assert context is not None, "use tune.with_parameters(CTCTrainable, context=TrialContext(...))"
        self._context = context
        torch.set_num_threads(context.threads)
        self._corpus: tuple[dict[str, Any], PackedCorpus] | None = None
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take another trial into the same process, which saves the seconds that a new one needs to start."""
        self._end()
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        try:
            metrics = self._session.run_epoch()
        except Exception:
            self._log.error("epoch %d failed\n%s", self._session.epoch + 1, traceback.format_exc())
            raise
        value = metrics[self._context.metric]
        # A comparison with NaN is false, so that a diverged epoch improves nothing.
        if value < self._objective:
            self._objective = value
        if self._session.improved and self._session.hypotheses is not None:
            self._session.save(self._folder / "best.pt")
            write_whole(self._folder / "hypotheses.parquet", self._session.hypotheses.to_parquet)
        self._session.save(self._folder / "last.pt")
        self._log.info("%s", json.dumps(metrics))
        return {**metrics, "objective": self._objective}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        pointer = {"checkpoint": str(self._folder / "last.pt"), "objective": self._objective}
        (Path(checkpoint_dir) / POINTER).write_text(json.dumps(pointer))

    def load_checkpoint(self, checkpoint_dir: Any) -> None:  # a folder, though Ray declares a dict
        if checkpoint_dir is None:
            return
        pointer = json.loads((Path(checkpoint_dir) / POINTER).read_text())
        self._session.load(Path(pointer["checkpoint"]))
        self._objective = pointer["objective"]

    def cleanup(self) -> None:
        self._end()

    def _begin(self, config: Mapping[str, Any]) -> None:
        self._folder = self._context.folder / "trials" / trial_name(config["trial"])
        self._folder.mkdir(parents=True, exist_ok=True)
        parameters = {name: value for name, value in config.items() if name != "trial"}
        self._log = logging.getLogger(f"glosstune.trial.{config['trial']}")
        self._log.setLevel(logging.INFO)
        self._log.propagate = False
        handler = logging.FileHandler(self._folder / "trial.log", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._log.addHandler(handler)
        self._log.info("configuration %s", json.dumps(parameters))
        try:
            settings = self._context.build(parameters)
            self._session = TrainingSession(settings, self._packed(settings))
            if (report := self._session.load_report) is not None:
                described = json.dumps(report.to_mapping(), indent=1)
                write_whole(self._folder / "pretrained.json", lambda partial: partial.write_text(described))
        except Exception:
            self._log.error("the trial could not start\n%s", traceback.format_exc())
            raise
        self._objective = math.inf

    def _packed(self, settings: TrialSettings) -> PackedCorpus:
        # Gains differ from trial to trial; the packed corpus does not depend on them.
        source = settings.corpus.model_dump(exclude={"gains", "noise_floor"})
        if self._corpus is None or self._corpus[0] != source:
            self._corpus = source, pack_corpus(settings.corpus)
        return self._corpus[1]

    def _end(self) -> None:
        for handler in list(self._log.handlers):
            handler.close()
            self._log.removeHandler(handler)


def trial_name(number: int) -> str:
    """Folder of a trial below ``trials``."""
    return f"{number:04d}"
