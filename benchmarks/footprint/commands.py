"""What a user calls: commands, run as commands."""

import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from footprint.rows import TIMES, Row
from footprint.watching import Watched, watch
from glosstune.search.config.loading import load_sweep

GLOSSTUNE = (sys.executable, "-m", "glosstune.search")
TEACHER = "teacher-own"
HOURS = 1000  # in which something fits whatever an epoch takes
WARM_STEPS = 20
# Pretraining tells its step nine times, evenly; the first of 22 times is after two steps.
STEPS, FEW_STEPS = WARM_STEPS + 2, 9


@dataclass(frozen=True)
class Walk:
    """A folder to be walked through.

    Attributes:
        root: of the corpus.
        folder: for all that is written: cache, temporary files, weights.
        overrides: of every sweep.
        short: only shows that it runs.
        say: told what happens.
    """

    root: Path
    folder: Path
    overrides: Sequence[str]
    short: bool
    say: Callable[[str], None]

    @property
    def settings(self) -> list[str]:
        """Overrides with the corpus among them."""
        return [f"corpus.root={json.dumps(str(self.root))}", *self.overrides]

    def watch(self, command: Sequence[str]) -> Watched:
        """Run a command with a cache of this walk's own; errors as ``watch``."""
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        own = {"GLOSSTUNE_CACHE": str(self.folder / "cache"), "TMPDIR": str(temporary)}
        return watch(command, self.folder, lambda line: self.say(f"    {line}"), own)

    def command(self, name: str, *options: str) -> tuple[Row, Watched]:
        """Run a command on the teacher's sweep."""
        watched = self.watch([*GLOSSTUNE, name, TEACHER, *self.settings, *options])
        row = Row(f"`glosstune {name}`", watched.seconds, watched.own_mb, watched.rss_mb, watched.disk_mb, "measured")
        return row, watched


def inspect(walk: Walk) -> Row:
    """The first look at a folder, which also finds what its files hold."""
    return walk.command("inspect")[0]


def pack(walk: Walk) -> Row:
    """Into an empty cache."""
    return walk.command("pack")[0]


def plan(walk: Walk) -> Row:
    """Which times epochs itself."""
    return walk.command("plan", "--hours", str(HOURS))[0]


def pretrain(walk: Walk) -> Row:
    """A few steps, and what all would take.

    Raises:
        ValueError: it told of fewer steps than two.
    """
    out = walk.folder / "teacher.safetensors"
    steps = FEW_STEPS if walk.short else STEPS
    row, watched = walk.command("pretrain", f"pretraining.steps={steps}", "--out", str(out))
    told = [(seconds, re.match(r"step (\d+) of", line)) for seconds, line in watched.lines]
    marks = [(seconds, int(found[1])) for seconds, found in told if found]
    (started, first), *_, (ended, last) = marks
    step_s = (ended - started) / (last - first)
    whole = load_sweep(TEACHER, walk.settings).pretraining.steps
    how = f"{last - first} steps {TIMES} {whole / (last - first):.3g}, {step_s:.2g} s each, and its start"
    seconds = watched.seconds + (whole - steps) * step_s
    return replace(row, seconds=seconds, how=how)


def apart(walk: Walk, name: str, what: str, **asked: Any) -> Row:
    """What has no command of its own, measured by a process of its own (see ``footprint.pieces``)."""
    answer = walk.folder / "answer.json"
    asked |= {"what": what, "overrides": walk.settings, "folder": str(walk.folder), "short": walk.short}
    script = Path(__file__).parents[1] / "walk.py"
    watched = walk.watch([sys.executable, str(script), "--measure", json.dumps(asked | {"answer": str(answer)})])
    told = json.loads(answer.read_text(encoding="utf-8"))
    return Row(name, own_mb=watched.own_mb, rss_mb=watched.rss_mb, **{"disk_mb": watched.disk_mb, **told})
