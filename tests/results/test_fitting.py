import io

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from glosstune.results.fitting import Column, build_table, differing, fit_columns, order_parameters

TEXTS = st.text(st.sampled_from("ab 9.手"), max_size=24)


@st.composite
def _columns(draw: st.DrawFn) -> list[Column]:
    rows = draw(st.integers(1, 4))
    cells = st.lists(TEXTS, min_size=rows, max_size=rows)
    return [
        Column(f"{place} {draw(TEXTS)}", draw(cells), right=draw(st.booleans()), cut=draw(st.booleans()))
        for place in range(draw(st.integers(1, 6)))
    ]


def _printed(columns: list[Column], width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(build_table(columns))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@given(_columns(), st.integers(20, 120), st.integers(1, 3))
def test_what_fits_is_never_wider_than_the_terminal_and_loses_nothing_else(
    columns: list[Column], width: int, kept: int
) -> None:
    shown = fit_columns(columns, width, kept)
    assert [column.heading for column in shown[:kept]] == [column.heading for column in columns[:kept]]
    needed = sum(column.width for column in columns[:kept]) + 2 * (len(columns[:kept]) - 1)
    if needed <= width:
        assert all(cell_len(line.rstrip()) <= width for line in _printed(shown, width))
    for column in shown:
        whole = next(each for each in columns if each.heading == column.heading)
        for cell, full in zip(column.cells, whole.cells, strict=True):
            assert cell == full or (whole.cut and cell.endswith("…") and full.startswith(cell[:-1]))
    assert fit_columns(columns, None, kept) == columns


def test_a_long_reason_is_cut_and_a_number_never() -> None:
    columns = [Column("trial", ["12"]), Column("rate", ["0.000677"]), Column("why", ["x" * 90], right=False, cut=True)]
    assert [len(column.cells[0]) for column in fit_columns(columns, 50, kept=1)] == [2, 8, 33]
    assert [column.heading for column in fit_columns(columns, 12, kept=1)] == ["trial"]


def test_columns_that_say_the_same_of_all_rows_tell_nothing() -> None:
    same, other = Column("a", ["1", "1"]), Column("b", ["1", "2"])
    assert differing([same, other]) == [other]
    assert differing([Column("a", ["1"])]) == [Column("a", ["1"])]


def test_strategy_and_rate_stand_first() -> None:
    assert order_parameters(["dropout", "learning_rate", "warmup_epochs", "strategy"]) == [
        "strategy",
        "learning_rate",
        "dropout",
        "warmup_epochs",
    ]
