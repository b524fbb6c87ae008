"""Which sentences there are: a table of real ones, made-up ones, a share of them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glosstune.spaces.errors import SettingError
from glosstune.trainables.corpora.utterance import SPLITS

COLUMNS = ["split", "id", "signer", "glosses"]


@dataclass(frozen=True)
class Sentence:
    """A row of the table."""

    split: str
    key: str
    signer: str
    glosses: tuple[str, ...]


def read_sentences(path: Path) -> list[Sentence]:
    """The rows of a table; SettingError where it is none, with the line."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"--glosses {path}: cannot be read ({error})") from None
    if lines[0].split("\t") != COLUMNS:
        raise SettingError(f"--glosses {path}: must begin with the columns {', '.join(COLUMNS)}, got {lines[0]!r}")
    sentences, seen = [], set[tuple[str, str]]()
    for number, line in enumerate(lines[1:], start=2):
        if not line:
            continue
        fields = line.split("\t")
        if len(fields) != len(COLUMNS) or fields[0] not in SPLITS or not fields[3].split():
            rule = f"needs {', '.join(COLUMNS)}, with a split of {', '.join(SPLITS)} and a gloss at least"
            raise SettingError(f"--glosses {path}: line {number} {rule}")
        split, key, signer, glosses = fields
        if Path(key).name != key or "|" in line or (split, key) in seen:
            raise SettingError(f"--glosses {path}: line {number}: id {key!r} must be a file's name, once a split, no |")
        seen.add((split, key))
        sentences.append(Sentence(split, key, signer, tuple(glosses.split())))
    return sentences


def make_up_sentences(seed: int = 0) -> list[Sentence]:
    """Sentences of this shape: frequent and rare glosses, marked forms, nine signers."""
    generator = np.random.default_rng(seed)
    names = ["__ON__", "__OFF__", *(f"GLOSS{number}" for number in range(30)), "loc-GLOSS3", "GLOSS4-PLUSPLUS"]
    share = 1 / np.arange(1, len(names) + 1)
    return [
        Sentence(
            split,
            f"{split}-{number}",
            f"Signer{number % 9 + 1:02}",
            tuple(map(str, generator.choice(names, generator.integers(5, 14), p=share / share.sum()))),
        )
        for split, count in (("train", 36), ("dev", 9), ("test", 9))
        for number in range(count)
    ]


def draw_share(sentences: Sequence[Sentence], share: float, seed: int) -> list[Sentence]:
    """So many of each split's sentences, two at least, drawn at random, in their order."""
    kept = []
    for split in SPLITS:
        own = [sentence for sentence in sentences if sentence.split == split]
        count = min(len(own), max(2, round(share * len(own))))
        chosen = np.random.default_rng([seed, SPLITS.index(split)]).permutation(len(own))[:count]
        kept += [own[place] for place in sorted(chosen.tolist())]
    return kept


def describe(sentences: Sequence[Sentence]) -> Iterator[str]:
    """Sentences, glosses and signers of each split, and how many glosses training lacks."""
    known = {gloss for s in sentences if s.split == "train" for gloss in s.glosses}
    for split in SPLITS:
        own = [sentence for sentence in sentences if sentence.split == split]
        counts = Counter(gloss for sentence in own for gloss in sentence.glosses)
        lacking = [gloss for gloss in counts if gloss not in known]
        tokens = sum(counts[gloss] for gloss in lacking)
        line = f"{split}: {len(own)} sentences, {counts.total()} glosses, {len(counts)} different"
        line += f", {len({s.signer for s in own})} signers"
        yield line + (f"; training lacks {len(lacking)} of them, in {tokens} places" if split != "train" else "")
