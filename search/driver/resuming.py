"""Go on with a sweep: after a crash, a signal or a budget, or with more trials than it was made for."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from signal import Signals
from typing import Any

from rich.console import Console

from glosstune.results import Results, load_results
from glosstune.results.reading.events import SweepResumed, write_event
from glosstune.results.reading.names import SWEEP
from glosstune.results.reading.record import read_record
from glosstune.results.reading.remote import as_local
from glosstune.results.text import lines_to
from glosstune.search.config.changes import count_samples, is_changeable, list_changes
from glosstune.search.config.loading import load_sweep
from glosstune.search.config.sweep import Sweep
from glosstune.search.driver.driving import drive
from glosstune.search.driver.preparing import Prepared, prepare
from glosstune.search.driver.requests import send
from glosstune.search.storage.lock import Driven
from glosstune.search.storage.manifest import check_corpus, check_same, read_manifest
from glosstune.search.storage.sweep_folder import SweepFolder, write_sweep
from glosstune.spaces.errors import FolderError, Interrupted, SettingError
from glosstune.spaces.files.yaml_data import read_yaml


def resume(
    place: Path | str,
    overrides: str | Sequence[str] = (),
    *,
    samples: str | None = None,
    queue: Sequence[Path] = (),
    address: str | None = None,
    console: Console | None = None,
) -> Results | None:
    """Go on with the sweep in a folder, or on object storage, and return its results.

    Everything that was reported counts, trials that were running go on from their newest checkpoint, and trials at
    rungs wait there as they did.

    Args:
        overrides: ``key=value`` as for ``load_sweep``; see ``changes`` for what may change.
        samples: how many trials the sweep has, or how many more, such as ``+32``.
        queue: YAML files of a configuration each, to try before the sampler suggests others, on top of the samples.
        address: of a Ray cluster, as for ``launch``.
        console: where progress is shown; default standard error.

    Returns:
        None where another driver runs the sweep: the changes are handed to that one.

    Raises:
        FolderError: no sweep lies there, its record is broken, or another driver runs it and nothing is to change.
        SettingError: a change that a sweep cannot take.
        CorpusError, CheckpointError: corpus or weights are not those that the sweep began with.
        Interrupted: a signal ended it again.
    """
    console = console or Console(stderr=True)
    work = SweepFolder.at(place, lines_to(console), key="FOLDER")
    new, changes = read_changes(place, overrides, samples)
    configurations = [_configuration(path.expanduser(), new) for path in queue]
    try:
        with work.owned():
            interrupted = _drive(work, new, configurations, address, console)
    except Driven:
        if not changes and not queue:
            raise
        if samples is not None:
            changes.pop("search.samples", None)  # how many more is for the driver to add up, who may know of others
        send(work, {"changes": changes, "samples": samples, "queue": configurations})
        lines_to(console)(f"{work.place}: handed to the driver that runs it")
        return None
    if interrupted is not None:
        raise Interrupted(work.place, interrupted)
    return load_results(work.place)


def read_changes(
    place: Path | str, overrides: str | Sequence[str], samples: str | None
) -> tuple[Sweep, dict[str, Any]]:
    """The sweep in a place as it is to go on, and what changes; nothing is written (see ``resume``)."""
    folder = as_local(place)
    if not read_record(folder).events:
        raise FolderError(f"{place}: its record is empty; remove the folder and start the sweep again")
    old = load_sweep(folder / SWEEP)
    overrides = [overrides] if isinstance(overrides, str) else overrides
    wanted = [] if samples is None else [f"search.samples={count_samples(samples, old)}"]
    new = load_sweep(folder / SWEEP, [*overrides, *wanted])
    return new, list_changes(old, new)


def resume_as(place: Path | str, sweep: Sweep, overrides: Sequence[str], address: str | None) -> Results | None:
    """Go on with the sweep that lies in a place, which must be the one that is asked for.

    What may change and the command does not name stays as the place has it: it may have been changed since.
    """
    folder = as_local(place)
    read_record(folder)  # which a newer glosstune may have written, and its settings too
    list_changes(load_sweep(folder / SWEEP), sweep)
    return resume(
        place,
        [override for override in overrides if is_changeable(override.partition("=")[0].strip())],
        address=address,
    )


def _drive(
    work: SweepFolder, new: Sweep, queue: Sequence[Mapping[str, Any]], address: str | None, console: Console
) -> Signals | None:
    say = lines_to(console)
    folder, manifest = work.folder, read_manifest(work.folder)
    with prepare(work.with_inputs(new, say), say, work, address, gains=manifest["gains"]) as prepared:
        _check_same(work.place, manifest, prepared, new)
        record = work.record
        record.repair()
        # Read under the lock: a driver that has just ended may have written more.
        events = read_record(folder).events
        changes = list_changes(load_sweep(folder / SWEEP), new)
        if changes:
            write_sweep(new, work)
        inputs = work.keep_inputs(prepared.inputs)
        events.append(write_event(record.append, SweepResumed(changes=changes, gpu=prepared.sweep.resources.gpu)))
        say(f"sweep folder: {work.place} (going on)")
        return drive(prepared.sweep, work, events, console, say, queue=queue, inputs=inputs, earlier=prepared.earlier)


def _check_same(place: str, manifest: Mapping[str, Any], prepared: Prepared, new: Sweep) -> None:
    """Require the corpus, the weights and the teacher that the sweep began with."""
    check_corpus(place, manifest, prepared.corpus, prepared.sweep.corpus)
    check_same(manifest, prepared.sweep, {key: file.sha256 for key, file in prepared.inputs.items()})


def _configuration(path: Path, sweep: Sweep) -> dict[str, Any]:
    configuration = read_yaml(path)
    try:
        sweep.space.check(configuration)
    except SettingError as error:
        raise SettingError(f"{path}: {error}") from None
    return configuration
