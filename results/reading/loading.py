"""Load the folders of sweeps, finished, crashed or still running, as data frames."""

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from glosstune.results.reading.columns import CONFIRMATION_COLUMNS, SWEEP_COLUMNS, dtypes
from glosstune.results.reading.events import INTERRUPTED, RUNNING
from glosstune.results.reading.frames import build_decisions, build_epochs, build_frame, build_trials
from glosstune.results.reading.names import CONFIRM, LOCK, MANIFEST, OWNER, RECORD, SUMMARY, SWEEP
from glosstune.results.reading.objectives import front_numbers, weigh
from glosstune.results.reading.ray.folders import experiments_below, is_ray_folder, is_ray_trial, read_ray_folder
from glosstune.results.reading.record import SILENT_S, SweepRecord, not_a_sweep, read_record
from glosstune.results.reading.remote import as_local, find_file, local_path, origin
from glosstune.spaces.errors import FolderError, SettingError, quoted
from glosstune.spaces.files.addresses import is_uri
from glosstune.spaces.files.bounded import parse_json, read_text
from glosstune.spaces.files.locks import is_free
from glosstune.spaces.files.yaml_data import read_yaml

Configuration = Mapping[str, Any]
_LISTED = 5


@dataclass(frozen=True, eq=False)
class Results:
    """The frames of ``results.Results``, which says what they hold, and what is read off them."""

    sweeps: pd.DataFrame
    trials: pd.DataFrame
    epochs: pd.DataFrame
    decisions: pd.DataFrame
    _configurations: Mapping[tuple[str, int], Configuration]
    _settings: Mapping[str, Mapping[str, Any]]
    _runs: Mapping[str, Sequence[tuple[str, str]]]
    folders: Mapping[str, Path]

    @property
    def folder(self) -> Path:
        """Of the only sweep, on this machine; SettingError if there are several."""
        if len(self.sweeps) != 1:
            raise SettingError(f"these are the results of {len(self.sweeps)} sweeps", key="folder")
        return next(iter(self.folders.values()))

    @property
    def place(self) -> str:
        """The same as users call it, which is a URI for a sweep on object storage."""
        return origin(self.folder)

    @property
    def target(self) -> float | None:
        """The WER that all sweeps aim for; None if they have none, or several."""
        targets = set(self.sweeps["target"].dropna())
        return float(targets.pop()) if len(targets) == 1 else None

    @property
    def scoring(self) -> str | None:
        """The rule that the WER of all sweeps is counted by; None where nobody says, or they differ."""
        rules = set(self.sweeps["scoring"])
        return None if len(rules) != 1 or self.sweeps["scoring"].isna().any() else str(rules.pop())

    @property
    def objectives(self) -> tuple[str, ...]:
        """What all sweeps weigh against each other, the metric first; WER and parameters where they do not agree."""
        several = set(self.sweeps["objectives"])
        agreed = len(several) == 1 and self.sweeps["objectives"].notna().all()
        return tuple(str(several.pop()).split(", ")) if agreed else ("wer", "parameters")

    def lowest(self, metric: str) -> pd.Series:
        """The lowest of a metric in any epoch of each trial, by the index of ``trials``; NaN where there is none."""
        lowest = self.epochs.groupby(["sweep", "trial"])[metric].min()
        found: pd.Series = lowest.reindex(pd.MultiIndex.from_frame(self.trials[["sweep", "trial"]]))
        return found.set_axis(self.trials.index)

    @property
    def front(self) -> pd.DataFrame:
        """The rows of the trials that no other one beats in all ``objectives``, from the lowest metric on.

        The metric is the lowest of any epoch. Of equal trials there is the earliest; none whose WER is 1 or more, as
        that of a recogniser which writes nothing, and none whose costs were not recorded.
        """
        metric, *costs = self.objectives
        values = self.lowest(metric).to_numpy("float64")
        rows = self.trials[costs].astype("float64").to_numpy()
        weights = [weigh(dict(zip(costs, row, strict=True)), costs) for row in rows]
        points = np.array([(value, *weight) for value, weight in zip(values, weights, strict=True)])
        points = points.reshape(-1, len(self.objectives))  # also where there is no trial
        known = np.flatnonzero(np.isfinite(points).all(axis=1) & ((values < 1) | (metric != "wer")))
        chosen = known[front_numbers(points[known]) == 0]
        front: pd.DataFrame = self.trials.iloc[chosen[np.argsort(points[chosen, 0], kind="stable")]]
        return front

    @property
    def best(self) -> pd.Series:
        """The row of the trial with the lowest WER in any epoch; of equal ones, the earliest trial."""
        if self.trials["wer_best"].isna().all():
            raise FolderError(f"{', '.join(self.sweeps['folder'])}: no trial has reported a WER yet")
        return self.trials.iloc[self.trials["wer_best"].argmin()]

    def configuration(self, trial: int, sweep: str | None = None) -> dict[str, Any]:
        """Return what a trial was given, by the names of its space; SettingError if there is no such trial.

        Args:
            sweep: its name; needed where there are several.
        """
        if sweep is None:
            if len(self.sweeps) != 1:
                raise SettingError(f"say of which sweep: {', '.join(self.sweeps['sweep'])}", key="sweep")
            sweep = str(self.sweeps["sweep"].iloc[0])
        if (sweep, trial) not in self._configurations:
            known = [number for name, number in self._configurations if name == sweep]
            there = f"trials {min(known)} to {max(known)}" if known else "no trials yet"
            raise SettingError(f"the sweep {sweep} has no trial {trial}; it has {there}", key="trial")
        return dict(self._configurations[sweep, trial])

    def clock_s(self, sweep: str, times: pd.Series) -> pd.Series:
        """Seconds that the drivers of a sweep had run for at some times, without the pauses between; NaN of NaT."""
        elapsed = pd.Series(0.0, index=times.index).where(times.notna())
        for run in self._runs[sweep]:
            begun, ended = pd.to_datetime(pd.Series(run), utc=True, format="ISO8601", errors="coerce")
            elapsed += (times.where(times < ended, ended) - begun).dt.total_seconds().clip(lower=0.0).fillna(0.0)
        return elapsed

    @property
    def confirmation(self) -> pd.DataFrame | None:
        """What ``glosstune confirm`` came to; None for several sweeps, or where nobody has confirmed."""
        summary = next(iter(self.folders.values())) / CONFIRM / SUMMARY
        if len(self.folders) != 1 or not summary.exists():
            return None
        try:
            rows = parse_json(read_text(summary))
            return build_frame([{**row} for row in rows], CONFIRMATION_COLUMNS)
        except (OSError, ValueError, TypeError) as error:
            warnings.warn(f"{summary}: cannot be read ({error}); what was confirmed is left out", stacklevel=2)
            return None

    def section(self, name: str, sweep: str) -> dict[str, Any]:
        """A section of a sweep's file, such as ``space``; empty for a folder without one."""
        return as_mapping(self._settings[sweep].get(name))

    def settings(self, sweep: str) -> dict[str, Any]:
        """The whole file of a sweep; empty for a folder without one."""
        return dict(self._settings[sweep])

    def manifest(self, sweep: str) -> dict[str, Any]:
        """What was written down of versions, corpus and machine when a sweep began; empty where nobody can read it."""
        path = self.folders[sweep] / MANIFEST
        try:
            return as_mapping(parse_json(read_text(path)))
        except FileNotFoundError:  # as of Ray's own folders
            return {}
        except (OSError, ValueError):
            warnings.warn(f"{path}: cannot be read; versions and corpus are left out", stacklevel=2)
            return {}


