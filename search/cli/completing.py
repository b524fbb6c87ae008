"""What a shell completes: packaged sweeps, sweep files, and keys with the values that they take."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from glosstune.search.cli.words import split_files

Completions = list[tuple[str, str]]  # with what a shell may show beside each


def complete_argument(ctx: typer.Context, incomplete: str) -> Completions:
    """A sweep or an override."""
    overrides, before = complete_override(ctx, incomplete), _before_equals(ctx)
    if not before:
        return [*complete_sweep(incomplete), *overrides]
    start = f"{before}="  # which bash has put in already
    return [*overrides, *((name.removeprefix(start), told) for name, told in complete_sweep(start + incomplete))]


def complete_sweep(incomplete: str) -> Completions:
    """Packaged sweeps and sweep files."""
    from glosstune.search.config.loading import packaged_sweeps

    place = Path(incomplete)
    folder = place if incomplete.endswith("/") else place.parent
    files = [str(file) for ending in ("yaml", "yml") for file in sorted(folder.glob(f"[!.]*.{ending}"))]
    packaged = [(name, "packaged sweep") for name in packaged_sweeps()]
    return [each for each in [*packaged, *((file, "file") for file in files)] if each[0].startswith(incomplete)]


def complete_key(incomplete: str) -> Completions:
    """Keys, with their meaning."""
    from glosstune.search.config.keys import list_keys

    return [(key.name, key.meaning) for key in list_keys() if key.name.startswith(incomplete)]


def complete_override(ctx: typer.Context, incomplete: str) -> Completions:
    """Keys, each with what the sweep has and the other values that can be listed."""
    key = _before_equals(ctx)
    if not incomplete and not key:
        return []  # more than a hundred
    if key:
        # bash makes three words of key=value, and puts in what follows the =.
        found = [(value, meaning) for name, value, meaning in _values(ctx) if name == key]
    else:
        found = [(f"{name}={value}", meaning) for name, value, meaning in _values(ctx)]
    return [each for each in found if each[0].startswith(incomplete)]


def _values(ctx: typer.Context) -> Iterator[tuple[str, str, str]]:
    from glosstune.search.config.keys import list_keys
    from glosstune.spaces.files.yaml_data import write_flow

    own = _own_values(ctx)
    for key in list_keys():
        first = write_flow(own[key.name]) if key.name in own else key.default
        for value in dict.fromkeys([first, *key.options]):
            yield key.name, "" if " " in value else value, key.meaning  # a blank would have to be quoted


def _own_values(ctx: typer.Context) -> dict[str, Any]:
    """What the sweep that the line names sets, by dotted key; nothing where there is none."""
    from glosstune.results.reading.names import SWEEP
    from glosstune.search.config.loading import read_sweep
    from glosstune.spaces.errors import GlosstuneError

    words = "\n".join(_words(ctx)).replace("\n=\n", "=").split("\n")  # as bash has them, of which some hold blanks
    files, overrides = split_files([word for word in words if word])
    named = files[0] if files else ctx.params.get("kind")
    if folder := ctx.params.get("folder"):
        named = f"{folder}/{SWEEP}"
    try:
        tree = read_sweep(named, overrides)[1]
    except GlosstuneError:
        return {}
    return {
        f"{section}.{name}" if name else section: value
        for section, values in tree.items()
        for name, value in (values.items() if isinstance(values, dict) else [("", values)])
    }


def _words(ctx: typer.Context) -> list[str]:
    return [str(word) for value in ctx.params.values() if isinstance(value, list | tuple) for word in value]


def _before_equals(ctx: typer.Context) -> str:
    """What stands before the = at the cursor, a key or the beginning of a path, where bash makes a word of it."""
    words = _words(ctx)
    # Click leaves out an = at the cursor.
    if os.environ.get("COMP_WORDS", "").split()[-1:] == ["="]:
        words.append("=")
    return words[-2] if len(words) > 1 and words[-1] == "=" else ""
