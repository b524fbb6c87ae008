"""The errors that a user can cause, as one small tree.

GlosstuneError
├── SettingError      a key of a sweep file, an override or an argument
├── CorpusError       a file of features or annotations, or a split
├── CheckpointError   a file of weights
├── FolderError       a sweep's folder or its disk
└── Interrupted       a signal ended a sweep, which can be resumed
"""

import re
import shlex
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from signal import Signals
from textwrap import shorten


class GlosstuneError(Exception):
    """Something a user can mend; the command line prints it without a traceback and exits with 2."""


class SettingError(GlosstuneError):
    """A setting that is unknown, of the wrong type or out of range.

    ``key`` is the dotted name of the setting where there is one, ``rule`` the message without it.
    """

    def __init__(self, rule: str, *, key: str = "") -> None:
        super().__init__(f"{key}: {rule}" if key else rule)
        self.key = key
        self.rule = rule


class CorpusError(GlosstuneError):
    """Features, annotations or splits that cannot be trained on as they are."""


class CheckpointError(GlosstuneError):
    """A checkpoint that does not fit or cannot be read."""


class FolderError(GlosstuneError):
    """A sweep folder that exists, is missing, or cannot be written."""


class Interrupted(GlosstuneError):
    """A signal ended a sweep, whose folder or URI is ``place``. All that was reported is kept."""

    def __init__(self, place: str, signal: Signals) -> None:
        super().__init__(f"interrupted by {signal.name}; go on with: glosstune resume {quoted(place)}")
        self.place = place
        self.signal = signal


def quoted(text: str) -> str:
    """A text as one argument of a command that a user may paste: into a POSIX shell, on Windows into PowerShell or cmd.

    What PowerShell or cmd replace even between double quotes, such as ``$name`` and ``%name%``, they still do.
    """
    if sys.platform != "win32":
        return shlex.quote(text)
    if re.fullmatch(r"[\w.:/\\=+-]+", text):
        return text
    # Backslashes count as such except before a quote (the rules of Microsoft's C runtime).
    inner = re.sub(r'(\\*)("|$)', lambda found: 2 * found[1] + found[2].replace('"', '\\"'), text)
    return f'"{inner}"'


def quoted_command(arguments: Iterable[str]) -> str:
    """A whole command that a user may paste."""
    return " ".join(map(quoted, arguments))


def initials(name: str) -> str:
    """The first letters of the words of a key, by which some call it: lr for learning_rate."""
    return "".join(word[:1] for word in re.split("[_-]", name))


def unknown_key(name: object, known: Iterable[str]) -> str:
    """The rule for a key that is not among the known ones: the likeliest spelling, or all of them."""
    names = list(known)
    close = [each for each in names if initials(each) == name] or get_close_matches(str(name), names, n=1)
    return f"unknown key; did you mean {close[0]!r}?" if close else f"unknown key; known keys: {', '.join(names)}"


def likeliest(value: object, valid: Iterable[str]) -> str:
    """A clause that asks for the valid spelling closest to a wrong one; empty where nothing is close."""
    names = list(valid)
    close = get_close_matches(str(value), names, n=1) or get_close_matches(str(value).lower(), names, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def shown(value: object) -> str:
    """A value as a message shows it: spelled as in YAML where that is short, and never longer than a line."""
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 80 else text[:77] + "..."


def told(error: BaseException) -> str:
    """An error of somebody else's code, on one line."""
    return shorten(f"{type(error).__name__}: {error}", 300)
