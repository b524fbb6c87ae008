"""Choose from a frame of trials, and show it as a table for the terminal or a page, or as CSV, JSON or Parquet."""

import io
import json
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from glosstune.results.reading.columns import TRIAL_COLUMNS
from glosstune.results.reading.frames import name_parameters
from glosstune.results.reading.indicators import INDICATORS
from glosstune.results.text import printable
from glosstune.spaces.errors import SettingError
from glosstune.spaces.files.atomic import write_whole

TEXT_FORMATS = ("table", "csv", "json", "markdown", "latex")
FILE_FORMATS = (*TEXT_FORMATS, "parquet")

MISSING = "-"

# Reached, missed, not decided; the second set is for terminals that know no more than ASCII.
Marks = tuple[str, str, str]
MARKS: Marks = ("✓", "✗", "·")
ASCII_MARKS: Marks = ("+", "x", ".")


def select_trials(
    trials: pd.DataFrame,
    where: str | None = None,
    sort: str | None = None,
    reverse: bool = False,
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """The trials that meet a condition, in an order, with some columns only.

    Args:
        where: a condition as ``DataFrame.query`` takes it, such as ``strategy == 'progressive' and wer_best < 0.3``.
        sort: the column to sort by; missing values come last.
        reverse: from the highest to the lowest.
        columns: to keep, in their order.

    Raises:
        SettingError: there is no such column, or the condition is none.
    """
    for key, names in (("sort", [sort] if sort else []), ("columns", columns or [])):
        for name in names:
            _check_column(trials, name, key)
    if where:
        try:
            trials = trials.query(where, engine="python", local_dict={}, global_dict={})
        except Exception as error:  # whatever the expression raises
            raise SettingError(
                f"{where!r} is no condition on {', '.join(trials.columns)}: {error}", key="where"
            ) from None
    if sort:
        trials = trials.sort_values(sort, ascending=not reverse, kind="stable", na_position="last")
    return trials[list(columns)] if columns else trials


def _check_column(trials: pd.DataFrame, name: str, key: str) -> None:
    if name not in trials.columns:
        parts = sorted(name.split("_"))
        close = [column for column in trials.columns if sorted(column.split("_")) == parts]  # best_wer for wer_best
        close = close or get_close_matches(name, trials.columns, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise SettingError(f"no column {name!r}; {hint}There are {', '.join(trials.columns)}", key=key)


def format_results(trials: pd.DataFrame, format: str) -> str:
    """Return the trials as text.

    ``table`` is for the terminal: of the whole frame it shows what matters most, of chosen columns just them.
    ``csv``, ``json``, ``markdown`` and ``latex`` have all columns.
    """
    _check_format(format, TEXT_FORMATS)
    return _format_text(trials, format, Console())


def format_table(frame: pd.DataFrame) -> str:
    """Any frame as a table for the terminal, with all its columns."""
    return _print([_build_plain_table(frame)], Console())


def write_results(trials: pd.DataFrame, format: str, path: Path | str) -> None:
    """Write the trials to ``path``; it is written beside and renamed, and a FolderError if that fails."""
    _check_format(format, FILE_FORMATS)
    if format == "parquet":
        write_whole(path, lambda partial: trials.to_parquet(partial, engine="pyarrow", index=False))
    else:
        text = _format_text(trials, format, Console(file=io.StringIO()))
        write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))


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
    if format == "markdown":
        return _as_markdown(trials)
    if format == "latex":
        styled = _as_texts(trials).style.hide(axis="index").format(escape="latex")
        return styled.format_index(escape="latex", axis=1).to_latex(hrules=True)
    return _format_table(trials, console)


def _as_markdown(trials: pd.DataFrame) -> str:
    rows = [list(map(str, trials.columns)), ["---"] * len(trials.columns), *_as_texts(trials).to_numpy().tolist()]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows)


def _as_texts(trials: pd.DataFrame) -> pd.DataFrame:
    return trials.map(lambda value: str(_format_cell(value)))


def _format_table(trials: pd.DataFrame, console: Console) -> str:
    """Give each parameter a column where the terminal is wide enough for it, else all of them one."""
    if not set(TRIAL_COLUMNS) <= set(trials.columns):
        return _print([_build_plain_table(trials)], console)
    marks = ASCII_MARKS if console.options.ascii_only else MARKS
    parameters = [name for name in name_parameters(trials) if trials[name].notna().any()]
    table = _build_table(trials, [[name] for name in parameters], marks)
    if console.is_terminal and _width(table, console) > console.width and parameters:
        table = _build_table(trials, [parameters], marks)
    return _print([table, *([_explain_indicators(marks)] if len(trials) else [])], console)


def _width(table: Table, console: Console) -> int:
    return console.measure(table, options=console.options.update(width=10_000)).maximum


def _print(parts: Sequence[Table | str], console: Console) -> str:
    if not console.is_terminal:
        console.width = max(_width(part, console) for part in parts if isinstance(part, Table))
    with console.capture() as capture:
        for part in parts:
            console.print(part, soft_wrap=not console.is_terminal, highlight=False, markup=False)
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def _explain_indicators(marks: Marks) -> str:
    reached, missed, undecided = marks
    verdicts = f"{reached} yes, {missed} no, {undecided} open"
    return f"{verdicts}: WER <60% by epoch 10, <40% by 20, <30% by 40; train loss <3; dev loss follows"


def _build_table(rows: pd.DataFrame, groups: list[list[str]], marks: Marks) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    several = rows["sweep"].nunique() > 1
    if several:
        table.add_column("sweep", overflow="fold")
    lowest = rows["wer_best"].min()
    bold = True
    for heading in ("trial", "status", "epochs", "best\nWER %", "at\nepoch", "indi-\ncators"):
        table.add_column(heading, justify="left" if heading == "status" else "right")
    for group in groups:
        table.add_column(group[0].replace("_", "\n") if len(group) == 1 else "parameters", overflow="fold")
    # Where all parameters share a column, they need the room more.
    shared = any(len(group) > 1 for group in groups)
    table.add_column("stop reason", overflow="fold", max_width=18 if shared else None)
    for row in rows.to_dict(orient="records"):
        cells = [
            *([row["sweep"]] if several else []),
            row["trial"],
            row["status"],
            row["epochs"],
            MISSING if pd.isna(row["wer_best"]) else f"{row['wer_best']:.1%}".rstrip("%"),
            row["epoch_of_best"],
            "".join(_mark(row[name], marks) for name in INDICATORS),
            *(_format_group(row, group) for group in groups),
            row["error"] if pd.isna(row["stop_reason"]) else row["stop_reason"],
        ]
        best = bold and row["wer_best"] == lowest
        bold = bold and not best  # of equal ones the first
        table.add_row(*(_format_cell(cell) for cell in cells), style="bold" if best else None)
    return table


def _build_plain_table(rows: pd.DataFrame) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for name in rows.columns:
        table.add_column(str(name), justify="right" if is_numeric_dtype(rows[name]) else "left", overflow="fold")
    for row in rows.itertuples(index=False):
        table.add_row(*(_format_cell(cell) for cell in row))
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
    return Text(printable(f"{value:.3g}" if isinstance(value, float) else str(value)))