def as_mapping(value: object) -> dict[str, Any]:
    """A part of a file that may come from elsewhere: itself where it is a mapping, else an empty one."""
    return dict(value) if isinstance(value, dict) else {}


def load_frames(folders: Path | str | Sequence[Path | str], *, leave_out: bool = False) -> Results:
    """What ``results.load_results`` returns, without what shows it."""
    given = [folders] if isinstance(folders, Path | str) else list(folders)
    if not given:
        raise SettingError("name at least one folder", key="folders")
    places = [as_local(place) if is_uri(place) else local_path(place) for place in given]
    leave_out = leave_out and len(places) > 1
    named = _name(_sweeps_among(places) if leave_out else places)
    records = _read_all(named, leave_out=leave_out)
    named = {sweep: named[sweep] for sweep in records}
    settings = {sweep: _read_settings(folder) for sweep, folder in named.items()}
    epochs = build_epochs(records)
    gpus = {sweep: _gpu(record, settings[sweep]) for sweep, record in records.items()}
    configurations = {
        (sweep, number): trial.configuration
        for sweep, record in records.items()
        for number, trial in record.trials.items()
    }
    return Results(
        _build_sweeps(named, records, settings),
        build_trials(records, epochs, named, gpus),
        epochs,
        build_decisions(records),
        configurations,
        settings,
        {sweep: record.runs for sweep, record in records.items()},
        named,
    )


