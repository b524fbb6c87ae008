"""The commands that show what sweeps came to, and hand it on."""

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from glosstune.results.text import escaped
from glosstune.search.cli.arguments import Moved, ResultsFolder, warn
from glosstune.spaces.errors import Interrupted, SettingError

if TYPE_CHECKING:
    from glosstune.results import Results

Folders = Annotated[
    list[str], typer.Argument(metavar="FOLDER...", help="Folders of sweeps, or of plain Ray Tune experiments.")
]
Format = Literal["table", "csv", "json", "parquet", "markdown", "latex"]
Per = Literal["trial", "strategy"]
Metric = Annotated[
    str | None, typer.Option(help="Rank by this metric of the epochs, such as val_wer, accuracy; default WER.")
]
Mode = Annotated[
    Literal["min", "max"] | None,
    typer.Option(help="Which end of --metric is the best; default max of an accuracy and its like, else min."),
]
# As ``confirm.plan`` has them, whose imports would take a second of every --help.
Rules = Literal["none", "plain", "phoenix2014", "phoenix2014-camgoz", "phoenix2014t", "csl-daily", "characters"]
# Files of a form that go by another ending.
_ENDINGS = {"md": "markdown", "tex": "latex"}


def results(
    folders: Folders,
    where: Annotated[str | None, typer.Option(help="Condition on the columns, as pandas' query takes it.")] = None,
    sort: Annotated[str | None, typer.Option(help="Column to sort by; a table by wer_best by itself.")] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="Sort from the highest to the lowest.")] = False,
    columns: Annotated[str | None, typer.Option(help="Columns to show, joined by commas.")] = None,
    metric: Metric = None,
    mode: Mode = None,
    front: Annotated[
        bool, typer.Option("--front", help="Only trials that no other one beats in all objectives, or in WER and size.")
    ] = False,
    format: Annotated[Format | None, typer.Option(help="Form; default by the file's ending, else a table.")] = None,
    top: Annotated[int | None, typer.Option(min=1, help="Only so many, after sorting.")] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; default standard output.")] = None,
) -> None:
    """Print or write the trials of sweeps.

    Example: glosstune results runs/a runs/b --where "strategy == 'progressive'" --columns trial,wer_best --format csv
    """
    from glosstune.results import format_results, rank_trials, select_trials, write_results
    from glosstune.results.analysis.comparability import tell_differences
    from glosstune.results.analysis.explaining import describe_parameters
    from glosstune.results.reading.epoch_metrics import by_scoring
    from glosstune.results.reading.frames import name_parameters
    from glosstune.results.reading.objectives import NO_FRONT

    if format is None:
        ending = out.suffix.removeprefix(".") if out else "table"
        form = next((form for form in get_args(Format) if form == _ENDINGS.get(ending, ending)), None)
        if form is None:
            raise SettingError(f"--out {out}: ends in none of .csv, .json, .parquet, .md, .tex; say --format")
        format = form
    if metric is not None and front:
        raise SettingError("--front: weighs the objectives of the sweep, so it goes with no --metric")
    loaded = _load(folders, metric, mode)
    if metric is None:
        for told in tell_differences(loaded):
            typer.echo(f"warning: {told}", err=True)
        trials = loaded.front if front else loaded.trials
    else:
        trials = rank_trials(loaded, metric, mode=mode)  # which warns of differences itself
    chosen = [name.strip() for name in columns.split(",")] if columns is not None else None
    if front and chosen is None and format == "table":
        several = ["sweep"] if len(loaded.sweeps) > 1 else []
        searched = [name for name in name_parameters(trials) if loaded.trials[name].nunique() > 1]
        trials = trials.assign(recipe=[describe_parameters(row, searched) for _, row in trials.iterrows()])
        metric, *costs = loaded.objectives
        weighed = ["wer_best"]
        if metric != "wer":
            weighed = [f"{metric}_lowest", "wer_best"]
            trials = trials.assign(**{weighed[0]: loaded.lowest(metric)})
        chosen = [*several, "trial", *weighed, *costs, "epochs", "recipe"]
        sort = weighed[0] if sort is None else sort
    if sort is None and metric is None and (format == "table" or top is not None):
        sort = "wer_best"
    if trials.empty and front:
        typer.echo(f"front: {NO_FRONT}", err=True)
    trials = select_trials(trials, where, sort, reverse, chosen).head(top or len(trials))
    if out is not None:
        write_results(trials, format, out.expanduser())
    elif format == "parquet":
        raise SettingError("--format parquet: is binary; name a file with --out")
    else:
        sys.stdout.write(format_results(trials, format, len(loaded.sweeps) > 1, metric=metric))
        if format == "table" and metric is None and (scored := by_scoring(loaded.scoring)):
            typer.echo(f"WER is counted{scored}")


def _load(folders: list[str], metric: str | None, mode: str | None) -> "Results":
    """The results of all that are sweeps; whoever names a metric need not be told that there are others than WER."""
    from glosstune.results import load_results
    from glosstune.results.reading.ray.metrics import NO_WER

    if mode is not None and metric is None:
        raise SettingError(f"--mode {mode}: goes with --metric")
    if metric is not None:
        warnings.filterwarnings("ignore", f".*: {NO_WER}", UserWarning)
    return load_results(folders, leave_out=True)


