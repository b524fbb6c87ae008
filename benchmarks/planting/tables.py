"""Tables of recordings that are sound, and what goes wrong with them: each fault changes the folder that holds one."""

import csv
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from layouts import COLUMNS, COPYCAT, write_clips, write_forms, write_table

Values = np.ndarray[Any, Any]
Rows = list[dict[str, str]]

FORMS = ("landmarks, .npy", "landmarks, .pose", "COCO-WholeBody", "hands in 2-D", "512 projections")
_DEV_SIGNER = "s5"


def write_form(root: Path, name: str, sentences: int) -> list[str]:
    """The words of the embedded corpus in one of FORMS; what says where they lie."""
    return next(overrides for form, overrides in write_forms(root, sentences, only=name) if form == name)


def write_sentences(root: Path, file: Path, count: int) -> list[str]:
    """Real sentences, hands alone, of which dev's are those of one signer; what says where they lie."""
    with np.load(file) as arrays:
        chosen = np.sort(np.random.default_rng(0).permutation(len(arrays["signer"]))[:count])
        spans = list(pairwise(arrays["offsets"]))
        hands = [arrays["hands"][slice(*spans[place])] for place in chosen]
        few = {name: arrays[name][chosen] for name in ("signer", "glosses")}
    lengths = np.cumsum([0, *map(len, hands)])
    clips = write_clips({**few, "hands": np.concatenate(hands), "offsets": lengths}, root)
    table = write_table(root, [(*clip, "dev" if clip.signer == _DEV_SIGNER else "train") for clip in clips])
    return [*COPYCAT, f"corpus.root={table}"]


def shuffled(root: Path) -> None:
    """Each split's transcripts stand beside other recordings."""

    def change(rows: Rows) -> None:
        for split in ("train", "dev"):
            own = [row for row in rows if row["split"] == split]
            glosses = [row["glosses"] for row in own]
            for row, place in zip(own, np.random.default_rng(0).permutation(len(own)), strict=True):
                row["glosses"] = glosses[place]

    _rewrite(root, change)


def other_case(root: Path) -> None:
    """Dev is annotated in small letters, or in capitals where training has small ones."""

    def change(rows: Rows) -> None:
        for row in rows:
            if row["split"] == "dev":
                row["glosses"] = row["glosses"].swapcase()

    _rewrite(root, change)


def absent(root: Path) -> None:
    """Every third file is not there."""
    for path in _files(root)[::3]:
        path.unlink()


def damaged(root: Path) -> None:
    """Every fourth file is cut short."""
    for path in _files(root)[::4]:
        path.write_bytes(path.read_bytes()[:500])


def values(change: Callable[[Values], Values]) -> Callable[[Path], None]:
    """What all .npy files hold is changed."""

    def plant(root: Path) -> None:
        for path in _files(root):
            np.save(path, np.asarray(change(np.load(path)), np.float32))

    return plant


def standardised(values: Values) -> Values:
    return (values - values.mean(0)) / (values.std(0) + 1e-6)


def frozen(values: Values) -> Values:
    """The first frame, again and again."""
    return np.repeat(values[:1], len(values), axis=0)


def _files(root: Path) -> list[Path]:
    # A folder may be named after what it holds.
    return sorted(path for path in root.rglob("*") if path.suffix in (".npy", ".pose") and path.is_file())


def _rewrite(root: Path, change: Callable[[Rows], None]) -> None:
    (table,) = root.rglob("table.csv")
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    change(rows)
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
