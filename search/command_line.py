"""The command ``glosstune``."""

import json
import sys
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer
from rich.console import Console

from glosstune.spaces.errors import GlosstuneError, SettingError

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
ResultsFolder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of a sweep.")]
Labels = Literal["isolated", "uniform", "aligned"]
Format = Literal["table", "csv", "json", "parquet"]


@app.callback()
def root() -> None:
    """Find the training recipe of a continuous sign-language recogniser."""


@app.command()
def sweep(
    arguments: Arguments = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the sweep; default sweeps/NAME-DATE.")] = None,
) -> None:
    """Search for the best recipe.

    Example: glosstune sweep my.yaml corpus.root=/data/phoenix search.samples=64 --out runs/a
    """
    from glosstune.results import draw_curves
    from glosstune.search.launch import launch
    from glosstune.search.summary import summarise
    from glosstune.search.sweep import load_sweep

    path, overrides = _split(arguments)
    settings = load_sweep(path, overrides)
    console = Console(stderr=True)
    results = launch(settings, out, console=console)
    scored = bool(results.trials["wer_best"].notna().any())
    if scored:
        draw_curves(results, results.folder / "curves.png")
    summarise(results, Console())
    if not scored:
        raise typer.Exit(1)


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
    from glosstune.search.sweep import load_sweep
    from glosstune.search.weights import pretrain_to

    path, overrides = _split(arguments)
    overrides += [f"pretraining.labels={labels}"] * (labels is not None)
    overrides += [f"pretraining.align_with={json.dumps(str(align_with))}"] * (align_with is not None)
    pretrain_to(out.expanduser(), load_sweep(path, overrides), typer.echo)


@app.command()
def results(
    folder: ResultsFolder,
    format: Annotated[Format | None, typer.Option(help="Form; default by the file's ending, else a table.")] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; default standard output.")] = None,
) -> None:
    """Print or write the trials of a sweep.

    Example: glosstune results runs/a --format csv --out trials.csv
    """
    from glosstune.results import format_results, load_results, write_results

    if format is None:
        ending = out.suffix.removeprefix(".") if out else "table"
        form = next((form for form in get_args(Format) if form == ending), None)
        if form is None:
            raise SettingError(f"--out {out}: ends in none of .csv, .json, .parquet; say --format")
        format = form
    trials = load_results(folder.expanduser()).trials
    if out is not None:
        write_results(trials, format, out.expanduser())
    elif format == "parquet":
        raise SettingError("--format parquet: is binary; name a file with --out")
    else:
        sys.stdout.write(format_results(trials, format))


@app.command()
def pack(arguments: Arguments = None) -> None:
    """Pack a corpus once, so that the first sweep on it starts at once.

    Example: glosstune pack my.yaml corpus.root=/data/phoenix
    """
    from glosstune.search.sweep import load_sweep
    from glosstune.trainables.corpora import pack_corpus

    path, overrides = _split(arguments)
    corpus = pack_corpus(load_sweep(path, overrides).corpus)
    size_mb = sum(file.stat().st_size for file in corpus.folder.iterdir()) / 1e6
    typer.echo(f"{corpus.folder}: {len(corpus.table)} utterances, {size_mb:.0f} MB")


def main() -> None:
    """Run the command; an error that the user can mend is one line on standard error and exit status 2."""
    try:
        app()
    except (GlosstuneError, OSError) as error:  # what the system refuses names its file itself
        typer.echo(f"glosstune: {error}", err=True)
        sys.exit(2)


def _split(arguments: list[str] | None) -> tuple[Path | None, list[str]]:
    """The sweep file, if one is named, and the overrides: whatever holds a ``=``."""
    files = [argument for argument in arguments or [] if "=" not in argument]
    overrides = [argument for argument in arguments or [] if "=" in argument]
    if len(files) > 1:
        raise SettingError(f"{' '.join(files)}: expected one sweep file; overrides are written key=value")
    return (Path(files[0]).expanduser() if files else None), overrides
