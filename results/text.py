"""Text for a terminal: rows as columns that none may break, short numbers, and nothing that it takes for a command."""

from collections.abc import Container, Sequence


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


def escaped(text: str) -> str:
    """The same of a message, which may have several lines and name files: what is not printed is spelled out."""
    return "".join(
        character if character.isprintable() or character == "\n" else character.encode("unicode_escape").decode()
        for character in text
    )
