"""The commands that take exported models: compare-models."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from glosstune.spaces.errors import SettingError


def compare_models(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="TEACHER.safetensors STUDENT.safetensors... [KEY=VALUE]...",
            help="Files that glosstune export has written, and where their corpus lies: corpus.root, corpus.cache.",
        ),
    ],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds to time, after one to warm up.")] = 5,
) -> None:
    """Set exported models side by side: parameters, bytes, errors on dev and speed on this device.

    Example: glosstune compare-models teacher.safetensors student.safetensors corpus.root=/data/phoenix
    """
    from glosstune.search.checks.comparing import describe_comparison, place_corpus
    from glosstune.trainables.export.comparing import Candidate, compare_models

    paths = [Path(argument).expanduser() for argument in arguments if "=" not in argument]
    overrides = [argument for argument in arguments if "=" in argument]
    if len(paths) < 2:
        raise SettingError(f"compare-models: name two or more exported .safetensors files; got {len(paths)}")
    candidates = [Candidate.read(path) for path in paths]
    corpus = place_corpus(candidates[0].recogniser.settings.corpus, overrides)
    comparison = compare_models(candidates, corpus, rounds=rounds, say=lambda line: typer.echo(line, err=True))
    if as_json:
        told = {**asdict(comparison), "warnings": comparison.warnings}
        typer.echo(json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        typer.echo(describe_comparison(comparison))
