"""Show a frame of trials as a table for the terminal, or as CSV, JSON or Parquet."""

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from glosstune.results.frames import name_parameters
from glosstune.results.indicators import INDICATORS
from glosstune.results.writing import write_beside
from glosstune.spaces.errors import SettingError

TEXT_FORMATS = ("table", "csv", "json")
FILE_FORMATS = (*TEXT_FORMATS, "parquet")

MISSING = "-"

# Reached, missed, not decided; the second set is for terminals that know no more than ASCII.
Marks = tuple[str, str, str]
MARKS: Marks = ("✓", "✗", "·")
ASCII_MARKS: Marks = ("+", "x", ".")


def format_results(trials: pd.DataFrame, format: str) -> str:
    """Return the trials as a ``table`` for the terminal, best WER first; or all columns as ``csv`` or ``json``."""
    _check_format(format, TEXT_FORMATS)
    return _format_text(trials, format, Console())


def write_results(trials: pd.DataFrame, format: str, path: Path | str) -> None:
    """Write the trials to ``path``; it is written beside and renamed, and a FolderError if that fails."""
    _check_format(format, FILE_FORMATS)
    with write_beside(Path(path)) as partial:
        if format == "parquet":
            trials.to_parquet(partial, engine="pyarrow", index=False)
        else:
            partial.write_text(_format_text(trials, format, Console(file=io.StringIO())), encoding="utf-8")


def _check_format(format: str, known: tuple[str, ...]) -> None:
    if format not in known:
        raise SettingError(f"must be one of {', '.join(known)}; got {format!r}", key="format")


def _format_text(trials: pd.DataFrame, format: str, console: Console) -> str:
    if format == "csv":
        return trials.to_csv(index=False)
    if format == "json":
        # Not DataFrame.to_json, which rounds numbers.
        rows = trials.astype(object).where(trials.notna(), None).to_dict(orient="records")
        return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"
    return _format_table(trials, console)


def _format_table(trials: pd.DataFrame, console: Console) -> str:
    """Give each parameter a column where the terminal is wide enough for it, else all of them one."""
    marks = ASCII_MARKS if console.options.ascii_only else MARKS
    rows = trials.sort_values("wer_best", kind="stable", na_position="last")
    parameters = [name for name in name_parameters(trials) if trials[name].notna().any()]
    table = _build_table(rows, [[name] for name in parameters], marks)
    width = console.measure(table, options=console.options.update(width=10_000)).maximum
    if not console.is_terminal:
        console.width = width
    elif width > console.width and parameters:
        table = _build_table(rows, [parameters], marks)
    with console.capture() as capture:
        console.print(table)
        if len(rows):
            console.print(_explain_indicators(marks), soft_wrap=not console.is_terminal, highlight=False, markup=False)
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def _explain_indicators(marks: Marks) -> str:
    reached, missed, undecided = marks
    verdicts = f"{reached} yes, {missed} no, {undecided} open"
    return f"{verdicts}: WER <60% by epoch 10, <40% by 20, <30% by 40; train loss <3; dev loss follows"


def _build_table(rows: pd.DataFrame, groups: list[list[str]], marks: Marks) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for heading in ("trial", "status", "epochs", "best\nWER %", "at\nepoch", "indi-\ncators"):
        table.add_column(heading, justify="left" if heading == "status" else "right")
    for group in groups:
        table.add_column(group[0].replace("_", "\n") if len(group) == 1 else "parameters", overflow="fold")
    # Where all parameters share a column, they need the room more.
    shared = any(len(group) > 1 for group in groups)
    table.add_column("stop reason", overflow="fold", max_width=18 if shared else None)
    for place, row in enumerate(rows.to_dict(orient="records")):
        cells = [
            row["trial"],
            row["status"],
            row["epochs"],
            MISSING if pd.isna(row["wer_best"]) else f"{row['wer_best']:.1%}".rstrip("%"),
            row["epoch_of_best"],
            "".join(_mark(row[name], marks) for name in INDICATORS),
            *(_format_group(row, group) for group in groups),
            row["error"] if pd.isna(row["stop_reason"]) else row["stop_reason"],
        ]
        best = place == 0 and not pd.isna(row["wer_best"])
        table.add_row(*(_format_cell(cell) for cell in cells), style="bold" if best else None)
    return table


def _mark(verdict: Any, marks: Marks) -> str:
    reached, missed, undecided = marks
    return undecided if pd.isna(verdict) else reached if verdict else missed


def _format_group(row: dict[Any, Any], group: list[str]) -> Any:
    if len(group) == 1:
        return row[group[0]]
    return " ".join(f"{name}={_format_cell(row[name])}" for name in group if not pd.isna(row[name]))


def _format_cell(value: Any) -> Text:
    if pd.isna(value):
        return Text(MISSING)
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    # A record may come from elsewhere: no control sequence of its texts reaches the terminal.
    return Text("".join(character if character.isprintable() else " " for character in text))
