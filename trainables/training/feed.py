"""Batches for a trial: from features, or from what its frozen layers have given once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from glosstune.models.freezing import first_trained
from glosstune.models.recogniser import Recogniser
from glosstune.trainables.activations import ActivationStore, augment_batch
from glosstune.trainables.batches.batching import Batch, collate
from glosstune.trainables.batches.conditioning import Conditioning
from glosstune.trainables.batches.precision import autocast
from glosstune.trainables.corpora.store import PackedCorpus
from glosstune.trainables.settings import TrainingSettings, augmentations


@dataclass(frozen=True)
class Feed:
    """What a trial trains and is scored on, on its device.

    Attributes:
        alive: called with every batch.
    """

    corpus: PackedCorpus
    conditioning: Conditioning
    device: torch.device
    training: TrainingSettings
    alive: Callable[[], object] = lambda: None

    def scored(self, rows: Sequence[int], store: ActivationStore | None = None) -> Batch:
        """Utterances as they are."""
        self.alive()
        if store is not None:
            return store.batch(rows, self.device)
        return collate(self.corpus, rows, self.conditioning)

    def trained(
        self, rows: Sequence[int], model: Recogniser, store: ActivationStore | None, generator: np.random.Generator
    ) -> Batch:
        """Utterances augmented, before the model's first layer or behind its frozen ones."""
        self.alive()
        augment = augmentations(self.training.augment, self.corpus.has_positions)
        later = augmentations(self.training.augment_activations, positions=False)
        if store is not None:
            return store.batch(rows, self.device, augment=later, generator=generator)
        batch = collate(self.corpus, rows, self.conditioning, augment=augment, generator=generator)
        layer = first_trained(model)
        if not later or layer == model.layer_names[0]:
            return batch
        with torch.no_grad(), autocast(self.device, self.training.precision):
            state = model.forward_until(layer, model.layer_names[0], batch.state, batch.lengths)
        entering = Batch(state, batch.lengths, batch.rows, layer)
        return augment_batch(entering, model.strides(layer), later, generator)
