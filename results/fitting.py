"""A table for a terminal: no cell is broken, and the last columns that there is no room for are left out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from rich.box import SIMPLE_HEAD, Box
from rich.cells import cell_len, set_cell_size
from rich.table import Table
from rich.text import Text

_GAP = 2
# What is left of a column that may be cut, at least.
_LEAST = 16
_CUT = "…"
_TELL_MOST = ("strategy", "learning_rate")


@dataclass(frozen=True)
class Column:
    """A column and its cells, all of them text without control sequences.

    Attributes:
        heading: may have several lines.
        right: whether its cells stand to the right.
        cut: whether its cells may be cut to the room that is left.
    """

    heading: str
    cells: Sequence[str]
    right: bool = True
    cut: bool = False

    @property
    def width(self) -> int:
        """Cells of the terminal."""
        return max(map(cell_len, (*self.heading.split("\n"), *self.cells)), default=0)


def fit_columns(columns: Sequence[Column], width: int | None, kept: int) -> list[Column]:
    """Those that fit into a width, in their order; None is room for all.

    Args:
        columns: the most telling first.
        kept: so many of the first ones are never left out.
    """
    if width is None:
        return list(columns)
    fitting, used = list(columns[:kept]), sum(column.width + _GAP for column in columns[:kept]) - _GAP
    for column in columns[kept:]:
        room = width - used - _GAP
        if column.width > room and column.cut and room >= _LEAST:
            column = replace(column, cells=[_shorten(cell, room) for cell in column.cells])
        if column.width <= room:
            fitting.append(column)
            used += _GAP + column.width
    return fitting


def differing(columns: Sequence[Column]) -> list[Column]:
    """Those whose cells are not all the same; all of them where there is one row to show."""
    return [column for column in columns if len(column.cells) < 2 or len(set(column.cells)) > 1]


def order_parameters(names: Iterable[str]) -> list[str]:
    """Those that tell most before the others, which keep their order."""
    return sorted(names, key=lambda name: _TELL_MOST.index(name) if name in _TELL_MOST else len(_TELL_MOST))


def build_table(columns: Sequence[Column], styles: Sequence[str | None] = (), box: Box | None = SIMPLE_HEAD) -> Table:
    """The columns side by side; ``styles`` are of the rows."""
    between = _GAP - (box is not None)  # a box puts one of its own between columns
    table = Table(box=box, show_edge=False, pad_edge=False, padding=(0, between, 0, 0), header_style="bold")
    for column in columns:
        # The least width too: rich would rather narrow a column than go past the edge.
        heading, width = Text(column.heading), column.width
        table.add_column(heading, justify="right" if column.right else "left", no_wrap=True, min_width=width)
    for place, row in enumerate(zip(*(column.cells for column in columns), strict=True)):
        table.add_row(*map(Text, row), style=styles[place] if styles else None)
    return table


def _shorten(cell: str, room: int) -> str:
    return cell if cell_len(cell) <= room else set_cell_size(cell, room - 1).rstrip() + _CUT
