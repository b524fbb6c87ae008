"""All that a user does on a folder of PHOENIX's kind, in time, memory and disk: python benchmarks/walk.py --root FOLDER

Overrides of sweep files may follow, such as model.width=0.25. Commands are run as commands, with an empty cache of
their own: `inspect`, `pack`, `plan`, and a few steps of `pretrain`. What is no command is measured in processes of its
own: an epoch of each strategy of teacher and student, from 20 warm steps and the frames of all; scoring of dev; and
what `confirm` does once all is trained. A row says what of it was measured and what that was multiplied with; one that
fails says why, the others go on, and the exit status is 1.

Own memory is what processes have for themselves; mapped files are in the page cache, which takes it back. Disk is the
most that was held, of an epoch what frozen layers give of the whole corpus. All is written below the system's folder of
temporary files (TMPDIR names another) and removed in the end: the packed corpus, for ready features in single precision
half the size of the folder, and less than a gigabyte beside it. Linux only.

--short makes a few sentences up and takes some of the steps with them, or with --root with that folder, with narrow
models and small batches.
"""

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from footprint.commands import TEACHER, Walk, apart, inspect, pack, plan, pretrain
from footprint.rows import Row, shown_size, shown_time, table
from footprint.watching import folder_mb

from glosstune.spaces import STRATEGIES
from glosstune.spaces.errors import SettingError

SWEEPS = {"teacher": TEACHER, "student": "student-own"}
BESIDE_MB = 1000  # of disk, beside the packed corpus
SMALL = ["model.width=0.25", "resources.cpu=1", "training.batch_size=4", "pretraining.batch_size=4"]

Step = tuple[str, Callable[[Walk], Row]]


def steps(short: bool = False) -> Iterator[Step]:
    """What is done, in order: later ones find the packed corpus, and intervals are of what was scored.

    Args:
        short: one of each kind.
    """
    sweeps, strategies = ({"teacher": TEACHER}, ["progressive"]) if short else (SWEEPS, list(STRATEGIES))
    yield "`glosstune inspect`", inspect
    yield "`glosstune pack`", pack
    if not short:
        yield "`glosstune plan`", plan
    yield "`glosstune pretrain`", pretrain
    for kind, sweep in sweeps.items():
        for strategy in strategies:
            yield _apart(f"an epoch of the {kind}, {strategy}", "epoch", sweep, strategy=strategy)
    for kind, sweep in sweeps.items():
        yield _apart(f"scoring dev, {kind}", "scoring", sweep)
    yield _apart("`glosstune confirm`, once all is trained: scoring", "confirmation", TEACHER)
    yield _apart("`glosstune confirm`, once all is trained: intervals", "intervals", TEACHER)


def _apart(name: str, what: str, sweep: str, **asked: str) -> Step:
    return name, partial(apart, name=name, what=what, sweep=sweep, **asked)


def walk_through(walk: Walk, steps: Sequence[Step]) -> list[Row]:
    """A row a step, whatever becomes of the others."""
    rows = []
    for number, (name, do) in enumerate(steps, start=1):
        walk.say(f"[{number}/{len(steps)}] {name}")
        try:
            row = replace(do(walk), name=name)
        except Exception as error:  # whatever it is, the other rows are worth having
            row = Row(name, failed=str(error) or type(error).__name__)
        walk.say(f"[{number}/{len(steps)}] {' | '.join(row.cells())}")
        rows.append(row)
    return rows


def say(line: str) -> None:
    """Progress, beside the table."""
    print(line, file=sys.stderr, flush=True)


def make_up(folder: Path) -> Path:
    """A few sentences of PHOENIX's kind."""
    from stand_in import StandIn, make_up_sentences, write_folder

    sentences = make_up_sentences()
    with redirect_stdout(sys.stderr):
        write_folder(folder, sentences, StandIn.of(sentences, 0))
    return folder


def check_room(root: Path, folder: Path) -> float:
    """Megabytes of a folder; SettingError where the packed corpus has no room."""
    size, free = folder_mb(root), shutil.disk_usage(folder).free / 1e6
    needed = size / 2 + BESIDE_MB
    say(f"{root}: {shown_size(size)}; {folder} needs about {shown_size(needed)} and has {shown_size(free)}")
    if free < needed:
        raise SettingError(f"{folder}: too little room; name another folder with TMPDIR")
    return size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="only shows that it runs")
    parser.add_argument("--root", type=Path, help="folder of the corpus")
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--measure", help=argparse.SUPPRESS)  # a row, in a process of its own
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of teacher-own and student-own")
    options = parser.parse_intermixed_args()
    if options.measure:
        from footprint.pieces import measure

        measure(json.loads(options.measure))
        return
    if options.root is None and not options.short:
        parser.error("--root: name the folder of a corpus (or --short)")
    if options.root is not None and not options.root.is_dir():
        parser.error(f"--root {options.root}: no such folder")
    from suite.__main__ import describe_machine

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that nothing stays on disk
    overrides = [*(SMALL if options.short else []), *options.overrides]
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="glosstune-walk-") as name:
        root = make_up(Path(name) / "made-up") if options.root is None else options.root.absolute()
        folder = Path(name) / "written"
        folder.mkdir()
        try:
            size_mb = check_room(root, folder)
        except SettingError as error:
            parser.error(str(error))
        rows = walk_through(Walk(root, folder, overrides, options.short, say), list(steps(options.short)))
    say(f"in all {shown_time(time.perf_counter() - started)}")
    told = {"date": datetime.now(UTC).date().isoformat(), "machine": describe_machine(), "overrides": overrides}
    told |= {"corpus_mb": size_mb, "rows": [asdict(row) for row in rows]}
    print(table(rows))
    print(f"\n{told['machine']}, {told['date']}; {' '.join(overrides) or 'nothing overridden'}")
    if options.json:
        options.json.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if failed := [row.name for row in rows if row.failed]:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
