"""The CTC floor of a packed corpus, computed once for each split and time stride."""

import json

from glosstune.trainables.corpora.store import PackedCorpus
from glosstune.trainables.corpora.utterance import Split
from glosstune.trainables.files import write_whole
from glosstune.trainables.losses import ctc_floor


def corpus_floor(corpus: PackedCorpus, split: Split, time_stride: int) -> float:
    """Nats a gloss (see ``losses.ctc_floor``) for models with this total time stride.

    Kept beside the packed corpus, so that it is computed once. Utterances with a gloss outside the
    vocabulary are left out.
    """
    path = corpus.folder / f"floor-{split}-{time_stride}.json"
    if not path.exists():  # a shared cache may be read-only
        unknown = corpus.vocabulary.unknown
        rows = [row for row in corpus.rows(split) if not unknown(corpus.glosses(row))]
        frames = [-(-corpus.length(row) // time_stride) for row in rows]
        targets = [corpus.vocabulary.encode(corpus.glosses(row)) for row in rows]
        floor = ctc_floor(frames, targets)
        # Two trials that compute it at once write the same file, each whole.
        write_whole(path, lambda partial: partial.write_text(json.dumps({"nats_a_gloss": floor})))
    return float(json.loads(path.read_text())["nats_a_gloss"])
