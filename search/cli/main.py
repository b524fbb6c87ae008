"""The command ``glosstune``."""

import io
import sys
import warnings
from typing import Annotated

import typer

from glosstune.results.text import escaped
from glosstune.search.cli.checks import compare_models, diagnose, inspect, overfit, verify
from glosstune.search.cli.config import init, keys
from glosstune.search.cli.help import Command, Commands
from glosstune.search.cli.jobs import logs, status, stop, submit
from glosstune.search.cli.results import confirm, dashboard, explain, export, report, reproduce, results, watch
from glosstune.search.cli.sweep import pack, plan, pretrain, resume, sweep, trial
from glosstune.spaces.errors import GlosstuneError
from glosstune.spaces.files.machine import limit_threads

app = typer.Typer(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Find the training recipe of a continuous sign-language recogniser.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _tell_version(asked: bool) -> None:
    if asked:
        from glosstune.search.cli.version import describe_versions

        typer.echo(describe_versions())
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_tell_version, is_eager=True, help="Versions and devices, and exit."),
    ] = False,
) -> None:
    """Find the training recipe of a continuous sign-language recogniser."""


_COMMANDS = {
    "Sweep files": (init, keys),
    "Search": (sweep, resume, watch, trial, plan),
    "Results": (results, explain, report, confirm, reproduce, export, compare_models, dashboard),
    "Corpus and model": (inspect, diagnose, verify, overfit, pack, pretrain),
    "Clusters": (submit, status, logs, stop),
}

for heading, commands in _COMMANDS.items():
    for command in commands:
        app.command(cls=Command, rich_help_panel=heading)(command)


def main() -> None:
    """Run the command; an error that the user can mend is one line on standard error and exit status 2."""
    limit_threads()
    if sys.stdout is None:  # closed, as some services leave it
        sys.stdout = io.StringIO()
    for stream in (sys.stdout, sys.stderr):
        # Into a file, Windows writes in an encoding of its own, which lacks most signs.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    plain = warnings.formatwarning
    # A line as an error has it; those of libraries say where they are from.
    warnings.formatwarning = lambda message, category, *more: (
        f"warning: {escaped(str(message))}\n" if category is UserWarning else plain(message, category, *more)
    )
    try:
        app()
    except (GlosstuneError, OSError) as error:  # what the system refuses names its file itself
        typer.echo(f"glosstune: {escaped(str(error))}", err=True)
        sys.exit(2)
    except UnicodeEncodeError as error:  # a name of a file, which the system has as bytes
        typer.echo(f"glosstune: {error.object!r} is no text in this locale; set PYTHONUTF8=1, or rename it", err=True)
        sys.exit(2)
    except ModuleNotFoundError as error:
        from glosstune.search.nodes.probe import find_version

        name = str(error.name).partition(".")[0]
        if find_version("glosstune") is None or name in ("None", "glosstune"):
            raise
        typer.echo(f"glosstune: {name} is not installed here; run: pip install {name}", err=True)
        sys.exit(2)
