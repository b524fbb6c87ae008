"""Find the WER among what a Ray Tune experiment has reported, whatever it is called and however it is counted."""

import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

from glosstune.results.reading.events import Metrics

# What the warning about experiments without a WER begins with, for those who know.
NO_WER = "no trial has reported wer"
_OF_DEV = {"dev", "val", "valid", "validation", "eval"}
_NOT_OF_DEV = {"train", "training", "test"}
_PERCENT = 2
_LISTED = 12


def settle_wer(folder: Path, reports: Sequence[Metrics]) -> None:
    """Give the reports a ``wer`` where it goes by another name, as fractions where it is in percent, and say so.

    Warns:
        UserWarning: what was taken for what; or which metrics there are where none can be taken for a WER.
    """
    names = list(dict.fromkeys(name for metrics in reports for name in metrics))
    for name in filter(_is_wer, names):
        _make_fractions(folder, name, reports)
    if not reports or "wer" in names:
        return
    guessed = _guess(names)
    if guessed is None:
        listed = ", ".join(names[:_LISTED]) + ", …" * (len(names) > _LISTED)
        way_out = "name one with --metric, in Python with rank_trials(results, metric=NAME)"
        warnings.warn(f"{folder}: {NO_WER}, but {listed or 'nothing'}; {way_out}", stacklevel=4)
        return
    warnings.warn(f"{folder}: {NO_WER}; {guessed} is read as it", stacklevel=4)
    for metrics in reports:
        if guessed in metrics:
            metrics["wer"] = metrics[guessed]


def _make_fractions(folder: Path, name: str, reports: Iterable[Metrics]) -> None:
    values = [wer for metrics in reports if (wer := metrics.get(name)) is not None]
    # Who writes nothing has 1: half of all epochs are not twice as wrong as that.
    if values and median(values) > _PERCENT:
        warnings.warn(f"{folder}: {name} is read as percentages, for most are above {_PERCENT}", stacklevel=5)
        for metrics in reports:
            if (wer := metrics.get(name)) is not None:
                metrics[name] = wer / 100


def _guess(names: Iterable[str]) -> str | None:
    """The only name that says WER, or the only one of these that says it of dev."""
    found = [name for name in names if _is_wer(name) and not _words(name) & _NOT_OF_DEV]
    of_dev = [name for name in found if _words(name) & _OF_DEV]
    return next((only[0] for only in (found, of_dev) if len(only) == 1), None)


def _is_wer(name: str) -> bool:
    return "wer" in _words(name) or {"word", "error", "rate"} <= _words(name)


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()))
