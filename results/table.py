"""Choose from a frame of trials, and show it as a table for the terminal or a page, or as CSV, JSON or Parquet."""

import io
import math
import re
from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from html import escape
from pathlib import Path
from textwrap import shorten
from typing import Any

import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype, is_string_dtype
from rich.console import Console
from rich.table import Table

from glosstune.results.fitting import Column, build_table, fit_columns, order_parameters
from glosstune.results.reading.columns import RANK_COLUMNS, TRIAL_COLUMNS
from glosstune.results.reading.frames import name_parameters
from glosstune.results.reading.indicators import INDICATORS
from glosstune.results.reading.names import check_output
from glosstune.results.text import as_json, printable
from glosstune.spaces.errors import SettingError, initials, shown
from glosstune.spaces.files.atomic import write_text, write_whole

TEXT_FORMATS = ("table", "csv", "json", "markdown", "latex")
FILE_FORMATS = (*TEXT_FORMATS, "parquet")

MISSING = "-"
_INDICATORS = "indi-\ncators"
# Differences too small for a percentage are what ``reproduce`` is about.
_WER = re.compile(r"(^|_)wer(_(?!difference)|$)")

# The wide ones are the same to a Japanese spreadsheet.
_FORMULA = re.compile(r"(^|;)(\s*[=+\-@\uff1d\uff0b\uff0d\uff20])")

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
    for key, names in (("sort", [] if sort is None else [sort]), ("columns", columns or [])):
        for name in names:
            _check_column(trials, name, key)
    if twice := [name for name, count in Counter(columns or []).items() if count > 1]:
        raise SettingError(f"{twice[0]!r} is named twice", key="columns")
    if where is not None:
        trials = trials[_holds(trials, where)]
    if sort is not None:
        trials = trials.sort_values(sort, ascending=not reverse, kind="stable", na_position="last")
    return trials[list(columns)] if columns else trials


def _holds(trials: pd.DataFrame, where: str) -> pd.Series:
    """Whether a condition holds of each trial; where a value is missing it does not."""
    try:
        told = trials.eval(where, engine="python", local_dict={}, global_dict={})
    except Exception as error:  # whatever the expression raises
        rule = f"{shown(where)} is no condition: {shorten(str(error), 200)}; columns are {', '.join(trials.columns)}"
        raise SettingError(rule, key="where") from None
    if not isinstance(told, pd.Series) or not is_bool_dtype(told):
        raise SettingError(
            f"{shown(where)} is neither true nor false of a trial; compare by == or <, as in wer_best < 0.3",
            key="where",
        )
    return told.astype("boolean").fillna(False)


def _check_column(trials: pd.DataFrame, name: str, key: str) -> None:
    if name not in trials.columns:
        parts = sorted(name.split("_"))
        close = [column for column in trials.columns if sorted(column.split("_")) == parts]  # best_wer for wer_best
        close = close or [column for column in trials.columns if initials(column) == name]
        close = close or get_close_matches(name, trials.columns, n=1)
        way_out = f"did you mean {close[0]!r}?" if close else f"columns are {', '.join(trials.columns)}"
        raise SettingError(f"no column {name!r}; {way_out}", key=key)


def in_percent(name: str) -> bool:
    """Whether a column holds word error rates, which people read in percent."""
    return _WER.search(name) is not None


def format_results(trials: pd.DataFrame, format: str, several: bool | None = None, *, metric: str | None = None) -> str:
    """Return the trials as text.

    ``table`` is for the terminal: of the whole frame it shows what matters most, of chosen columns just them.
    ``csv``, ``json``, ``markdown`` and ``latex`` have all columns. In CSV a text that a spreadsheet would take for a
    formula begins with an apostrophe.

    Args:
        several: whether a table names the sweep of each trial; default where these are of several.
        metric: that trials of ``rank_trials`` are ranked by, which a table shows in place of the WER.
    """
    _check_format(format, TEXT_FORMATS)
    return _format_text(trials, format, Console(), several, metric)


def format_table(frame: pd.DataFrame) -> str:
    """Any frame as a table for the terminal, with all its columns."""
    return _print([build_table(_plain_columns(frame))], Console(), whole=True)


def write_results(trials: pd.DataFrame, format: str, path: Path | str) -> None:
    """Write the trials to ``path``; it is written beside and renamed, and a FolderError if that fails."""
    _check_format(format, FILE_FORMATS)
    path = check_output(path)
    if format == "parquet":
        write_whole(path, lambda partial: trials.to_parquet(partial, engine="pyarrow", index=False))
    else:
        text = _format_text(trials, format, Console(file=io.StringIO()))
        write_text(path, text)


def _check_format(format: str, known: tuple[str, ...]) -> None:
    if format not in known:
        raise SettingError(f"must be one of {', '.join(known)}; got {format!r}", key="format")


def _format_text(
    trials: pd.DataFrame, format: str, console: Console, several: bool | None = None, metric: str | None = None
) -> str:
    if format == "csv":
        texts = [name for name in trials.columns if is_string_dtype(trials[name])]
        safe = trials.assign(**{name: trials[name].map(_as_csv, na_action="ignore") for name in texts})
        return safe.rename(columns=_as_csv).to_csv(index=False, lineterminator="\n")
    if format == "json":
        # Not DataFrame.to_json, which rounds numbers.
        rows = trials.astype(object).where(trials.notna(), None).to_dict(orient="records")
        told = [{name: _as_finite(value) for name, value in row.items()} for row in rows]
        return as_json(told)
    if format == "markdown":
        return _as_markdown(trials)
    if format == "latex":
        styled = _as_texts(trials).style.hide(axis="index").format(escape="latex")
        return styled.format_index(escape="latex", axis=1).to_latex(hrules=True)
    return _format_table(trials, console, several, metric)


