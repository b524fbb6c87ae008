"""From a sweep to its folder of results."""

import json
import shutil
import sys
import uuid
from datetime import datetime
from functools import partial
from pathlib import Path

from rich.console import Console

from glosstune.results import Results, load_results
from glosstune.results.reading.events import FORMAT, SweepBegun, write_event
from glosstune.results.reading.names import INPUTS, LOCK, MANIFEST, OWNER, SWEEP
from glosstune.search.config.sweep import Sweep
from glosstune.search.driver.driving import drive
from glosstune.search.driver.preparing import prepare
from glosstune.search.scheduler.warm_start import earlier_trials
from glosstune.search.storage.manifest import build_manifest
from glosstune.search.storage.sweep_folder import SweepFolder, write_sweep
from glosstune.spaces.errors import FolderError, Interrupted
from glosstune.spaces.files.atomic import check_free
from glosstune.spaces.files.object_storage import PROBE, ObjectFolder, join

_BEFORE_THE_FIRST_EVENT = {MANIFEST, SWEEP, OWNER}


def launch(
    sweep: Sweep, out: Path | str | None = None, *, address: str | None = None, console: Console | None = None
) -> Results:
    """Run a sweep and return its results.

    Args:
        sweep: what to search (see ``load_sweep``).
        out: the sweep's place, a folder or a URI as ``storage``; default ``<storage>/<name>-<date>``.
        address: ``HOST:PORT`` or ``auto``, of a Ray cluster to attach to; default RAY_ADDRESS, else this machine.
        console: where progress is shown; default standard error.

    Raises:
        CorpusError: the corpus cannot be trained on.
        CheckpointError: the pretrained weights cannot be read or do not fit.
        SettingError: a trial asks for more CPUs or GPUs than there are.
        FolderError: the folder exists already or cannot be written, or one to start from is none.
        Interrupted: a signal ended it; ``resume`` goes on.
    """
    console = console or Console(stderr=True)
    # Glosses and folders may hold what rich takes for markup.
    say = partial(console.print, soft_wrap=True, highlight=False, markup=False)
    work = SweepFolder.at(out or _dated_place(sweep), say)
    _check_free(work)
    earlier_trials(sweep, lambda line: None)
    prepared = prepare(sweep, say, work.place, address)
    if work.storage is None:
        _reserve(work.folder)
    with work.owned():
        if work.storage is not None:
            _clear(work)
        known = (prepared.corpus, prepared.floors, sys.argv, prepared.weights, prepared.teacher)
        manifest = build_manifest(*known)
        work.keep_inputs(prepared.sweep, manifest)
        work.write(MANIFEST, json.dumps(manifest, indent=1))
        write_sweep(sweep, work)
        search = sweep.search
        begun = SweepBegun(
            format=FORMAT,
            id=uuid.uuid4().hex[:8],
            samples=search.samples,
            epochs=sweep.training.epochs,
            metric=search.metric,
            target=search.target,
            gpu=prepared.sweep.resources.gpu,
        )
        events = [write_event(work.record.append, begun)]
        say(f"sweep folder: {work.place}")
        interrupted = drive(prepared.sweep, work, events, console, say)
    if interrupted is not None:
        raise Interrupted(work.place, interrupted)
    return load_results(work.place)


def _dated_place(sweep: Sweep) -> str:
    return join(sweep.storage, f"{sweep.name}-{datetime.now():%Y-%m-%d-%H%M%S}")


def _check_free(work: SweepFolder) -> None:
    """Fail before the minutes that corpus and weights may take."""
    if work.storage is None:
        check_free(work.folder)
        return
    work.storage.check_usable()
    _check_unused(work, work.storage)


def _check_unused(work: SweepFolder, storage: ObjectFolder) -> None:
    objects, prefixes = storage.parts()
    # What a driver leaves that was killed before its sweep had begun is in nobody's way.
    kept = {name for name in objects if not name.startswith(PROBE)} - _BEFORE_THE_FIRST_EVENT
    if kept or set(prefixes) - {f"{INPUTS}/"}:
        raise FolderError(f"{work.place}: holds objects already; give another place with --out or remove them")


def _clear(work: SweepFolder) -> None:
    """Let go of what an earlier sweep of that address has left on this machine; somebody may have begun one since."""
    assert work.storage is not None
    _check_unused(work, work.storage)
    for path in work.folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name not in (LOCK, OWNER):
            path.unlink(missing_ok=True)


def _reserve(folder: Path) -> None:
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise FolderError(f"{folder}: cannot be made: {error}; choose another folder with --out") from error
