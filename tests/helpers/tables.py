"""Tables of three recordings, in every form that a table can have."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from glosstune.trainables.corpora import TableCorpus

Cells = Mapping[str, object]


def recorded(frames: int = 8, width: int = 1629) -> np.ndarray:
    return np.random.default_rng(0).uniform(0.1, 0.9, size=(frames, width)).astype(np.float32)


def write_csv(path: Path, rows: Sequence[Cells], separator: str = ",") -> Path:
    pd.DataFrame(rows).to_csv(path, index=False, sep=separator)
    return path


def write_json(path: Path, rows: Sequence[Cells]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def write_parquet(path: Path, rows: Sequence[Cells]) -> Path:
    pd.DataFrame(rows).to_parquet(path)
    return path


def write_tsv(path: Path, rows: Sequence[Cells]) -> Path:
    return write_csv(path, rows, "\t")


WRITERS = {
    "table.csv": write_csv,
    "table.tsv": write_tsv,
    "table.jsonl": write_json,
    "table.ndjson": write_json,
    "table.parquet": write_parquet,
}


ROWS: list[Cells] = [
    {"path": "clips/001.npy", "glosses": "MORGEN REGEN", "id": "001", "signer": "01", "split": "train"},
    {"path": "clips/002.npy", "glosses": "NA None", "id": "002", "signer": "01", "split": "train"},
    {"path": "clips/003.npy", "glosses": "REGEN", "id": "003", "signer": "NA", "split": "dev"},
]


def open_table(table: Path, **changes: Any) -> TableCorpus:
    return TableCorpus(table, **{"layout": "base", **changes})


def said(corpus: TableCorpus) -> list[tuple[str, str, str, tuple[str, ...]]]:
    return [(u.key, u.split, u.signer, u.glosses) for u in corpus.utterances()]
