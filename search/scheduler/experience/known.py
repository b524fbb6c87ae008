"""The best configurations of other sweeps: of those that come along, or of folders that users name."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from glosstune.results.reading.events import FAILED
from glosstune.results.reading.names import RECORD
from glosstune.results.reading.record import read_record
from glosstune.search.config.sweep import Sweep
from glosstune.search.scheduler.ranking import lowest
from glosstune.spaces.errors import FolderError
from glosstune.spaces.parameters import Scalar

PACKAGED = "packaged.json"
# Of the trials of a sweep.
_BEST = 0.1

Configuration = Mapping[str, Scalar]


@dataclass(frozen=True)
class KnownSweep:
    """A sweep that was made before.

    Attributes:
        name: tells it from others.
        model: the kind that it trained; None where that does not matter.
        best: its best configurations, as far as they were searched.
    """

    name: str
    model: str | None
    best: Sequence[Configuration]


def known_to(sweep: Sweep) -> Sequence[KnownSweep]:
    """The sweeps that ``search.prior`` names, of the packaged ones those of the same kind of model.

    Raises:
        FolderError: a folder holds no record of a sweep, or no trial that has shown a WER.
    """
    prior = sweep.search.prior
    if prior == "none":
        return ()
    if prior == "packaged":
        return fitting(packaged(), sweep)
    found = []
    for folder in prior:
        try:
            record = read_record(folder)
        except FolderError as error:
            raise FolderError(f"search.prior: {error}; it is packaged, none, or folders of sweeps") from error
        trials = [trial for trial in record.trials.values() if trial.status != FAILED]
        scored = [(trial.configuration, lowest([*trial.reports.values()], sweep.search.metric)) for trial in trials]
        shown = [(configuration, score) for configuration, score in scored if score < math.inf]
        if not shown:
            rule = f"none of its {len(trials)} trials has shown a {sweep.search.metric}"
            raise FolderError(f"{folder / RECORD}: {rule}, so search.prior can learn nothing from it")
        found.append(KnownSweep(str(folder), None, best_of(shown)))
    return found


def fitting(known: Sequence[KnownSweep], sweep: Sweep) -> list[KnownSweep]:
    """Those of a sweep's kind of model: rates of a student are too fast for a teacher."""
    return [each for each in known if each.model in (None, sweep.model.kind)]


def best_of(trials: Sequence[tuple[Configuration, float]]) -> list[Configuration]:
    """The best tenth of configurations with the lowest that each came to, one at least."""
    ranked = sorted(trials, key=lambda trial: trial[1])
    return [configuration for configuration, _ in ranked[: max(1, round(_BEST * len(ranked)))]]


@cache
def packaged() -> tuple[KnownSweep, ...]:
    """The sweeps that come along (see benchmarks/record_tasks.py)."""
    text = resources.files(__package__).joinpath(PACKAGED).read_text(encoding="utf-8")
    return tuple(KnownSweep(name, told["model"], told["best"]) for name, told in json.loads(text).items())
