"""What a shell completes: packaged sweeps, sweep files, and keys with the values that they take."""

from collections.abc import Iterator
from pathlib import Path

import typer

Completions = list[tuple[str, str]]  # with what a shell may show beside each


def complete_argument(ctx: typer.Context, incomplete: str) -> Completions:
    """A sweep or an override."""
    overrides = complete_override(ctx, incomplete)
    return overrides if _key_before(ctx) else [*complete_sweep(incomplete), *overrides]


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
    """Keys, each with the values that can be listed, else with its default."""
    if not incomplete:
        return []  # more than a hundred
    if key := _key_before(ctx):
        # bash makes three words of key=value, and puts in what follows the =.
        return [(value, meaning) for name, value, meaning in _values() if name == key and value.startswith(incomplete)]
    written = [(f"{name}={value}", meaning) for name, value, meaning in _values()]
    return [each for each in written if each[0].startswith(incomplete)]


def _values() -> Iterator[tuple[str, str, str]]:
    from glosstune.search.config.keys import list_keys

    for key in list_keys():
        for value in dict.fromkeys([key.default, *key.options]):
            yield key.name, "" if " " in value else value, key.meaning  # a blank would have to be quoted


def _key_before(ctx: typer.Context) -> str:
    """The key whose value is completed, where the shell has taken it for a word of its own."""
    words = [str(word) for value in ctx.params.values() if isinstance(value, list | tuple) for word in value]
    return words[-2] if len(words) > 1 and words[-1] == "=" else ""
