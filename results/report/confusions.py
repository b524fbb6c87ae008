"""Which glosses the best trial recognises worst, and what it takes them for."""

from collections import Counter
from pathlib import Path

import jiwer
import pandas as pd

from glosstune.results.reading.frames import build_frame
from glosstune.results.text import printable
from glosstune.spaces.errors import FolderError
from glosstune.spaces.files.parquet import ParquetTable

GLOSS_COLUMNS = {"gloss": "string", "times": "int64", "missed": "int64", "share": "float64"}
CONFUSION_COLUMNS = {"reference": "string", "hypothesis": "string", "times": "int64"}

_HYPOTHESES = ["key", "reference", "hypothesis"]

# An inserted or a deleted gloss stands opposite to nothing.
NOTHING = "(nothing)"


def read_hypotheses(path: Path) -> pd.DataFrame:
    """The utterances of a trial's best epoch: ``key``, ``reference`` and ``hypothesis``, glosses joined by spaces.

    Raises:
        FolderError: it cannot be read, or holds something else.
    """
    try:
        with ParquetTable(path) as table:
            rows = [[printable(str(row[name] or "")) for name in _HYPOTHESES] for row in table.rows(_HYPOTHESES)]
    except Exception as error:  # pyarrow raises a different type for each kind of damage
        raise FolderError(f"{path}: cannot be read as hypotheses ({error})") from error
    return pd.DataFrame(rows, columns=_HYPOTHESES, dtype="string")


def count_confusions(hypotheses: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Glosses by how often they are missed, the worst first, and pairs that are confused, the most frequent first.

    A gloss is missed where it is deleted or taken for another one; ``share`` is that of its occurrences. Alignments are
    those of plain edit distance (jiwer).
    """
    times: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    for reference, hypothesis in zip(hypotheses["reference"], hypotheses["hypothesis"], strict=True):
        said, written = reference.split(), hypothesis.split()
        times.update(said)
        for gloss, other in _aligned(said, written):
            if gloss != other:
                pairs[gloss, other] += 1
                if gloss != NOTHING:
                    missed[gloss] += 1
    glosses = [{"gloss": g, "times": n, "missed": missed[g], "share": missed[g] / n} for g, n in sorted(times.items())]
    worst = build_frame(glosses, GLOSS_COLUMNS)
    worst = worst.sort_values(["missed", "share"], ascending=False, kind="stable", ignore_index=True)
    rows = [{"reference": one, "hypothesis": other, "times": n} for (one, other), n in sorted(pairs.items())]
    confused = build_frame(rows, CONFUSION_COLUMNS)
    return worst, confused.sort_values("times", ascending=False, kind="stable", ignore_index=True)


def _aligned(said: list[str], written: list[str]) -> list[tuple[str, str]]:
    """Pairs of glosses that stand opposite to each other."""
    if not said:
        return [(NOTHING, gloss) for gloss in written]
    # Each gloss becomes one character: jiwer would split words at spaces and change their case.
    codes = {gloss: chr(0x4E00 + place) for place, gloss in enumerate(dict.fromkeys([*said, *written]))}
    output = jiwer.process_words(" ".join(codes[g] for g in said), " ".join(codes[g] for g in written))
    pairs: list[tuple[str, str]] = []
    for chunk in output.alignments[0]:
        ours = said[chunk.ref_start_idx : chunk.ref_end_idx]
        theirs = written[chunk.hyp_start_idx : chunk.hyp_end_idx]
        length = max(len(ours), len(theirs))
        ours, theirs = ours + [NOTHING] * (length - len(ours)), theirs + [NOTHING] * (length - len(theirs))
        pairs += zip(ours, theirs, strict=True)
    return pairs
