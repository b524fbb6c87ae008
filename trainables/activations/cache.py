"""Find or build what the frozen layers of a trial give, under everything that it depends on."""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch

from glosstune.models.building import source_hash
from glosstune.models.freezing import first_trained
from glosstune.models.recogniser import Recogniser
from glosstune.spaces.errors import CheckpointError, FolderError
from glosstune.spaces.files.atomic import fill_once, lock_of
from glosstune.spaces.files.cache import cache_folder
from glosstune.spaces.files.locks import Held, held
from glosstune.trainables.activations.building import PATIENCE_S, NoRoomError, build, run_frozen
from glosstune.trainables.activations.eviction import mark_used, remove
from glosstune.trainables.activations.store import COMPLETE, FORMAT, ActivationStore
from glosstune.trainables.batches.batching import EVALUATION_BATCH, Batch, collate
from glosstune.trainables.batches.conditioning import Conditioning
from glosstune.trainables.batches.precision import autocast, computes_bf16
from glosstune.trainables.corpora.store import PackedCorpus
from glosstune.trainables.settings import TrialSettings, augmentations

Say = Callable[[str], None]


@dataclass
class ActivationCache:
    """The activations of one trial's frozen layers, epoch after epoch.

    A store serves whoever has the same frozen weights, layer, corpus, conditioning and precision. It is built from
    that of the nearest earlier layer where there is one.

    Attributes:
        say: told why there is none where one could be.
        alive: called with every batch that is built.
    """

    settings: TrialSettings
    corpus: PackedCorpus
    conditioning: Conditioning
    device: torch.device
    say: Say
    alive: Callable[[], object] = lambda: None
    _found: dict[str, ActivationStore | None] = field(default_factory=dict)

    def find(self, model: Recogniser, batch_size: int = EVALUATION_BATCH) -> ActivationStore | None:
        """What enters the first layer that trains; None where none is frozen, or nothing may be kept.

        The same store for as long as the same layers are frozen: those do not change.

        Args:
            batch_size: rows that frozen layers take at a time.
        """
        layer = first_trained(model)
        if not self.settings.activation_cache or layer == model.layer_names[0] or not self.corpus.whole:
            return None
        if layer not in self._found:
            self._found.clear()  # an earlier stage's store may have to make room
            self._found[layer] = self._have(model, layer, batch_size)
        return self._found[layer]

    def _have(self, model: Recogniser, layer: str, batch_size: int) -> ActivationStore | None:
        if augmentations(self.settings.training.augment, self.corpus.has_positions):
            self.say("training.augment changes the input, so frozen layers run at every step")
            return None
        folder = self._folder(model, layer)
        try:
            if (store := self._open(folder)) is None:

                def fill(partial: Path) -> None:
                    self._fill(partial, model, layer, batch_size)

                fill_once(folder, COMPLETE, "activations of frozen layers", fill, patience_s=PATIENCE_S)
                store = ActivationStore.open(folder)
            if store is None:
                raise FolderError(f"{folder}: removed to make room for others")
        except (CheckpointError, FolderError, OSError) as error:
            self.say(f"frozen layers run at every step: {error}")
            return None
        mark_used(folder)
        return store

    def _open(self, folder: Path) -> ActivationStore | None:
        """A store if there is one; a damaged one is removed."""
        try:
            return ActivationStore.open(folder)
        except CheckpointError as error:
            damage = str(error)
        # Not while the error is handled, which has its files open still: Windows removes none that are.
        try:
            with held(lock_of(folder), PATIENCE_S):
                return self._open_or_remove(folder)
        except (OSError, Held) as error:
            raise CheckpointError(f"{damage}; it cannot be removed ({error})") from error

    def _open_or_remove(self, folder: Path) -> ActivationStore | None:
        try:
            return ActivationStore.open(folder)  # as another process has built it again meanwhile
        except CheckpointError as error:
            self.say(f"{error}; it is built again")
        remove(folder)
        return None

    def _fill(self, folder: Path, model: Recogniser, layer: str, batch_size: int) -> None:
        """Build from an earlier layer's store, or from features where there is none or it has to make room itself."""
        source = self._earlier(model, layer)
        try:
            self._build(folder, model, layer, batch_size, source)
            return
        except NoRoomError:
            if source is None:
                raise
        source = None
        self._build(folder, model, layer, batch_size, None)

    def _build(
        self, folder: Path, model: Recogniser, layer: str, batch_size: int, source: ActivationStore | None
    ) -> None:
        def run(rows: list[int]) -> Batch:
            self.alive()
            with autocast(self.device, self.settings.training.precision):
                if source is not None:
                    return run_frozen(model, layer, source.batch(rows, self.device))
                return run_frozen(model, layer, collate(self.corpus, rows, self.conditioning))

        build(folder, model, layer, self.corpus, run, batch_size, int(self.settings.activation_cache_gb * 2**30))

    def _earlier(self, model: Recogniser, layer: str) -> ActivationStore | None:
        """The store of the nearest earlier layer that has one which can be read."""
        names = model.layer_names
        for name in reversed(names[1 : names.index(layer)]):
            with suppress(CheckpointError, OSError):
                if (store := self._open(self._folder(model, name))) is not None:
                    return store
        return None

    def _folder(self, model: Recogniser, layer: str) -> Path:
        """Where a store lies, under a hash of all that its values depend on."""
        names = model.layer_names
        frozen = tuple(f"{name}." for name in names[: names.index(layer)])
        hashed = hashlib.sha256()
        for name, value in model.state_dict().items():
            if name.startswith(frozen):
                hashed.update(name.encode())
                hashed.update(value.cpu().numpy().tobytes())
        for each in (self.conditioning.scale, self.conditioning.offset):
            hashed.update(each.cpu().numpy().tobytes())
        source = source_hash(model)
        depends = {
            "format": FORMAT,
            "layer": layer,
            "values": hashed.hexdigest(),
            "model": self.settings.model.model_dump(mode="json"),
            "corpus": self.corpus.key,
            "bf16": computes_bf16(self.device, self.settings.training.precision),
            "device": self.device.type,
            **({"source": source} if source else {}),
        }
        key = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:16]
        return (self.settings.corpus.cache or cache_folder()) / "activations" / f"store-{key}"
