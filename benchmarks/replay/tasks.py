"""The recorded tasks: their curves, what is aimed for on each, and the limit that no search on them can beat."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from glosstune.search import load_sweep
from glosstune.search.config.sweep import Sweep
from glosstune.search.scheduler.experience.known import KnownSweep, best_of, fitting
from replay.surrogate import Surrogate, configuration_of

TASKS = Path(__file__).parents[1] / "tasks"
# Targets are what this share of the recorded configurations comes to, from easy to hard.
SHARES = (0.4, 0.2, 0.1, 0.05)


@dataclass(frozen=True)
class Task:
    """A task.

    Attributes:
        sweep: over its space.
        table: a row an epoch of every configuration, all of the same length; ``wer`` is that of averaged weights.
    """

    name: str
    sweep: Sweep
    table: pd.DataFrame

    @classmethod
    def read(cls, path: Path) -> "Task":
        """That of a parquet file of ``record_tasks.py``, whose sweep lies beside it."""
        return cls.of(load_sweep(path.with_suffix(".yaml")), pd.read_parquet(path))

    @classmethod
    def of(cls, sweep: Sweep, table: pd.DataFrame) -> "Task":
        """That of recorded rows."""
        trunk = table[table["branch"] == 0].assign(wer=lambda rows: rows["wer_averaged"])
        return cls(sweep.name, sweep, _filled(trunk, sweep.training.epochs))

    @cached_property
    def surrogate(self) -> Surrogate:
        """What answers for every configuration."""
        return Surrogate(self.table)

    @cached_property
    def targets(self) -> list[float]:
        """WERs, of which ``SHARES`` of the recorded configurations stay below."""
        best = self.table.groupby("configuration")["wer"].min()
        # Just above, so that the configuration whose WER it is counts.
        return [float(np.quantile(best, share, method="lower")) + 1e-6 for share in SHARES]

    @cached_property
    def limits(self) -> list[float]:
        """Device-seconds of the recorded run that is quickest to each target."""
        return [
            min(seconds_to(rows, target) for _, rows in self.table.groupby("configuration")) for target in self.targets
        ]

    @cached_property
    def known(self) -> KnownSweep:
        """What searches on other tasks may know of it."""
        trials = [(configuration_of(rows), float(rows["wer"].min())) for _, rows in self.table.groupby("configuration")]
        return KnownSweep(self.name, self.sweep.model.kind, best_of(trials))


def others(tasks: Iterable[Task], task: Task) -> Sequence[KnownSweep]:
    """What a search on a task may know: the tasks on another corpus with the same kind of model."""
    kind = task.sweep.corpus.kind
    return fitting([other.known for other in tasks if other.sweep.corpus.kind != kind], task.sweep)


def _filled(table: pd.DataFrame, epochs: int) -> pd.DataFrame:
    """With the last epoch of what was stopped as stuck held to the end."""
    parts = []
    for _, rows in table.sort_values("epoch").groupby("configuration"):
        lacking = epochs - len(rows)
        held = pd.concat([rows.iloc[[-1]]] * lacking) if lacking else rows.iloc[:0]
        parts.append(pd.concat([rows, held]).assign(epoch=range(1, epochs + 1)))
    return pd.concat(parts, ignore_index=True)


def seconds_to(rows: pd.DataFrame, target: float, score: str = "wer") -> float:
    """Device-seconds that a recorded run takes to a WER below a target; infinity where it does not get there."""
    reached = rows[score].to_numpy() < target
    return float(rows["cpu_s"].cumsum().iloc[reached.argmax()]) if reached.any() else float("inf")
