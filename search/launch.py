"""From a sweep to its folder of results."""

import json
import sys
import uuid
from datetime import datetime
from functools import partial
from pathlib import Path

from rich.console import Console

from glosstune.results import Results, load_results
from glosstune.results.record import RECORD
from glosstune.search.driving import drive, write_sweep
from glosstune.search.manifest import build_manifest
from glosstune.search.outputs import check_free
from glosstune.search.ownership import owned
from glosstune.search.preparing import prepare
from glosstune.search.record import Record
from glosstune.search.sweep import Sweep
from glosstune.search.warm_start import earlier_trials
from glosstune.spaces.errors import FolderError, Interrupted
from glosstune.trainables.files import write_whole


def launch(sweep: Sweep, out: Path | None = None, *, console: Console | None = None) -> Results:
    """Run a sweep and return its results.

    Args:
        sweep: what to search (see ``load_sweep``).
        out: the sweep's folder; default ``<storage>/<name>-<date>``.
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
    folder = (out or _dated_folder(sweep)).expanduser().absolute()
    check_free(folder)
    earlier_trials(sweep, lambda line: None)
    prepared = prepare(sweep, say)
    _reserve(folder)
    with owned(folder):
        known = (prepared.corpus, prepared.floors, sys.argv, prepared.weights, prepared.teacher)
        manifest = json.dumps(build_manifest(*known), indent=1)
        write_whole(folder / "manifest.json", lambda partial: partial.write_text(manifest, encoding="utf-8"))
        write_sweep(sweep, folder)
        search = sweep.search
        begun = Record(folder / RECORD).append(
            "sweep",
            id=uuid.uuid4().hex[:8],
            samples=search.samples,
            epochs=sweep.training.epochs,
            metric=search.metric,
            target=search.target,
        )
        say(f"sweep folder: {folder}")
        interrupted = drive(prepared.sweep, folder, [begun], console, say)
    if interrupted is not None:
        raise Interrupted(folder, interrupted)
    return load_results(folder)


def _dated_folder(sweep: Sweep) -> Path:
    return sweep.storage / f"{sweep.name}-{datetime.now():%Y-%m-%d-%H%M%S}"


def _reserve(folder: Path) -> None:
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise FolderError(f"{folder}: cannot be made: {error}; choose another folder with --out") from error
