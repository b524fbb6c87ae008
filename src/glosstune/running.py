"""Run a sweep, or go on with one, as one call: here, or in the background."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar, overload

from glosstune.search.config.loading import load_sweep
from glosstune.search.config.sweep import Sweep
from glosstune.spaces.errors import Interrupted, SettingError

# What runs a sweep brings torch, Ray and pandas, seconds that a wrong key does not wait for.
if TYPE_CHECKING:
    from glosstune.background import BackgroundSweep
    from glosstune.results import Results

# None where another driver runs the sweep.
ResultsOrNone = TypeVar("ResultsOrNone", bound="Results | None")


@overload
def sweep(
    file: Sweep | Path | str = "teacher",
    /,
    *overrides: str,
    out: Path | str | None = None,
    address: str | None = None,
    background: Literal[False] = False,
) -> "Results": ...


@overload
def sweep(
    file: Sweep | Path | str = "teacher",
    /,
    *overrides: str,
    out: Path | str | None = None,
    address: str | None = None,
    background: Literal[True],
) -> "BackgroundSweep": ...


def sweep(
    file: Sweep | Path | str = "teacher",
    /,
    *overrides: str,
    out: Path | str | None = None,
    address: str | None = None,
    background: bool = False,
) -> "Results | BackgroundSweep":
    """Search for the best recipe, as ``glosstune sweep`` does: ``sweep("teacher", "search.samples=8", out="runs/a")``.

    Args:
        file: a sweep file, the name of a packaged sweep, or what ``load_sweep`` made of one. An override may stand
            first; it changes ``teacher`` then.
        overrides: ``key=value``, the value in YAML.
        out: the sweep's place, a folder or an ``s3://`` address; default ``sweeps/NAME-DATE``.
        address: ``HOST:PORT`` or ``auto``, of a Ray cluster to attach to; default RAY_ADDRESS, else this machine.
        background: return at once; a process of its own runs the sweep, and goes on when this one ends.

    Raises:
        SettingError: a wrong key, value or override, before anything starts; or more CPUs or GPUs than there are.
        CorpusError: the corpus cannot be trained on.
        CheckpointError: the pretrained weights cannot be read or do not fit.
        FolderError: the place is taken or cannot be written.
        Interrupted: a signal ended it; ``resume`` goes on.
    """
    asked = _load(file, overrides)
    if background:
        from glosstune.background import start_in_background

        return start_in_background(asked, out, address)
    from glosstune.search.driver.launching import launch

    return _run(lambda: launch(asked, out, address=address))


@overload
def resume(
    folder: Path | str,
    /,
    *overrides: str,
    samples: int | str | None = None,
    address: str | None = None,
    background: Literal[False] = False,
) -> "Results": ...


@overload
def resume(
    folder: Path | str,
    /,
    *overrides: str,
    samples: int | str | None = None,
    address: str | None = None,
    background: Literal[True],
) -> "BackgroundSweep": ...


def resume(
    folder: Path | str,
    /,
    *overrides: str,
    samples: int | str | None = None,
    address: str | None = None,
    background: bool = False,
) -> "Results | BackgroundSweep":
    """Go on with a sweep that was interrupted or has ended, as ``glosstune resume`` does; or change one that runs.

    Where another driver runs the sweep, the changes are handed to that one; the results are then those so far.

    Args:
        folder: of the sweep, or its ``s3://`` address.
        overrides: ``key=value``; ranges of the space, budgets, resources, and where files lie: ``corpus.root``,
            ``corpus.cache``, ``pretrained``, ``teacher``, ``pretraining.align_with``.
        samples: how many trials in all, or how many more: ``"+32"``.
        address: of a Ray cluster, as for ``sweep``.
        background: as for ``sweep``.

    Raises:
        FolderError: no sweep lies there, its record is broken, or another driver runs it and nothing is to change.
        SettingError: a change that a sweep cannot take.
        CorpusError, CheckpointError: corpus or weights are not those that the sweep began with.
        Interrupted: a signal ended it again.
    """
    _check_overrides(overrides)
    wanted = None if samples is None else str(samples)
    if background:
        from glosstune.background import resume_in_background

        return resume_in_background(folder, overrides, wanted, address)
    from glosstune.results import load_results
    from glosstune.search.driver.resuming import resume as go_on

    # None where another driver runs it, whose folder is its own.
    return _run(lambda: go_on(folder, overrides, samples=wanted, address=address)) or load_results(folder)


def _load(file: Sweep | Path | str, overrides: tuple[str, ...]) -> Sweep:
    _check_overrides(overrides)
    if isinstance(file, Sweep):
        if overrides:
            raise SettingError(f"{overrides[0]}: a sweep that is loaded takes no overrides; give them to load_sweep")
        return file
    if isinstance(file, str) and "=" in file:
        return load_sweep(None, [file, *overrides])
    return load_sweep(Path(file).expanduser(), overrides)


def _check_overrides(overrides: tuple[object, ...]) -> None:
    for override in overrides:
        if not isinstance(override, str):
            rule = f'overrides are strings after the file, such as "search.samples=8"; got {override!r}'
            raise SettingError(rule, key="overrides")


def _run(run: Callable[[], ResultsOrNone]) -> ResultsOrNone:
    """Run a sweep, and draw what it has come to, however it ended."""
    from glosstune.results import load_results
    from glosstune.search.tracking.summary import keep_picture

    try:
        results = run()
    except Interrupted as error:
        keep_picture(load_results(error.place))
        raise
    if results is not None:
        keep_picture(results)
    return results
