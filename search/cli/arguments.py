"""What several commands take: a sweep file and overrides, a folder of results, a cluster."""

from pathlib import Path
from typing import Annotated

import typer

from glosstune.results.text import escaped
from glosstune.search.cli.completing import complete_argument, complete_override
from glosstune.search.cli.words import split_files
from glosstune.spaces.errors import SettingError


def split_arguments(arguments: list[str] | None) -> tuple[Path | None, list[str]]:
    """The sweep file, if one is named, and the overrides."""
    files, overrides = split_files(arguments)
    if len(files) > 1:
        raise SettingError(f"{' '.join(files)}: expected one sweep file; overrides are written key=value")
    return (Path(files[0]).expanduser() if files else None), overrides


Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[SWEEP.YAML] [KEY=VALUE]...",
        help="A sweep file or a packaged sweep (default: teacher; with corpus.root teacher-own), and overrides.",
        autocompletion=complete_argument,
    ),
]


def warn(line: str) -> None:
    """Tell the user something on standard error."""
    typer.echo(escaped(line), err=True)


# A folder or, as ``storage`` of a sweep file, an address on object storage: a Path would swallow one of its slashes.
ResultsFolder = Annotated[str, typer.Argument(metavar="FOLDER", help="Folder of a sweep, or its s3:// address.")]


# Where it lies may change; what it holds is compared.
Moved = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Where its files lie now: corpus.root, corpus.cache, pretrained, teacher.",
        autocompletion=complete_override,
    ),
]


Attached = Annotated[
    str | None, typer.Option(metavar="HOST:PORT|auto", help="Ray cluster to attach to; default RAY_ADDRESS.")
]
