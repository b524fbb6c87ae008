"""The commands that look for a fault before anybody searches: verify, overfit, inspect, diagnose."""

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from glosstune.models.kinds import KINDS
from glosstune.results.text import as_json as write_json
from glosstune.results.text import escaped
from glosstune.search.cli.arguments import split_arguments, warn
from glosstune.search.cli.completing import complete_argument, complete_override
from glosstune.search.cli.words import split_files
from glosstune.spaces.errors import SettingError, shown

_KIND = f"{', '.join(KINDS)}, or package.module:Name of your own"
Kinds = Annotated[
    list[str] | None,
    typer.Option("--kind", metavar="MODULE:NAME", help="Model of your own that a file may be of: its code runs."),
]
Features = Annotated[
    int | None,
    typer.Option(min=1, help="Values a frame that --model reads; default 6516, those of the default layout."),
]
Preset = Literal["default", "A", "B", "C"]
Norm = Literal["group", "batch"]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Overrides of a sweep file, such as corpus.root.",
        autocompletion=complete_override,
    ),
]


def verify(
    target: Annotated[
        str | None, typer.Argument(help=f"{_KIND}; an exported .safetensors file or a trial's .pt checkpoint.")
    ] = None,
    *,
    model: Annotated[
        str | None, typer.Option(help="Somebody else's model instead: package.module:factory, see docs/why-97.md.")
    ] = None,
    vocabulary: Annotated[int, typer.Option(min=2, help="Glosses and the blank.")] = 1232,
    features: Features = None,
    width: Annotated[float | None, typer.Option(help="model.width of a kind; default 1.")] = None,
    time_stride: Annotated[int | None, typer.Option(help="model.time_stride of a kind; default 4.")] = None,
    norm: Annotated[Norm | None, typer.Option(help="model.norm of a kind; default group.")] = None,
    layout: Annotated[
        str | None, typer.Option(help="corpus.layout that a kind reads: a name, or [blocks]; default 'default'.")
    ] = None,
    kinds: Kinds = None,
) -> None:
    """Check that a model is what CTC needs: a line a check, exit status 1 if one fails.

    Example: glosstune verify --model mypackage.net:build --vocabulary 1232
    """
    from glosstune.search.checks.verifying import verify_foreign, verify_target
    from glosstune.spaces.files.yaml_data import parse_yaml

    if (target is None) == (model is None):
        raise SettingError(f"verify: name {_KIND}; or a file, or somebody else's model with --model")
    _check_features(features, model)
    options = {"width": width, "time_stride": time_stride, "norm": norm, "layout": layout}
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if given and (model is not None or Path(str(target)).expanduser().is_file()):
        rule = f"goes with a kind of model, teacher or student; {target or model} has its own"
        raise SettingError(rule, key=f"--{min(given).replace('_', '-')}")
    if layout is not None:
        given["layout"] = parse_yaml(layout, "--layout")
    if model is not None:
        checks = verify_foreign(model, vocabulary, features)
    else:
        checks = verify_target(str(target), vocabulary, kinds=kinds or [], **given)
    for check in checks:
        typer.echo(escaped(f"{'PASS' if check.passed else 'FAIL'}  {check.name}: {check.evidence}"))
    if not all(check.passed for check in checks):
        raise typer.Exit(1)


def overfit(
    kind: Annotated[str, typer.Argument(help=f"Which model: {_KIND}.")],
    overrides: Overrides = None,
    *,
    samples: Annotated[int | None, typer.Option(min=1, help="How many utterances; default 5, 3 in C.")] = None,
    preset: Annotated[
        Preset, typer.Option(help="A: slower; B: AdamW with weight decay; C: fewer, longer.")
    ] = "default",
    epochs: Annotated[int | None, typer.Option(min=1, help="At most so many; default 2000, 4000 in C.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Default 1e-3, 5e-4 in A.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of samples and weights.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder; default overfit-KIND-DATE.")] = None,
) -> None:
    """Let a model learn a few utterances by heart, which a sound one can; exit status 1 if it does not.

    Example: glosstune overfit teacher corpus.root=/data/phoenix --preset A
    """
    from rich.console import Console

    from glosstune.search.checks.overfitting import describe_overfit, run_overfit
    from glosstune.search.config.loading import load_named
    from glosstune.trainables.checks.overfitting import PRESETS

    if learning_rate is not None and not 0 < learning_rate <= 1e3:
        raise SettingError(f"--learning-rate: must be a number above 0 and at most 1000; got {learning_rate:g}")
    changed = {"samples": samples, "epochs": epochs, "learning_rate": learning_rate, "seed": seed}
    asked = {name: value for name, value in changed.items() if value is not None}
    settings = type(PRESETS[preset]).model_validate(PRESETS[preset].model_dump() | asked)
    name = f"overfit-{kind.rpartition(':')[2]}-{datetime.now():%Y-%m-%d-%H%M%S}"
    folder = (out or Path(name)).expanduser().absolute()
    result = run_overfit(load_named(kind, overrides or []), settings, folder, Console(stderr=True))
    typer.echo(describe_overfit(result))
    typer.echo(f"{folder}: overfit.png, overfit.csv, overfit.json")
    if not result.passed:
        raise typer.Exit(1)


