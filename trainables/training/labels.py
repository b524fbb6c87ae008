"""The labelled signs that a backbone is pretrained on: whole recordings of one gloss, or sentences cut into glosses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from glosstune.spaces.errors import CorpusError, SettingError
from glosstune.trainables.batches.batching import EVALUATION_BATCH, FrameSource, collate, sorted_batches
from glosstune.trainables.corpora.files.conventions import target_clean_up
from glosstune.trainables.corpora.kinds import corpus_traits, open_corpus
from glosstune.trainables.corpora.store import PackedCorpus
from glosstune.trainables.ctc.alignment import Cuts, aligned_cuts, ctc_spans, uniform_cuts
from glosstune.trainables.layouts.layout import Layout
from glosstune.trainables.settings import TrialSettings
from glosstune.trainables.training.session import TrainingSession


@dataclass(frozen=True)
class Signs:
    """Labelled rows of frames.

    Attributes:
        labels: ``isolated``, ``uniform`` or ``aligned``.
        rows: rows of the source to train on.
        lengths: their frames.
        targets: their classes, one each where ``labels`` is ``isolated``.
        cuts: where in time each class of a row lies.
    """

    labels: str
    source: FrameSource
    rows: Sequence[int]
    lengths: Sequence[int]
    targets: Mapping[int, Sequence[int]]
    cuts: Mapping[int, Cuts]


@dataclass(frozen=True)
class Recordings:
    """Recordings of single signs in memory, as a source of frames."""

    values: Sequence[npt.NDArray[np.float32]]
    layout: Layout
    statistics: Mapping[str, npt.NDArray[Any]]

    def frames(self, row: int) -> npt.NDArray[np.float32]:
        return self.values[row]


def labelled_signs(settings: TrialSettings, corpus: PackedCorpus) -> Signs:
    """What ``settings.pretraining.labels`` asks for, out of the training split alone.

    Raises:
        SettingError: ``isolated`` where utterances have several glosses.
        CheckpointError: ``aligned`` with a CTC model of other glosses, or one that has seen dev or test recordings.
        CorpusError: no training utterance can be labelled so.
    """
    labels = settings.pretraining.labels
    rows = corpus.rows("train")
    targets = {row: corpus.vocabulary.encode(corpus.glosses(row)) for row in rows}
    single = all(len(target) == 1 for target in targets.values())
    recorded = corpus_traits(settings.corpus.kind).isolated
    if labels == "auto":
        labels = "isolated" if single or recorded else "uniform"
    if labels == "isolated" and not single:
        if not recorded:
            sentences = sum(len(target) > 1 for target in targets.values())
            rule = f"'isolated' needs one gloss an utterance, and {sentences} of {len(rows)} have more"
            raise SettingError(f"{rule}; use 'uniform' or 'aligned'", key="pretraining.labels")
        return _isolated_recordings(settings, corpus)
    if labels == "aligned":
        cuts = _aligned(settings, corpus, rows, targets)
    else:
        cuts = {row: uniform_cuts(len(targets[row])) for row in rows}
    kept = list(cuts)
    return Signs(labels, corpus, kept, [corpus.length(row) for row in kept], targets, cuts)


def _isolated_recordings(settings: TrialSettings, corpus: PackedCorpus) -> Signs:
    clean = target_clean_up(corpus.scoring, settings.corpus.targets)
    recordings = [(clean([gloss]), frames) for gloss, frames in open_corpus(settings.corpus).isolated()]
    recordings = [(glosses, frames) for glosses, frames in recordings if glosses]
    values = [frames for _, frames in recordings]
    targets = {row: corpus.vocabulary.encode(glosses) for row, (glosses, _) in enumerate(recordings)}
    cuts = dict.fromkeys(targets, uniform_cuts(1))
    lengths = [len(frames) for frames in values]
    source = Recordings(values, corpus.layout, corpus.statistics)
    return Signs("isolated", source, list(targets), lengths, targets, cuts)


@torch.no_grad()
def _aligned(
    settings: TrialSettings, corpus: PackedCorpus, rows: Sequence[int], targets: Mapping[int, Sequence[int]]
) -> dict[int, Cuts]:
    path = settings.pretraining.align_with
    assert path is not None, "PretrainingSettings require it"
    session = TrainingSession.of_checkpoint(path, corpus, [settings.model.kind])
    model = session.recogniser.eval()
    cuts = {}
    for batch_rows in sorted_batches(rows, [corpus.length(row) for row in rows], EVALUATION_BATCH):
        batch = collate(corpus, batch_rows, session.conditioning)
        log_probs, lengths = model(batch.features, batch.lengths)
        for slot, row in enumerate(batch_rows):
            length = int(lengths[slot])
            spans = ctc_spans(log_probs[:length, slot].cpu().numpy(), targets[row])
            if spans is not None:
                cuts[row] = aligned_cuts(spans, length)
    if not cuts:
        raise CorpusError("pretraining.align_with: the CTC model aligns no training utterance; use labels 'uniform'")
    return dict(sorted(cuts.items()))
