"""What docs/troubleshooting.md quotes is what the code prints."""

import ast
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "troubleshooting.md"
BLOCK = re.compile(r"(?<=\n\n)(?: {4}\S.*\n)+")
# Too short to be found in the code by chance, or to mean anything if it were.
SHORT = 8


def quoted(page: str) -> list[str]:
    """The messages of a page, a line of an indented block each."""
    return [line for block in BLOCK.findall(page) for line in textwrap.dedent(block).splitlines()]


def fragments(message: str) -> Iterator[str]:
    """What is the same whenever a message is printed: its parts between ellipses, and where clauses are joined."""
    parts = (part.strip(" ()',;:") for part in re.split(r"…|; |: ", message))
    return (part for part in parts if len(part) >= SHORT)


@cache
def texts() -> str:
    """Every text in the code but docstrings; what a text inserts is left out."""
    found = []
    for package in ("spaces", "models", "trainables", "search", "results"):
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
            found += [
                node.value
                for node in ast.walk(tree)
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
            ]
    return "\n".join(found)


@pytest.mark.parametrize("message", quoted(PAGE.read_text(encoding="utf-8")))
def test_a_quoted_message_is_printed_by_the_code(message: str) -> None:
    parts = list(fragments(message))
    assert parts
    assert [part for part in parts if part not in texts()] == []


def test_a_message_that_nothing_prints_is_noticed() -> None:
    (message,) = quoted("Before.\n\n    …: holds no cheese, and has …; buy some (…)\n\nAfter.\n")
    assert [part for part in fragments(message) if part not in texts()] == ["holds no cheese, and has", "buy some"]