def inspect(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SWEEP.YAML] [KEY=VALUE]...",
            help="A sweep file, and overrides such as corpus.root.",
            autocompletion=complete_argument,
        ),
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print all that was seen as JSON.")] = False,
    picture: Annotated[Path | None, typer.Option(help="Draw it too: a file .png or .pdf.")] = None,
    sample: Annotated[int, typer.Option(min=1, help="Utterances to read at most.")] = 160,
    layouts: Annotated[bool, typer.Option("--layouts", help="List the named layouts instead.")] = False,
) -> None:
    """Read a sample of a corpus, at most a minute, and say what is wrong with it.

    Example: glosstune inspect corpus.root=/data/phoenix corpus.layout=default --picture corpus.png
    """
    from glosstune.results.report.curves import picture_format
    from glosstune.results.report.inspection_picture import draw_inspection
    from glosstune.results.text import fold_for_terminal
    from glosstune.search.checks.diagnosing import middle_settings
    from glosstune.search.checks.inspecting import describe_inspection, describe_layouts
    from glosstune.search.config.loading import load_sweep
    from glosstune.trainables.checks.inspection import inspect_corpus

    if layouts:
        typer.echo(describe_layouts())
        return
    if picture is not None:
        picture_format(picture)  # which refuses a wrong ending at once
    sweep = load_sweep(*split_arguments(overrides))
    seen = inspect_corpus(middle_settings(sweep).corpus, sweep.model.time_stride, sample=sample)
    if as_json:
        typer.echo(json.dumps(seen.to_mapping(), indent=1, allow_nan=False))
    else:
        typer.echo(fold_for_terminal(describe_inspection(sweep, seen), indent=13))
    if picture is not None:
        draw_inspection(seen.to_mapping(), picture.expanduser())


def diagnose(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SWEEP.YAML] [KEY=VALUE]...",
            help="The sweep that does not learn, and overrides.",
            autocompletion=complete_argument,
        ),
    ] = None,
    *,
    trial: Annotated[
        tuple[Path, int] | None, typer.Option(metavar="FOLDER TRIAL", help="A trial whose curve tells more.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Somebody else's model, package.module:factory, instead of the sweep's.")
    ] = None,
    vocabulary: Annotated[
        int | None, typer.Option(min=2, help="Glosses and the blank that --model is made for; default the corpus's.")
    ] = None,
    features: Features = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the causes as JSON.")] = False,
) -> None:
    """Say why a recipe stays near 100 % WER: ranked causes, what was seen, and what mends each.

    Example: glosstune diagnose my.yaml corpus.root=/data/phoenix --trial runs/a 17
    """
    from glosstune.results.reading.names import SWEEP
    from glosstune.results.text import fold_for_terminal
    from glosstune.search.checks.diagnosing import diagnose as look
    from glosstune.search.checks.inspecting import describe_findings
    from glosstune.search.config.loading import load_sweep

    _check_features(features, model)
    path, changes = split_arguments(overrides)
    where = None if trial is None else (trial[0].expanduser().absolute(), trial[1])
    if path is None and where is not None and (where[0] / SWEEP).is_file():
        path = where[0] / SWEEP  # the trial's own
    sweep, say = load_sweep(path, changes), warn
    found = look(sweep, say, trial=where, model=model, classes=vocabulary, features=features)
    told = json.dumps([asdict(finding) for finding in found], indent=1) if as_json else None
    typer.echo(told or fold_for_terminal("\n".join(describe_findings(found)), indent=8))


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
    kinds: Kinds = None,
) -> None:
    """Set exported models side by side: parameters, bytes, errors on dev and speed on this device.

    Example: glosstune compare-models teacher.safetensors student.safetensors corpus.root=/data/phoenix
    """
    from glosstune.search.checks.comparing import describe_comparison, place_corpus
    from glosstune.trainables.export.comparing import Candidate, compare_models

    files, overrides = split_files(arguments)
    paths = [Path(file).expanduser() for file in files]
    if len(paths) < 2:
        taken = f", and no file but a setting in {' and '.join(map(shown, overrides))}" if overrides else ""
        raise SettingError(f"compare-models: name two or more exported .safetensors files; got {len(paths)}{taken}")
    candidates = [Candidate.read(path, kinds or []) for path in paths]
    corpus = place_corpus(candidates[0].recogniser.settings.corpus, overrides, kinds or [])
    comparison = compare_models(candidates, corpus, rounds=rounds, say=warn)
    if as_json:
        told = {**asdict(comparison), "warnings": comparison.warnings}
        typer.echo(write_json(told), nl=False)
    else:
        typer.echo(escaped(describe_comparison(comparison)))


def _check_features(features: int | None, model: str | None) -> None:
    if features is not None and model is None:
        raise SettingError("goes with --model alone: other models read what their layout has", key="--features")
