"""Have exported recognisers write a corpus's utterances, on their own device."""

from collections.abc import Sequence

import torch

from glosstune.trainables.batches.batching import EVALUATION_BATCH, collate, sorted_batches
from glosstune.trainables.batches.precision import autocast
from glosstune.trainables.corpora.store import PackedCorpus
from glosstune.trainables.ctc.decoding import greedy_decode
from glosstune.trainables.ctc.rules import RULES
from glosstune.trainables.ctc.scoring import ErrorRates
from glosstune.trainables.export.exporting import TrainedRecogniser


def score(recogniser: TrainedRecogniser, corpus: PackedCorpus) -> ErrorRates:
    """Errors on dev by greedy decoding, in the batches and by the rule that a trial scores in: its own figures."""
    rows = corpus.rows("dev")
    hypotheses: dict[int, list[str]] = {}
    for batch in sorted_batches(rows, [corpus.length(row) for row in rows], EVALUATION_BATCH):
        hypotheses |= zip(batch, recognise(recogniser, corpus, batch), strict=True)
    return RULES[corpus.scoring].count(map(corpus.glosses, rows), (hypotheses[row] for row in rows)).rates


@torch.no_grad()
def recognise(recogniser: TrainedRecogniser, corpus: PackedCorpus, rows: Sequence[int]) -> list[list[str]]:
    """The glosses of a batch of rows; ``TrainedRecogniser.recognise`` takes arrays, and knows the CPU only."""
    batch = collate(corpus, rows, recogniser.conditioning)
    with autocast(batch.features.device, recogniser.settings.training.precision):
        log_probs, lengths = recogniser.model(batch.features, batch.lengths)
    return [recogniser.vocabulary.decode(classes) for classes in greedy_decode(log_probs, lengths)]
