"""Text for a terminal: rows as columns that none may break, short numbers, and nothing that it takes for a command."""

import json
import shutil
import sys
from collections.abc import Callable, Container, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def align(rows: Sequence[Sequence[str]], left: Container[int] = ()) -> list[str]:
    """A line for each row, whose cells stand below each other: to the left in the columns named, else to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [f"{cell:{'<' if at in left else '>'}{widths[at]}}" for at, cell in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    return lines


def rounded(value: float) -> str:
    """Three digits of a number."""
    return f"{float(f'{value:.3g}'):,g}"


def printable(text: str) -> str:
    """Text of a record, which may come from elsewhere, without any control sequence."""
    return "".join(character if character.isprintable() else " " for character in text)


def as_json(value: object) -> str:
    """JSON for people, in which what a terminal might take for a command is spelled out."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    return "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text) + "\n"


def fold(text: str, width: int, indent: int) -> str:
    """The text in lines no longer than the width where blanks allow it, so that paths stay whole; the rest indented."""
    later = " " * indent
    lines: list[str] = []
    for line in text.splitlines():
        too_long = len(line) > width
        folded = wrap(line, width, subsequent_indent=later, break_long_words=False, break_on_hyphens=False)
        lines += folded if too_long else [line]
    return "\n".join(lines)


def fold_for_terminal(text: str, indent: int) -> str:
    """The text, folded where a terminal shows it; a pipe or a file gets whole lines."""
    text = escaped(text)
    return fold(text, shutil.get_terminal_size().columns, indent) if sys.stdout.isatty() else text


def lines_to(console: "Console") -> Callable[[object], None]:
    """Print lines there as they are: glosses and folders may hold what rich or a terminal takes for more than text."""
    return lambda line: console.print(escaped(str(line)), soft_wrap=True, highlight=False, markup=False, emoji=False)


def escaped(text: str) -> str:
    """The same of a message, which may have several lines and name files: what is not printed is spelled out."""
    return "".join(
        character if character.isprintable() or character == "\n" else character.encode("unicode_escape").decode()
        for character in text
    )
