"""The CTC floor of a packed corpus, computed once for each split and time stride."""

import json

from glosstune.spaces.files.atomic import write_text
from glosstune.trainables.corpora.store import PackedCorpus
from glosstune.trainables.corpora.utterance import Split
from glosstune.trainables.ctc.losses import ctc_floor, frames_needed


def infeasible_rows(corpus: PackedCorpus, split: Split, time_stride: int) -> list[int]:
    """Rows whose glosses need more output frames than a model with this total time stride gives them."""
    return [
        row for row in corpus.rows(split) if frames_needed(corpus.glosses(row)) > -(-corpus.length(row) // time_stride)
    ]


def corpus_floor(corpus: PackedCorpus, split: Split, time_stride: int) -> float:
    """Nats a gloss (see ``losses.ctc_floor``) for models with this total time stride.

    Kept beside the packed corpus, so that it is computed once. Utterances with a gloss outside the
    vocabulary are left out.
    """
    if not corpus.whole:
        return _measure(corpus, split, time_stride)
    path = corpus.folder / f"floor-{split}-{time_stride}.json"
    try:  # a shared cache may be read-only, a cached floor damaged
        return float(json.loads(path.read_text(encoding="utf-8"))["nats_a_gloss"])
    except (OSError, ValueError, KeyError, TypeError):
        floor = _measure(corpus, split, time_stride)
    # Two trials that compute it at once write the same file, each whole.
    write_text(path, json.dumps({"nats_a_gloss": floor}))
    return floor


def _measure(corpus: PackedCorpus, split: Split, time_stride: int) -> float:
    rows = [row for row in corpus.rows(split) if not corpus.vocabulary.unknown(corpus.glosses(row))]
    frames = [-(-corpus.length(row) // time_stride) for row in rows]
    return ctc_floor(frames, [corpus.vocabulary.encode(corpus.glosses(row)) for row in rows])