def _name(folders: Sequence[Path]) -> dict[str, Path]:
    """Folders by their name, or by as much of their path as tells them apart."""
    parts = [Path(os.path.realpath(folder)).parts for folder in folders]  # which follows a loop of links nowhere
    if len(set(parts)) < len(folders):
        raise SettingError("a folder is named twice", key="folders")
    length = 1
    while len({part[-length:] for part in parts}) < len(folders):
        length += 1
    return {"/".join(part[-length:]): folder for part, folder in zip(parts, folders, strict=True)}


def _sweeps_among(places: Sequence[Path]) -> Sequence[Path]:
    """Without what is there and no sweep, as beside those of ``runs/*``; all of them where that leaves none."""
    others = [
        place for place in places if place.exists() and not (place / RECORD).exists() and not is_ray_folder(place)
    ]
    if not others or len(others) == len(places):
        return places
    listed = ", ".join(map(str, others[:_LISTED])) + ", …" * (len(others) > _LISTED)
    are = "are not the folders of sweeps, and are" if len(others) > 1 else "is not the folder of a sweep, and is"
    warnings.warn(f"{listed}: {are} left out", stacklevel=4)
    return [place for place in places if place not in others]


def _read_all(named: Mapping[str, Path], *, leave_out: bool) -> dict[str, SweepRecord]:
    records, errors = {}, []
    for sweep, folder in named.items():
        try:
            records[sweep] = _read(folder)
        except FolderError as error:
            if not leave_out or not folder.exists():  # a misspelt one
                raise
            errors.append(error)
    if not records:
        raise errors[0]
    for each in errors:
        warnings.warn(f"{each}; the other sweeps are shown without it", stacklevel=4)
    return records


def _read(folder: Path) -> SweepRecord:
    if folder.is_dir() and not (folder / RECORD).exists():
        if is_ray_folder(folder):
            return read_ray_folder(folder)
        if is_ray_trial(folder):
            rule = f"is a single trial of Ray Tune's; name its experiment, {quoted(str(folder.absolute().parent))}"
            raise FolderError(f"{folder}: {rule}")
        raise not_a_sweep(folder, experiments_below(folder))
    record = read_record(folder, leave_out=True)
    cut_off = [trial for trial in record.trials.values() if trial.status == RUNNING]
    if cut_off and _is_left(folder, record):
        for trial in cut_off:
            trial.status = INTERRUPTED
    return record


def _is_left(folder: Path, record: SweepRecord) -> bool:
    """Whether the driver of a sweep was killed and nobody has gone on, as far as it can be told from here."""
    if (folder / LOCK).exists() or not is_uri(origin(folder)):
        return is_free(folder / LOCK)
    # A copy of what lies on object storage, where a driver has an object as long as it has not ended in order.
    silent_s = _seconds(record.runs[-1][1], datetime.now(UTC).isoformat())
    return find_file(folder, OWNER) is None or silent_s > SILENT_S


def _read_settings(folder: Path) -> dict[str, Any]:
    path = folder / SWEEP
    if not path.is_file():
        return {}
    try:
        return read_yaml(path)
    except SettingError as error:
        warnings.warn(f"{path}: cannot be read: {error}; the trials are shown without it", stacklevel=4)
        return {}


def _resource(settings: Mapping[str, Any], name: str) -> float | None:
    resources = settings.get("resources")
    amount = resources.get(name) if isinstance(resources, dict) else None
    return float(amount) if isinstance(amount, int | float) and not isinstance(amount, bool) else None


def _gpu(record: SweepRecord, settings: Mapping[str, Any]) -> float | None:
    """The share of a GPU that a trial had, which a sweep's file may have left open."""
    return _resource(settings, "gpu") if record.gpu is None else record.gpu


def _build_sweeps(
    folders: Mapping[str, Path], records: Mapping[str, SweepRecord], settings: Mapping[str, Mapping[str, Any]]
) -> pd.DataFrame:
    rows = [
        {
            "sweep": sweep,
            "folder": origin(folders[sweep]),
            "metric": record.metric,
            "objectives": ", ".join(record.objectives) or None,
            "target": record.target,
            "scoring": record.scoring,
            "samples": record.samples,
            "epochs": record.epochs,
            "cpus": _resource(settings[sweep], "cpu"),
            "gpus": _gpu(record, settings[sweep]),
            "began": record.runs[0][0] if record.runs else None,
            "ended": record.runs[-1][1] if record.runs else None,
            "seconds": sum(_seconds(*run) for run in record.runs),
            "over": record.over,
        }
        for sweep, record in records.items()
    ]
    return build_frame(rows, dtypes(SWEEP_COLUMNS))


def _seconds(begun: str, ended: str) -> float:
    try:
        return max(0.0, (datetime.fromisoformat(ended) - datetime.fromisoformat(begun)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
