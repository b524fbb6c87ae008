"""docs/results.md has every column of the data frames, with its type, unit and meaning."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from glosstune.results.reading.columns import DECISION_COLUMNS, EPOCH_COLUMNS, SWEEP_COLUMNS, TRIAL_COLUMNS
from glosstune.results.reading.epoch_metrics import Column

DOCUMENT = Path(__file__).parents[3] / "docs" / "results.md"
FRAMES = {"trials": TRIAL_COLUMNS, "epochs": EPOCH_COLUMNS, "decisions": DECISION_COLUMNS, "sweeps": SWEEP_COLUMNS}


def table(columns: Mapping[str, Column]) -> Iterator[str]:
    """The table of a frame as the document has it."""
    yield "| column | type | unit | |"
    yield "|---|---|---|---|"
    for name, column in columns.items():
        yield f"| `{name}` | {column.dtype} | {column.unit} | {column.meaning} |"


@pytest.mark.parametrize("frame", FRAMES)
def test_the_table_of_a_frame_is_that_of_its_definition(frame: str) -> None:
    page = DOCUMENT.read_text(encoding="utf-8")
    (told,) = re.findall(rf"^`results\.{frame}`,.*?\n\n((?:\|[^\n]*\n)+)", page, re.MULTILINE | re.DOTALL)
    assert told.splitlines() == list(table(FRAMES[frame]))


def test_every_column_has_a_meaning() -> None:
    assert [name for columns in FRAMES.values() for name, column in columns.items() if not column.meaning] == []
