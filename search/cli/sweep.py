"""The commands that search: sweep, resume, trial, plan, pretrain, pack."""

import json
import signal
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from glosstune.results.text import escaped
from glosstune.search.cli.arguments import Arguments, Attached, ResultsFolder, split_arguments, warn
from glosstune.search.cli.completing import complete_override
from glosstune.spaces.errors import Interrupted, SettingError, quoted

if TYPE_CHECKING:
    from glosstune.results import Results
    from glosstune.search.config.sweep import Sweep

Labels = Literal["isolated", "uniform", "aligned"]


def sweep(
    arguments: Arguments = None,
    out: Annotated[str | None, typer.Option(help="Folder or s3:// address; default sweeps/NAME-DATE.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with --out where a sweep lies there.")] = False,
    address: Attached = None,
    check: Annotated[
        bool, typer.Option("--check", help="Say what it would do, run nothing; exit status 1 if a file is missing.")
    ] = False,
    time: Annotated[bool, typer.Option("--time", help="With --check: time epochs here too, within a minute.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --check: print it as JSON.")] = False,
) -> None:
    """Search for the best recipe.

    Example: glosstune sweep my.yaml corpus.root=/data/phoenix search.samples=64 --out runs/a
    """
    from glosstune.search.config.loading import load_sweep

    path, overrides = split_arguments(arguments)
    settings = load_sweep(path, overrides)
    if (time or as_json) and not check:
        raise SettingError(f"{'--time' if time else '--json'}: goes with --check alone")
    if check:
        _check(settings, time=time, as_json=as_json)
        return
    if resume and out is None:
        raise SettingError("--resume: name the folder of the sweep with --out")
    # With torch, which takes seconds, so not before all is in order.
    from glosstune.search.driver.launching import launch
    from glosstune.search.driver.resuming import resume_as
    from glosstune.search.storage.sweep_folder import SweepFolder

    if resume and out is not None and SweepFolder.at(out).begun:
        _finish(lambda: resume_as(out, settings, overrides, address))
    else:
        _finish(lambda: launch(settings, out, address=address))


def resume(
    folder: ResultsFolder,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Ranges of the space, budgets, resources, and where files lie now: corpus.root, pretrained, teacher.",
            autocompletion=complete_override,
        ),
    ] = None,
    samples: Annotated[str | None, typer.Option(help="How many trials in all, or how many more: +32.")] = None,
    queue: Annotated[
        list[Path] | None, typer.Option(help="YAML file of a configuration to try next; may be repeated.")
    ] = None,
    address: Attached = None,
) -> None:
    """Go on with a sweep that was interrupted or has ended, or change one that runs.

    Example: glosstune resume runs/a --samples +32 'space.dropout.float=[0, 0.2]'
    """
    from glosstune.search.driver.resuming import resume as go_on

    _finish(lambda: go_on(folder, overrides or [], samples=samples, queue=queue or [], address=address))


def trial(
    folder: ResultsFolder,
    number: Annotated[int, typer.Argument(metavar="TRIAL", help="Number of the trial.")],
    stop: Annotated[bool, typer.Option("--stop", help="End it for good.")] = False,
    pin: Annotated[bool, typer.Option("--pin", help="Train it to its last epoch, whatever rivals do.")] = False,
) -> None:
    """End or pin one trial of a sweep, which may be running.

    Example: glosstune trial runs/a 17 --pin
    """
    from glosstune.search.driver.steering import request

    if stop == pin:
        raise SettingError(f"say --stop or --pin; its life is told by: glosstune explain {quoted(folder)} {number}")
    typer.echo(escaped(request(folder, number, "stop" if stop else "pin")))


