"""Read the JSON and CSV of Ray Tune, of which a crash may have torn any; what is lost costs nothing else."""

import csv
import io
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from glosstune.spaces.files.bounded import largest_array, parse_json, read_text


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether it is one; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined by a slash, as Ray itself writes them."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}/")
        else:
            found[f"{prefix}{name}"] = value
    return found


def read_rows(folder: Path) -> Iterator[dict[str, Any]]:
    """The results of a trial: of ``result.json``, or of ``progress.csv`` where that one is empty or missing.

    Warns:
        UserWarning: of a file that cannot be read, or lines of it that are no results, behind which Ray goes on when
            it is restored.
    """
    path = folder / "result.json"
    rows, torn = [], []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        row = _parse_json(line)
        if isinstance(row, dict):
            rows.append(row)
        elif line.strip():
            torn.append(number)
    if torn:
        others = f", like {len(torn) - 1} more of its lines" * (len(torn) > 1)
        warnings.warn(f"{path}:{torn[0]}: is no result, and is left out{others}", stacklevel=2)
    yield from rows or _read_csv(folder / "progress.csv")


def read_parameters(path: Path) -> dict[str, Any] | None:
    """What a trial was given; None where no file says it.

    Warns:
        UserWarning: there is one, and it cannot be read.
    """
    text = _text(path)
    if not path.is_file():
        return None
    parameters = _parse_json(text)
    if isinstance(parameters, dict):
        return parameters
    rule = "is empty" if not text.strip() else "is no JSON of parameters"
    warnings.warn(f"{path}: {rule}; the results say what the trial was given, where they do", stacklevel=2)
    return None


def read_states(folder: Path) -> dict[str, str]:
    """The status of each trial by its id, from Ray's newest state of the experiment: JSON whose pickles stay closed.

    A function that returns is done without its last result saying so. No state is no error.

    Warns:
        UserWarning: one that cannot be read; an older one is then taken.
    """
    for path in sorted(folder.glob("experiment_state-*.json"), reverse=True):  # by the date in the name
        state = _parse_json(_text(path))
        if isinstance(state, dict):
            # The second is what Ray 2.4 and its forerunners call them.
            listed = state.get("trial_data", state.get("checkpoints"))
            return dict(_statuses(listed if isinstance(listed, list) else []))
        warnings.warn(f"{path}: cannot be read, so an older state or the results say how trials ended", stacklevel=2)
    return {}


def last_line(path: Path) -> str:
    """Of a text, without blanks around it; empty where there is none."""
    lines = _text(path).strip().splitlines()
    return lines[-1].strip() if lines else ""


def _statuses(listed: list[Any]) -> Iterator[tuple[str, str]]:
    for entry in listed:
        told = entry[0] if isinstance(entry, list) and entry else entry
        trial = _parse_json(told) if isinstance(told, str) else told
        if isinstance(trial, dict) and {"trial_id", "status"} <= trial.keys():
            yield str(trial["trial_id"]), str(trial["status"])


def _text(path: Path) -> str:
    """Of a file; empty where there is none or it cannot be read."""
    if not path.is_file():
        return ""
    try:
        return read_text(path, largest_array(), errors="replace")
    except OSError as error:
        warnings.warn(f"{path}: cannot be read ({error.strerror}), and is left out", stacklevel=3)
        return ""


def _parse_json(text: str) -> Any:
    """None where it is no JSON, or of no use to anybody."""
    try:
        return parse_json(text, _integer)
    except ValueError:
        return None


def _integer(text: str) -> int | float:
    """Python refuses to read integers past a length."""
    return int(text) if len(text) < sys.get_int_max_str_digits() else float(text)


def _read_csv(path: Path) -> Iterator[dict[str, Any]]:
    text = _text(path).replace("\0", "")
    whole = text[: text.rfind("\n") + 1]  # half a number would be another one
    limit = csv.field_size_limit(sys.maxsize)  # a cell may be as large as it is
    try:
        rows = list(csv.DictReader(io.StringIO(whole)))
    except csv.Error as error:
        warnings.warn(f"{path}: is no CSV ({error}), and is left out", stacklevel=3)
        return
    finally:
        csv.field_size_limit(limit)
    for row in rows:
        told = {name: _parse_cell(value) for name, value in row.items() if name is not None}
        yield told | {name: row[name] for name in ("trial_id", "hostname") if row.get(name)}


def _parse_cell(text: str | None) -> Any:
    """A number where it is one (float() alone would take 04213_00000 for one too)."""
    if not text:
        return None
    if re.fullmatch(r"[+-]?\d+", text):
        return _integer(text)
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf)", text):
        return float(text)
    return text
