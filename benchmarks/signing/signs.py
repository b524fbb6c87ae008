"""What a gloss looks like: fragments of letters, or a short gesture of a hand at rest."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glosstune.trainables.corpora.fingerspelling import LETTERS

PREFIXES, SUFFIX = ("loc-", "cl-", "qu-", "poss-", "lh-"), "-PLUSPLUS"
THREE_FRAGMENTS = 0.3  # share of glosses; the others have two
PHASES = (0.0, 0.25, 0.5)  # of a clip, from which a fragment shows half


@dataclass(frozen=True)
class Fragment:
    """Half of a letter's clip, from a phase of it."""

    letter: str
    phase: float


@dataclass(frozen=True)
class Mark:
    """A hand at rest that moves from one place to another, in shoulder widths from where letters begin."""

    first: tuple[float, ...]
    last: tuple[float, ...]


Sign = tuple[Fragment, ...] | Mark


def stem(gloss: str) -> str:
    """What a gloss looks like: NORD of loc-NORD and NORD-PLUSPLUS."""
    while (prefix := next((each for each in PREFIXES if gloss.startswith(each)), None)) is not None:
        gloss = gloss.removeprefix(prefix)
    while gloss.endswith(SUFFIX):
        gloss = gloss.removesuffix(SUFFIX)
    return gloss


def make_signs(glosses: Sequence[str], seed: int) -> dict[str, Sign]:
    """The sign of each stem, no two alike: no letters and phases twice in the same order."""
    signs: dict[str, Sign] = {}
    taken = set[tuple[Fragment, ...]]()
    for name in sorted(set(map(stem, glosses))):
        generator = generator_of(seed, "gloss", name)
        if name.startswith("__"):
            first, last = generator.normal([-0.1, 0.7, 0.0], [0.25, 0.25, 0.05], (2, 3))  # y points down
            signs[name] = Mark(tuple(first.tolist()), tuple(last.tolist()))
            continue
        while True:
            count = 3 if generator.random() < THREE_FRAGMENTS else 2
            letters = generator.choice(LETTERS, count, replace=False).tolist()
            sign = tuple(Fragment(letter, float(generator.choice(PHASES))) for letter in letters)
            if sign not in taken:
                break
        taken.add(sign)
        signs[name] = sign
    return signs


def generator_of(seed: int, *names: str) -> np.random.Generator:
    """Always the same one for the same names."""
    digest = hashlib.sha256("/".join(names).encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest, np.uint32).tolist()])
