"""Go on with a sweep: after a crash, a signal or a budget, or with more trials than it was made for."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from signal import Signals
from typing import Any

from rich.console import Console

from glosstune.results import Results, load_results
from glosstune.results.record import read_record
from glosstune.search.changes import list_changes
from glosstune.search.driving import RECORD, SWEEP, drive, write_sweep
from glosstune.search.inbox import send
from glosstune.search.ownership import Driven, owned
from glosstune.search.preparing import Prepared, prepare
from glosstune.search.record import Record
from glosstune.search.sweep import Sweep, load_sweep
from glosstune.search.yaml_data import read_yaml
from glosstune.spaces.errors import CheckpointError, CorpusError, FolderError, Interrupted, SettingError
from glosstune.spaces.mapping import as_number


def resume(
    folder: Path,
    overrides: Sequence[str] = (),
    *,
    samples: str | None = None,
    queue: Sequence[Path] = (),
    console: Console | None = None,
) -> Results:
    """Go on with the sweep in a folder and return its results.

    Everything that was reported counts, trials that were running go on from their newest checkpoint, and trials at
    rungs wait there as they did. While another driver runs the sweep, changes are handed to that one.

    Args:
        overrides: ``key=value`` as for ``load_sweep``; see ``changes`` for what may change.
        samples: how many trials the sweep has, or how many more, such as ``+32``.
        queue: YAML files of a configuration each, to try before the sampler suggests others, on top of the samples.
        console: where progress is shown; default standard error.

    Raises:
        FolderError: no sweep lies there, its record is broken, or another driver runs it and nothing is to change.
        SettingError: a change that a sweep cannot take.
        CorpusError, CheckpointError: corpus or weights are not those that the sweep began with.
        Interrupted: a signal ended it again.
    """
    folder = folder.expanduser().absolute()
    read_record(folder)
    old = load_sweep(folder / SWEEP)
    changes = [*overrides, *([] if samples is None else [f"search.samples={_count(samples, old)}"])]
    new = load_sweep(folder / SWEEP, changes)
    list_changes(old, new)
    return go_on(folder, new, changes, [_configuration(path.expanduser(), new) for path in queue], console)


def go_on(
    folder: Path,
    new: Sweep,
    overrides: Sequence[str] = (),
    queue: Sequence[Mapping[str, Any]] = (),
    console: Console | None = None,
) -> Results:
    """Go on as ``new`` says, which differs from the folder's sweep only where it may."""
    console = console or Console(stderr=True)
    say = partial(console.print, soft_wrap=True, highlight=False, markup=False)
    try:
        with owned(folder):
            interrupted = _drive(folder, new, queue, console)
    except Driven:
        if not overrides and not queue:
            raise
        send(folder, {"overrides": list(overrides), "queue": [dict(configuration) for configuration in queue]})
        say(f"{folder}: handed to the driver that runs it")
        return load_results(folder)
    if interrupted is not None:
        raise Interrupted(folder, interrupted)
    return load_results(folder)


def _drive(folder: Path, new: Sweep, queue: Sequence[Mapping[str, Any]], console: Console) -> Signals | None:
    say = partial(console.print, soft_wrap=True, highlight=False, markup=False)
    prepared = prepare(new, say)
    _check_same(folder, prepared)
    record = Record(folder / RECORD)
    record.repair()
    # Read under the lock: a driver that has just ended may have written more.
    events = read_record(folder).events
    if not events:
        raise FolderError(f"{folder}: its record is empty; remove the folder and start the sweep again")
    changes = list_changes(load_sweep(folder / SWEEP), new)
    if changes:
        write_sweep(new, folder)
    events.append(record.append("resume", changes=changes))
    say(f"sweep folder: {folder} (going on)")
    return drive(prepared.sweep, folder, events, console, say, queue=queue)


def _check_same(folder: Path, prepared: Prepared) -> None:
    """Require the corpus and the weights that the sweep began with."""
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        key, weights = manifest["corpus"]["key"], (manifest["pretrained"] or {}).get("sha256")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FolderError(f"{path}: cannot be read as the manifest of a sweep ({error})") from error
    if key != prepared.corpus.key:
        raise CorpusError(f"{folder}: the corpus has changed since the sweep began, so trials would not compare")
    if weights != (prepared.weights or {}).get("sha256"):
        what = f"{prepared.sweep.pretrained}: are not the weights that the sweep began with"
        raise CheckpointError(f"{what}, so trials would not compare")


def _configuration(path: Path, sweep: Sweep) -> dict[str, Any]:
    configuration = {name: as_number(value) for name, value in read_yaml(path).items()}
    try:
        sweep.space.check(configuration)
    except SettingError as error:
        raise SettingError(f"{path}: {error}") from None
    return configuration


def _count(samples: str, sweep: Sweep) -> int:
    digits = samples.removeprefix("+")
    if not digits.isdecimal():
        raise SettingError(
            f"--samples {samples}: must be a number of trials, such as 64, or how many more, such as +32"
        )
    return int(digits) + (sweep.search.samples if samples.startswith("+") else 0)