def confirm(
    folder: ResultsFolder,
    overrides: Moved = None,
    top: Annotated[int, typer.Option(min=1, help="How many of the best trials.")] = 3,
    seeds: Annotated[int, typer.Option(min=1, help="New seeds for each.")] = 5,
    folds: Annotated[bool, typer.Option("--folds", help="Repeat over the folds of unseen signers.")] = False,
    per: Annotated[Per, typer.Option(help="The best trials of all, or the best one of each strategy.")] = "trial",
    decode: Annotated[str, typer.Option(help="greedy, or beam:10 for a prefix beam search beside it.")] = "greedy",
    rules: Annotated[Rules, typer.Option(help="Score by another rule of corpus.scoring too.")] = "none",
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
        summary = run(
            folder,
            overrides or [],
            top=top,
            seeds=seeds,
            folds=folds,
            per=per,
            decode=decode,
            rules=rules,
            out=out,
        )
    except Interrupted as error:
        typer.echo(f"glosstune: interrupted by {error.signal.name}; the same command goes on", err=True)
        raise typer.Exit(128 + error.signal) from None
    sys.stdout.write(format_table(shorten_confirmation(summary)))


def report(
    folders: Folders,
    out: Annotated[
        Path | None, typer.Option(help="File to write; default report.html in the first folder, if it is one.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw the learning curves too: a file .png or .pdf.")] = None,
    metric: Metric = None,
    mode: Mode = None,
    live: Annotated[bool, typer.Option("--live", help="Serve the page on this machine, and renew it.")] = False,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of --live; default 8090.")] = None,
) -> None:
    """Write one page that shows a sweep: curves, parameters, importance, costs, confusions and every trial.

    Example: glosstune report runs/a --out a.html --picture curves.pdf
    """
    from glosstune.results import draw_curves
    from glosstune.results.report.curves import picture_format

    if picture is not None:
        picture_format(picture)  # which refuses a wrong ending at once
    if port is not None and not live:
        raise SettingError(f"--port {port}: goes with --live")
    results = _load(folders, metric, mode)
    if picture is not None:
        draw_curves(results, picture.expanduser())
    if live:
        from glosstune.results.report.live import LiveReport, serve_report

        page = LiveReport(folders, results.report_path(out), warn, metric=metric or "wer", mode=mode)
        page.update()
        serve_report(page, port or 8090)
        return
    path = results.report(out, metric=metric or "wer", mode=mode)
    typer.echo(escaped(f"{path}: {len(results.trials)} trials; open it in any browser"))


def export(
    folder: ResultsFolder,
    out: Annotated[Path, typer.Option(help="File to write, .safetensors.")],
    trial: Annotated[int | None, typer.Option(help="Which trial; default the best one.")] = None,
) -> None:
    """Write the best checkpoint of a trial as one file, with vocabulary, input conditioning, configuration and scores.

    Example: glosstune export runs/a --out teacher.safetensors
    """
    from glosstune.search.confirm.exporting import export_trial

    typer.echo(escaped(export_trial(folder, out.expanduser(), trial)))


def reproduce(
    folder: ResultsFolder,
    number: Annotated[int, typer.Argument(metavar="TRIAL", help="Number of the trial.")],
    overrides: Moved = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="At most so many; default all that it reported.")] = None,
) -> None:
    """Train a trial again on this machine and compare its curve with the recorded one; exit status 1 if they differ.

    Example: glosstune reproduce runs/a 17 corpus.root=/moved/phoenix --epochs 3
    """
    from glosstune.results import format_table
    from glosstune.search.confirm.reproducing import reproduce as run

    curve = run(folder, number, warn, epochs, overrides or [])
    sys.stdout.write(format_table(curve))
    apart = curve[(curve["train_loss_difference"] != 0) | (curve["wer_difference"] != 0)]
    if len(apart):
        typer.echo(f"differs from epoch {apart['epoch'].iloc[0]}")
        raise typer.Exit(1)
    typer.echo(f"the same in all {len(curve)} epochs")


def explain(
    folder: ResultsFolder,
    number: Annotated[int, typer.Argument(metavar="TRIAL", help="Number of the trial.")],
    picture: Annotated[Path | None, typer.Option(help="Draw its curves too: a file .png or .pdf.")] = None,
) -> None:
    """Tell the life of a trial: what it was given, its curve, its rivals at each rung, and why it ended.

    Example: glosstune explain runs/a 17 --picture trial-17.png
    """
    from glosstune.results import draw_trial, explain_trial, load_results
    from glosstune.results.text import fold_for_terminal

    results = load_results(folder)
    typer.echo(fold_for_terminal(explain_trial(results, number), indent=10))
    if picture is not None:
        draw_trial(results, number, picture.expanduser())


def watch(folder: ResultsFolder) -> None:
    """Show a sweep that runs elsewhere, until it ends; Ctrl-C ends the showing alone.

    Example: glosstune watch runs/a
    """
    from rich.console import Console

    from glosstune.search.tracking.watching import watch as look

    try:
        look(folder, Console())
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


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
