"""The command ``glosstune``."""

import sys

import typer

from glosstune.search.cli.checks import compare_models, diagnose, inspect, overfit, verify
from glosstune.search.cli.jobs import logs, status, stop, submit
from glosstune.search.cli.results import confirm, dashboard, explain, export, report, reproduce, results
from glosstune.search.cli.sweep import pack, plan, pretrain, resume, sweep, trial
from glosstune.spaces.errors import GlosstuneError

app = typer.Typer(
    help="Find the training recipe of a continuous sign-language recogniser.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def root() -> None:
    """Find the training recipe of a continuous sign-language recogniser."""


_SEARCH = (sweep, resume, trial, plan, pretrain)
_RESULTS = (results, confirm, report, export, reproduce, explain, dashboard)
_CHECKS = (pack, inspect, verify, overfit, diagnose, compare_models)
_JOBS = (submit, status, logs, stop)

for command in (*_SEARCH, *_RESULTS, *_CHECKS, *_JOBS):
    app.command()(command)


def main() -> None:
    """Run the command; an error that the user can mend is one line on standard error and exit status 2."""
    try:
        app()
    except (GlosstuneError, OSError) as error:  # what the system refuses names its file itself
        typer.echo(f"glosstune: {error}", err=True)
        sys.exit(2)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        typer.echo("glosstune: torch is not installed here; run: pip install torch", err=True)
        sys.exit(2)
