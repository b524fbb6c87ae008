"""A terminal without a window: what a command writes to it, as lines of text."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import pyte
from rich.console import Console


class Terminal:
    """A screen of a size, and a console that writes to it."""

    def __init__(self, width: int, height: int = 40) -> None:
        self._screen = pyte.Screen(width, height)
        self._screen.set_mode(pyte.modes.LNM)
        self.feed = pyte.Stream(self._screen).feed
        self.console = Console(file=_Written(self.feed), force_terminal=True, width=width, height=height)

    @property
    def text(self) -> str:
        """What stands on it."""
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip() + "\n"

    def resize(self, width: int) -> None:
        """What the user does with the window; lines are cut, not wrapped, as by xterm."""
        self._screen.resize(columns=width)
        self.console.width = width


class _Written(io.StringIO):
    def __init__(self, feed: Callable[[str], None]) -> None:
        super().__init__()
        self._feed = feed

    def write(self, text: str) -> int:
        self._feed(text)
        return len(text)


def check_screen(text: str, path: Path) -> None:
    """Compare a screen with the one that is kept; with UPDATE_SCREENS=1 keep it instead."""
    if os.environ.get("UPDATE_SCREENS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"{path}: differs; UPDATE_SCREENS=1 keeps the new one"