def _as_csv(text: str) -> str:
    """Without control sequences; what a spreadsheet would take for a formula, and run, has an apostrophe in front.

    Behind a semicolon too, at which many of them divide cells.
    """
    return _FORMULA.sub(r"\1'\2", printable(text))


def _as_finite(value: Any) -> Any:
    """Itself; infinity, which a parameter can be and JSON lacks, as text."""
    infinite = isinstance(value, float) and math.isinf(value)
    return ("Infinity" if value > 0 else "-Infinity") if infinite else value


def _as_markdown(trials: pd.DataFrame) -> str:
    rows = [
        [printable(str(name)) for name in trials.columns],
        ["---"] * len(trials.columns),
        *_as_texts(trials).to_numpy().tolist(),
    ]
    return "".join(f"| {' | '.join(map(_as_markdown_cell, row))} |\n" for row in rows)


def _as_markdown_cell(text: str) -> str:
    """Text that stays text: no tag, link or picture, and no further cell."""
    return escape(text.replace("\\", "\\\\"), quote=False).replace("|", "\\|").replace("](", "]\\(")


def _as_texts(trials: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({printable(name): _cells(trials[name]) for name in trials.columns}, index=trials.index)


def _format_table(trials: pd.DataFrame, console: Console, several: bool | None, metric: str | None) -> str:
    """Of a whole frame what fits into the terminal, the most telling first; elsewhere, and of chosen columns, all."""
    if not set(TRIAL_COLUMNS) <= set(trials.columns):
        return _print([build_table(_plain_columns(trials))], console, whole=True)
    marks = ASCII_MARKS if console.options.ascii_only else MARKS
    if several is None:
        several = trials["sweep"].nunique() > 1
    columns = _trial_columns(trials, marks, several, metric)
    shown = fit_columns(columns, console.width if console.is_terminal else None, kept=5 + several)
    best = (trials["wer_best"] == trials["wer_best"].min() if metric is None else trials["rank"] == 1).to_numpy()
    first = best.argmax() if best.any() else None  # of equal ones the first
    table = build_table(shown, ["bold" if place == first else None for place in range(len(trials))])
    headings = {column.heading for column in shown}
    told = [_explain_indicators(marks)] if len(trials) and _INDICATORS in headings else []
    left = [" ".join(column.heading.split("\n")) for column in columns if column.heading not in headings]
    if left:
        told.append(f"no room for: {', '.join(left)}; see --columns, or glosstune explain FOLDER TRIAL")
    return _print([table, *told], console)


def _print(parts: Sequence[Table | str], console: Console, *, whole: bool = False) -> str:
    """The parts as text; what no terminal shows, or is to be whole, is cut and wrapped nowhere."""
    whole = whole or not console.is_terminal
    if whole:
        options = console.options.update(width=10_000)
        console.width = max(console.measure(part, options=options).maximum for part in parts if isinstance(part, Table))
    with console.capture() as capture:
        for part in parts:
            console.print(part, soft_wrap=whole, highlight=False, markup=False, emoji=False)
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def _explain_indicators(marks: Marks) -> str:
    reached, missed, undecided = marks
    verdicts = f"{reached} yes, {missed} no, {undecided} open"
    return f"{verdicts}: WER <60% by epoch 10, <40% by 20, <30% by 40; train loss <3; dev loss follows"


def _trial_columns(rows: pd.DataFrame, marks: Marks, several: bool, metric: str | None) -> list[Column]:
    """Who and how far, then what was given, then what became of it."""
    best, label, epoch = rows["wer_best"], "WER", rows["epoch_of_best"]
    if metric is not None:
        best, label, epoch = rows["value"].rename(metric), printable(metric), rows["value_epoch"]
        rows = rows.drop(columns=list(RANK_COLUMNS))
    verdicts = ["".join(_mark(row[name], marks) for name in INDICATORS) for row in rows.to_dict(orient="records")]
    reasons = rows["stop_reason"].astype(object).where(rows["stop_reason"].notna(), rows["error"])
    parameters = order_parameters(name for name in name_parameters(rows) if rows[name].notna().any())
    return [
        *([Column("sweep", _cells(rows["sweep"]), right=False)] if several else []),
        Column("trial", _cells(rows["trial"])),
        Column("status", _cells(rows["status"]), right=False),
        Column("epochs", _cells(rows["epochs"])),
        Column(f"best\n{label}", _cells(best)),
        Column("at\nepoch", _cells(epoch)),
        *(_parameter(rows, name) for name in parameters[:2]),
        Column(_INDICATORS, verdicts),
        *(_parameter(rows, name) for name in parameters[2:]),
        Column("stop reason", _cells(reasons), right=False, cut=True),
    ]


def _parameter(rows: pd.DataFrame, name: str) -> Column:
    return Column(printable(name).replace("_", "\n"), _cells(rows[name]), right=is_numeric_dtype(rows[name]))


def _plain_columns(rows: pd.DataFrame) -> list[Column]:
    return [
        Column(printable(str(name)), _cells(rows[name]), right=is_numeric_dtype(rows[name])) for name in rows.columns
    ]


def _mark(verdict: Any, marks: Marks) -> str:
    reached, missed, undecided = marks
    return undecided if pd.isna(verdict) else reached if verdict else missed


def _cells(column: pd.Series) -> list[str]:
    """The values of a column for people: a WER in percent, other numbers in three digits."""
    form = ".1%" if in_percent(str(column.name)) else ".3g"
    return [_cell(value, form) for value in column]


def _cell(value: Any, form: str) -> str:
    if pd.isna(value):
        return MISSING
    return printable(f"{value:{form}}" if isinstance(value, float) else str(value))
