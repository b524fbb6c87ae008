"""The command ``glosstune``."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from glosstune.search.cli.arguments import split_arguments
from glosstune.search.cli.checks import diagnose, inspect, overfit, verify
from glosstune.search.cli.jobs import logs, status, stop, submit
from glosstune.search.cli.models import compare_models
from glosstune.spaces.errors import GlosstuneError, Interrupted, SettingError

if TYPE_CHECKING:
    from glosstune.results import Results

app = typer.Typer(
    help="Find the training recipe of a continuous sign-language recogniser.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[SWEEP.YAML] [KEY=VALUE]...",
        help="A sweep file or a packaged sweep (default: teacher; teacher-phoenix with corpus.root), and overrides.",
    ),
]
# A folder or, as ``storage`` of a sweep file, an address on object storage: a Path would swallow one of its slashes.
ResultsFolder = Annotated[str, typer.Argument(metavar="FOLDER", help="Folder of a sweep, or its s3:// address.")]
Attached = Annotated[
    str | None, typer.Option(metavar="HOST:PORT|auto", help="Ray cluster to attach to; default RAY_ADDRESS.")
]
Labels = Literal["isolated", "uniform", "aligned"]
Format = Literal["table", "csv", "json", "parquet", "markdown", "latex"]
Per = Literal["trial", "strategy"]
Rules = Literal["none", "phoenix2014", "phoenix2014t"]
# Files of a form that go by another ending.
_ENDINGS = {"md": "markdown", "tex": "latex"}


@app.callback()
def root() -> None:
    """Find the training recipe of a continuous sign-language recogniser."""


@app.command()
def sweep(
    arguments: Arguments = None,
    out: Annotated[str | None, typer.Option(help="Folder or s3:// address; default sweeps/NAME-DATE.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with --out where a sweep lies there.")] = False,
    address: Attached = None,
) -> None:
    """Search for the best recipe.

    Example: glosstune sweep my.yaml corpus.root=/data/phoenix search.samples=64 --out runs/a
    """
    from glosstune.search.config.sweep import load_sweep

    path, overrides = split_arguments(arguments)
    settings = load_sweep(path, overrides)
    if resume and out is None:
        raise SettingError("--resume: name the folder of the sweep with --out")
    from glosstune.search.driver.launching import (
        launch,  # with torch, which takes seconds, so not before all is in order
    )
    from glosstune.search.driver.resuming import resume_as
    from glosstune.search.storage.sweep_folder import SweepFolder

    if resume and out is not None and SweepFolder.at(out).begun:
        _finish(lambda: resume_as(out, settings, overrides, address))
    else:
        _finish(lambda: launch(settings, out, address=address))


@app.command()
def resume(
    folder: ResultsFolder,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Ranges of the space, budgets, target or resources."),
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


@app.command()
def trial(
    folder: ResultsFolder,
    number: Annotated[int, typer.Argument(metavar="TRIAL", help="Number of the trial.")],
    stop: Annotated[bool, typer.Option("--stop", help="End it for good.")] = False,
    pin: Annotated[bool, typer.Option("--pin", help="Train it to its last epoch, whatever rivals do.")] = False,
) -> None:
    """Show, end or pin one trial of a sweep, which may be running.

    Example: glosstune trial runs/a 17 --pin
    """
    from glosstune.search.driver.steering import request

    if stop and pin:
        raise SettingError("--stop --pin: choose one")
    if not stop and not pin:
        explain(folder, number, picture=None)
        return
    typer.echo(request(folder, number, "stop" if stop else "pin"))


@app.command()
def plan(
    arguments: Arguments = None,
    *,
    hours: Annotated[float, typer.Option(help="How long the sweep may take.")],
    gpus: Annotated[float, typer.Option(help="GPUs that it may use; without one, the CPUs of this machine.")] = 0.0,
    seconds_per_epoch: Annotated[float | None, typer.Option(help="Instead of timing epochs here.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Put the proposal into the sweep file.")] = False,
) -> None:
    """Propose samples, epochs, rungs and concurrency for a budget.

    Example: glosstune plan my.yaml --hours 12 --gpus 4 --write
    """
    from glosstune.search.driver.planning import make_plan

    path, overrides = split_arguments(arguments)
    make_plan(path, overrides, hours, gpus, seconds_per_epoch, write, typer.echo)


@app.command()
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
    from glosstune.search.config.sweep import load_sweep
    from glosstune.search.driver.weights import pretrain_to

    path, overrides = split_arguments(arguments)
    overrides += [f"pretraining.labels={labels}"] * (labels is not None)
    overrides += [f"pretraining.align_with={json.dumps(str(align_with))}"] * (align_with is not None)
    pretrain_to(out.expanduser(), load_sweep(path, overrides), typer.echo)


@app.command()
def results(
    folders: Annotated[list[str], typer.Argument(help="Folders of sweeps, or of plain Ray Tune experiments.")],
    where: Annotated[str | None, typer.Option(help="Condition on the columns, as pandas' query takes it.")] = None,
    sort: Annotated[str | None, typer.Option(help="Column to sort by; a table by wer_best by itself.")] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="Sort from the highest to the lowest.")] = False,
    columns: Annotated[str | None, typer.Option(help="Columns to show, joined by commas.")] = None,
    format: Annotated[Format | None, typer.Option(help="Form; default by the file's ending, else a table.")] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; default standard output.")] = None,
) -> None:
    """Print or write the trials of sweeps.

    Example: glosstune results runs/a runs/b --where "strategy == 'progressive'" --columns trial,wer_best --format csv
    """
    from glosstune.results import format_results, load_results, select_trials, write_results

    if format is None:
        ending = out.suffix.removeprefix(".") if out else "table"
        form = next((form for form in get_args(Format) if form == _ENDINGS.get(ending, ending)), None)
        if form is None:
            raise SettingError(f"--out {out}: ends in none of .csv, .json, .parquet, .md, .tex; say --format")
        format = form
    trials = load_results(folders).trials
    chosen = [name.strip() for name in columns.split(",")] if columns else None
    if sort is None and format == "table":
        sort = "wer_best"
    trials = select_trials(trials, where, sort, reverse, chosen)
    if out is not None:
        write_results(trials, format, out.expanduser())
    elif format == "parquet":
        raise SettingError("--format parquet: is binary; name a file with --out")
    else:
        sys.stdout.write(format_results(trials, format))


@app.command()
def confirm(
    folder: ResultsFolder,
    top: Annotated[int, typer.Option(min=1, help="How many of the best trials.")] = 3,
    seeds: Annotated[int, typer.Option(min=1, help="New seeds for each.")] = 5,
    folds: Annotated[bool, typer.Option("--folds", help="Repeat over the folds of unseen signers.")] = False,
    per: Annotated[Per, typer.Option(help="The best trials of all, or the best one of each strategy.")] = "trial",
    decode: Annotated[str, typer.Option(help="greedy, or beam:10 for a prefix beam search beside it.")] = "greedy",
    rules: Annotated[Rules, typer.Option(help="Score after a corpus's clean-up too.")] = "none",
    out: Annotated[
        str | None, typer.Option(help="Folder or s3:// address; default 'confirm' below the sweep's.")
    ] = None,
) -> None:
    """Train the best trials again under new seeds and score the test split, once, at the very end.

    Example: glosstune confirm runs/a --top 3 --seeds 5
    """
    from glosstune.results import format_table
    from glosstune.results.analysis.confirmation import shorten_confirmation
    from glosstune.search.confirm.confirming import confirm as run

    try:
        summary = run(folder, top=top, seeds=seeds, folds=folds, per=per, decode=decode, rules=rules, out=out)
    except Interrupted as error:
        typer.echo(f"glosstune: interrupted by {error.signal.name}; the same command goes on", err=True)
        raise typer.Exit(128 + error.signal) from None
    sys.stdout.write(format_table(shorten_confirmation(summary)))


@app.command()
def report(
    folders: Annotated[list[str], typer.Argument(help="Folders of sweeps, or of plain Ray Tune experiments.")],
    out: Annotated[
        Path | None, typer.Option(help="File to write; default report.html in the first folder, if it is one.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw the learning curves too: a file .png or .pdf.")] = None,
) -> None:
    """Write one page that shows a sweep: curves, parameters, importance, costs, confusions and every trial.

    Example: glosstune report runs/a --out a.html --picture curves.pdf
    """
    import pandas as pd

    from glosstune.results import draw_curves, load_results, write_report
    from glosstune.results.report.curves import picture_format
    from glosstune.search.confirm.confirming import FOLDER, SUMMARY
    from glosstune.spaces.files.object_storage import is_uri

    if picture is not None:
        picture_format(picture)  # which refuses a wrong ending at once
    results = load_results(folders)
    first = next(iter(results.folders.values()))
    path = (out or (Path() if is_uri(folders[0]) else first) / "report.html").expanduser()
    summary = first / FOLDER / SUMMARY
    confirmed = pd.read_json(summary) if len(folders) == 1 and summary.exists() else None
    write_report(results, path, confirmed)
    if picture is not None:
        draw_curves(results, picture.expanduser())
    typer.echo(f"{path}: {len(results.trials)} trials; open it in any browser")


@app.command()
def export(
    folder: ResultsFolder,
    out: Annotated[Path, typer.Option(help="File to write, .safetensors.")],
    trial: Annotated[int | None, typer.Option(help="Which trial; default the best one.")] = None,
) -> None:
    """Write the best checkpoint of a trial as one file, with vocabulary, input conditioning, configuration and scores.

    Example: glosstune export runs/a --out teacher.safetensors
    """
    from glosstune.search.confirm.exporting import export_trial

    typer.echo(export_trial(folder, out.expanduser(), trial))


@app.command()
def reproduce(
    folder: ResultsFolder,
    number: Annotated[int, typer.Argument(metavar="TRIAL", help="Number of the trial.")],
    epochs: Annotated[int | None, typer.Option(min=1, help="At most so many; default all that it reported.")] = None,
) -> None:
    """Train a trial again on this machine and compare its curve with the recorded one; exit status 1 if they differ.

    Example: glosstune reproduce runs/a 17 --epochs 3
    """
    from glosstune.results import format_table
    from glosstune.search.confirm.reproducing import reproduce as run

    curve = run(folder, number, lambda line: typer.echo(line, err=True), epochs)
    sys.stdout.write(format_table(curve))
    apart = curve[(curve["train_loss_difference"] != 0) | (curve["wer_difference"] != 0)]
    if len(apart):
        typer.echo(f"differs from epoch {apart['epoch'].iloc[0]}")
        raise typer.Exit(1)
    typer.echo(f"the same in all {len(curve)} epochs")


@app.command()
def explain(
    folder: ResultsFolder,
    number: Annotated[int, typer.Argument(metavar="TRIAL", help="Number of the trial.")],
    picture: Annotated[Path | None, typer.Option(help="Draw its curves too: a file .png or .pdf.")] = None,
) -> None:
    """Tell the life of a trial: what it was given, its curve, its rivals at each rung, and why it ended.

    Example: glosstune explain runs/a 17 --picture trial-17.png
    """
    from glosstune.results import draw_trial, explain_trial, load_results

    results = load_results(folder)
    typer.echo(explain_trial(results, number))
    if picture is not None:
        draw_trial(results, number, picture.expanduser())


@app.command()
def dashboard(
    folder: ResultsFolder,
    host: Annotated[str, typer.Option(help="Address to serve on; who reaches it may change the study.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to serve on.")] = 8080,
) -> None:
    """Serve Optuna's dashboard on a sweep, which may be running; needs the extra 'dashboard'.

    Example: glosstune dashboard runs/a --port 8081
    """
    from glosstune.results.reading.remote import as_local
    from glosstune.search.tracking.dashboard import serve

    serve(as_local(folder), host, port)


@app.command()
def pack(arguments: Arguments = None) -> None:
    """Pack a corpus once, so that the first sweep on it starts at once.

    Example: glosstune pack my.yaml corpus.root=/data/phoenix
    """
    from glosstune.search.config.sweep import load_sweep
    from glosstune.trainables.corpora import pack_corpus

    path, overrides = split_arguments(arguments)
    corpus = pack_corpus(load_sweep(path, overrides).corpus)
    size_mb = sum(file.stat().st_size for file in corpus.folder.iterdir()) / 1e6
    typer.echo(f"{corpus.folder}: {len(corpus.table)} utterances, {size_mb:.0f} MB")


for command in (inspect, verify, overfit, diagnose, compare_models, submit, status, logs, stop):
    app.command()(command)


def main() -> None:
    """Run the command; an error that the user can mend is one line on standard error and exit status 2."""
    try:
        app()
    except (GlosstuneError, OSError) as error:  # what the system refuses names its file itself
        typer.echo(f"glosstune: {error}", err=True)
        sys.exit(2)


def _finish(run: Callable[[], "Results | None"]) -> None:
    """Run a sweep, then draw and summarise what it has come to, however it ended, unless another driver runs it."""
    from rich.console import Console

    from glosstune.results import draw_curves, load_results
    from glosstune.search.storage.sweep_folder import SweepFolder
    from glosstune.search.tracking.summary import summarise

    interrupted = None
    try:
        results = run()
    except Interrupted as error:
        interrupted, results = error, load_results(error.place)
    if results is None:
        return
    scored = bool(results.trials["wer_best"].notna().any())
    if scored:
        draw_curves(results, results.folder / "curves.png")
        SweepFolder.at(results.place).share("curves.png", results.folder)
    summarise(results, Console())
    if interrupted is not None:
        typer.echo(f"glosstune: {interrupted}", err=True)
        raise typer.Exit(128 + interrupted.signal)
    if not scored:
        raise typer.Exit(1)
