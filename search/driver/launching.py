"""From a sweep to its folder of results."""

import json
import sys
import uuid
from datetime import datetime
from pathlib import Path

from rich.console import Console

from glosstune.results import Results, load_results
from glosstune.results.reading.events import FORMAT, SweepBegun, write_event
from glosstune.results.reading.names import MANIFEST
from glosstune.results.text import lines_to
from glosstune.search.config.sweep import Sweep
from glosstune.search.driver.driving import drive
from glosstune.search.driver.preparing import prepare
from glosstune.search.storage.manifest import build_manifest
from glosstune.search.storage.sweep_folder import SweepFolder, write_sweep
from glosstune.spaces.errors import Interrupted
from glosstune.spaces.files.addresses import join


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
    say = lines_to(console)
    work = SweepFolder.at(dated_place(sweep) if out is None else out, say)
    work.check_free()
    with prepare(sweep, say, work, address) as prepared, work.owned(new=True):
        known = (prepared.corpus, prepared.floors, sys.argv, prepared.weights, prepared.teacher)
        gains = prepared.sweep.corpus.gains
        inputs = work.keep_inputs(prepared.inputs)
        work.write(MANIFEST, json.dumps(build_manifest(*known, gains), indent=1))
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
            scoring=prepared.corpus.scoring,
            objectives=list(search.objectives) if search.costs else None,
        )
        events = [write_event(work.record.append, begun)]
        say(f"sweep folder: {work.place}")
        interrupted = drive(prepared.sweep, work, events, console, say, inputs=inputs, earlier=prepared.earlier)
    if interrupted is not None:
        raise Interrupted(work.place, interrupted)
    return load_results(work.place)


def dated_place(sweep: Sweep) -> str:
    """Where a sweep goes that nobody names a place for."""
    return join(sweep.storage, f"{sweep.name}-{datetime.now():%Y-%m-%d-%H%M%S}")