def plan(
    arguments: Arguments = None,
    *,
    hours: Annotated[float, typer.Option(help="How long the sweep may take.")],
    gpus: Annotated[float, typer.Option(help="GPUs that it may use; without one, the CPUs of this machine.")] = 0.0,
    seconds_per_epoch: Annotated[float | None, typer.Option(help="Of a trial alone, instead of timing here.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Put the proposal into the sweep file.")] = False,
) -> None:
    """Propose samples, epochs and rungs for a budget.

    Example: glosstune plan my.yaml --hours 12 --gpus 4 --write
    """
    from glosstune.search.driver.planning import make_plan

    path, overrides = split_arguments(arguments)
    make_plan(path, overrides, hours, gpus, seconds_per_epoch, write, typer.echo)


def pretrain(
    arguments: Arguments = None,
    *,
    out: Annotated[Path, typer.Option(help="File of weights to write, .safetensors.")],
    labels: Annotated[Labels | None, typer.Option(help="What is classified; default by the corpus.")] = None,
    align_with: Annotated[Path | None, typer.Option(help="Checkpoint of a CTC model, for --labels aligned.")] = None,
) -> None:
    """Train the layers before the LSTM to recognise signs, to start a sweep from.

    Example: glosstune pretrain corpus.root=/data/phoenix --labels uniform --out teacher.safetensors
    """
    from glosstune.search.config.loading import load_sweep
    from glosstune.search.driver.weights import pretrain_to

    path, overrides = split_arguments(arguments)
    overrides += [f"pretraining.labels={labels}"] * (labels is not None)
    overrides += [f"pretraining.align_with={json.dumps(str(align_with))}"] * (align_with is not None)
    pretrain_to(out.expanduser(), load_sweep(path, overrides), typer.echo)


def pack(arguments: Arguments = None) -> None:
    """Pack a corpus once, so that the first sweep on it starts at once.

    Example: glosstune pack my.yaml corpus.root=/data/phoenix
    """
    from glosstune.search.config.loading import load_sweep
    from glosstune.search.driver.weights import settle_gains
    from glosstune.trainables.checks.look_alikes import corpus_look_alikes
    from glosstune.trainables.corpora import pack_corpus

    path, overrides = split_arguments(arguments)
    sweep = load_sweep(path, overrides)
    corpus = pack_corpus(sweep.corpus)
    size_mb = sum(file.stat().st_size for file in corpus.folder.iterdir()) / 1e6
    typer.echo(f"{corpus.folder}: {len(corpus.table)} utterances, {size_mb:.0f} MB")
    for note in corpus.notes:
        typer.echo(escaped(note))
    if alike := corpus_look_alikes(corpus):
        typer.echo(escaped(alike))
    settle_gains(sweep, corpus, typer.echo)


def _check(settings: "Sweep", *, time: bool, as_json: bool) -> None:
    """Say what a sweep would do."""
    from glosstune.search.checks.previewing import describe_preview, preview, timed

    seen = preview(settings)
    if time and not seen.missing:
        seen = timed(seen, settings, warn)
    told = json.dumps(asdict(seen), indent=1) if as_json else "\n".join(describe_preview(seen, settings))
    typer.echo(escaped(told))
    if seen.missing:
        raise typer.Exit(1)


def _finish(run: Callable[[], "Results | None"]) -> None:
    """Run a sweep, then draw and summarise what it has come to, however it ended, unless another driver runs it."""
    from rich.console import Console

    from glosstune.results import load_results
    from glosstune.search.tracking.summary import keep_picture, summarise

    interrupted = None
    try:
        results = run()
    except Interrupted as error:
        interrupted, results = error, load_results(error.place)
    except KeyboardInterrupt:  # a driver takes signals itself, so this is before or after it
        typer.echo("glosstune: interrupted while no trial ran; the same command goes on, or says what does", err=True)
        raise typer.Exit(128 + signal.SIGINT) from None
    if results is None:
        return
    keep_picture(results)
    summarise(results, Console())
    if interrupted is not None:
        typer.echo(f"glosstune: {interrupted}", err=True)
        raise typer.Exit(128 + interrupted.signal)
    if results.trials["wer_best"].isna().all():
        raise typer.Exit(1)
