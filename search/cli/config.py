"""The commands about the keys of a sweep file: init, keys."""

import json
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from glosstune.search.cli.completing import complete_key, complete_sweep
from glosstune.search.cli.words import split_files
from glosstune.spaces.errors import FolderError, SettingError, quoted

SCHEMA = "glosstune.schema.json"


def init(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SWEEP] FILE.YAML [KEY=VALUE]...",
            help="The packaged sweep, or the sweep file, that it begins as (default as for sweep); the file to write.",
            autocompletion=complete_sweep,
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show the defaults of all other keys too.")] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help=f"Write {SCHEMA} beside it, from which editors complete and check.")
    ] = False,
) -> None:
    """Write a sweep file that says what its keys mean.

    Example: glosstune init student my.yaml corpus.root=/data/phoenix
    """
    from glosstune.search.config.loading import read_sweep
    from glosstune.search.config.schema import sweep_schema
    from glosstune.search.config.template import write_template
    from glosstune.spaces.files.atomic import write_text

    files, overrides = split_files(arguments)
    if not 1 <= len(files) <= 2 or Path(files[-1]).suffix not in (".yaml", ".yml"):
        got = " ".join(files) or "nothing"
        raise SettingError(f"init: name the file to write last, with the ending .yaml, such as my.yaml; got {got}")
    path = Path(files[-1]).expanduser()
    if path.exists():
        raise FolderError(f"{path}: exists already; name another file, or remove it")
    source, tree = read_sweep(files[0] if len(files) == 2 else None, overrides)
    text = source.read_text(encoding="utf-8")
    written = write_template(tree, text, str(path), schema=SCHEMA if schema else None, everything=everything)
    write_text(path, written)
    typer.echo(f"{path}: {source.stem}, with comments; next: glosstune sweep {quoted(str(path))} --check")
    if schema:
        beside = path.with_name(SCHEMA)
        write_text(beside, json.dumps(sweep_schema(), indent=1))
        typer.echo(f"{beside}: what editors complete from")


def keys(
    pattern: Annotated[
        str | None,
        typer.Argument(help="A key, a section, or a word of a name or meaning: lr.", autocompletion=complete_key),
    ] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of a sweep file instead.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/keys.md instead.")] = False,
) -> None:
    """List the keys of a sweep file: default, range and meaning.

    Example: glosstune keys lr
    """
    from glosstune.search.config.keys import describe_keys, find_keys, keys_page, list_keys
    from glosstune.search.config.schema import sweep_schema

    if sum((schema, markdown, pattern is not None)) > 1:
        raise SettingError("keys: choose one of a pattern, --schema and --markdown")
    if schema:
        typer.echo(json.dumps(sweep_schema(), indent=1))
    elif markdown:
        sys.stdout.write(keys_page())
    else:
        found = list_keys() if pattern is None else find_keys(pattern)
        width = min(shutil.get_terminal_size().columns, 100)
        typer.echo("\n".join(describe_keys(found, width, headed=pattern is None)))
