"""Train the layers before the head to recognise signs, so that CTC starts with features it can align.

Sources: isolated signs as in BSL-1K (Albanie et al. 2020); frame labels cut evenly and then realigned as in
Re-Sign (Koller et al. 2017).
"""

import hashlib
import json
import math
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glosstune.models import build_model
from glosstune.models.building import source_hash
from glosstune.models.layers.masking import Frames
from glosstune.models.recogniser import Recogniser
from glosstune.models.weights.weights_file import read_weights, write_weights
from glosstune.spaces.errors import CheckpointError, FolderError, SettingError
from glosstune.spaces.files.atomic import file_hash
from glosstune.spaces.files.locks import held
from glosstune.spaces.parts import is_own
from glosstune.trainables.batches.batching import Batch, collate, shuffled_batches
from glosstune.trainables.batches.conditioning import Conditioning
from glosstune.trainables.batches.gains import with_gains
from glosstune.trainables.batches.precision import autocast
from glosstune.trainables.batches.quicker import settled_precision, with_precision
from glosstune.trainables.corpora.opening import default_cache
from glosstune.trainables.corpora.provenance import training_recordings
from glosstune.trainables.corpora.store import PackedCorpus
from glosstune.trainables.ctc.alignment import frame_labels
from glosstune.trainables.settings import TrialSettings, augmentations
from glosstune.trainables.training.labels import Signs, labelled_signs
from glosstune.trainables.training.optimiser import build_optimiser, set_learning_rate
from glosstune.trainables.training.schedule import learning_rate_factor

FORMAT = 1
REPORTS = 9
DROPOUT = 0.2
WARMUP_SHARE, FINAL_DECAY = 0.05, 0.2
NO_CLASS = -1
OPTIMISER_KEYS = {"optimizer", "weight_decay", "clip_norm", "lr_scale", "precision"}

Say = Callable[[str], None]


@dataclass(frozen=True)
class Progress:
    """Over the steps since the last report: mean loss in nats, and the share of signs or frames named rightly."""

    step: int
    loss: float
    accuracy: float


def pretrained_weights(settings: TrialSettings, corpus: PackedCorpus, say: Say) -> Path:
    """The file of weights that these settings lead to; made once for each hash of what it depends on.

    Raises:
        FolderError: the cache cannot be written.
        SettingError, CorpusError, CheckpointError: see ``labelled_signs``.
    """
    settings = _with_gains(settings, corpus)
    cache = settings.corpus.cache or default_cache()
    name = settings.model.kind.rpartition(":")[2]
    path = cache / f"pretrained-{name}-{pretraining_key(settings, corpus)}.safetensors"
    if _is_whole(path):
        say(f"pretrained weights: {path}")
        return path
    with ExitStack() as stack:
        try:
            cache.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(path.with_suffix(".lock")))
        except OSError as error:
            rule = f"cannot keep pretrained weights ({error}); name another folder with corpus.cache=FOLDER"
            raise FolderError(f"{cache}: {rule}") from error
        if not _is_whole(path):
            write_pretrained(path, settings, corpus, say)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # the trials of the sweep need the memory that this process holds
    return path


def _with_gains(settings: TrialSettings, corpus: PackedCorpus) -> TrialSettings:
    return settings.model_copy(update={"corpus": with_gains(settings.corpus, corpus)})


def _is_whole(path: Path) -> bool:
    try:
        return path.exists() and bool(read_weights(path).tensors)
    except CheckpointError:  # damaged since: made again
        return False


def pretraining_key(settings: TrialSettings, corpus: PackedCorpus) -> str:
    """Hash of everything that the weights depend on."""
    align_with = settings.pretraining.align_with
    sizes = settings.model.model_dump()
    source = ""
    if is_own(settings.model.kind):
        source = source_hash(build_model(vocabulary_size=2, modalities=corpus.layout.modalities, **sizes))
    depends = {
        "format": FORMAT,
        "corpus": corpus.key,
        "conditioning": settings.corpus.model_dump(mode="json", include={"gains", "noise_floor"}),
        "model": settings.model.model_dump(mode="json"),
        "pretraining": settings.pretraining.model_dump(mode="json", exclude={"adapt", "align_with"}),
        "align_with": None if align_with is None else file_hash(align_with),
        "optimizer": settings.training.model_dump(mode="json", include=OPTIMISER_KEYS),
        **({"source": source} if source else {}),
    }
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:16]


def write_pretrained(path: Path, settings: TrialSettings, corpus: PackedCorpus, say: Say) -> Progress:
    """Pretrain and write the weights of the layers before the head to a safetensors file.

    Returns:
        how well the last steps went; the file records it too, beside all that the weights depend on.

    Raises:
        SettingError: it diverged; nothing is written.
    """
    settings = _with_gains(settings, corpus)
    signs, pretraining = labelled_signs(settings, corpus), settings.pretraining
    count = f"{len(signs.rows)} isolated signs"
    if signs.labels != "isolated":
        count = f"{len(signs.rows)} of {len(corpus.rows('train'))} sentences with {signs.labels} frame labels"
    say(f"pretraining the {settings.model.kind} on {count}: {pretraining.steps} steps")
    classes = len(corpus.vocabulary)
    model = build_model(
        vocabulary_size=classes,
        modalities=corpus.layout.modalities,
        dropout=0.0,
        seed=pretraining.seed,
        **settings.model.model_dump(),
    )
    progress = pretrain(model, signs, settings, corpus, say)
    # Twice the loss of guessing evenly: far beyond what a short run or hard labels explain.
    if not progress.loss < 2 * math.log(classes) + 1:
        rule = f"pretraining diverged, its loss is {progress.loss:.2f}; got {pretraining.learning_rate}; lower it"
        raise SettingError(rule, key="pretraining.learning_rate")
    head = tuple(f"{name}." for name in model.architecture.head)
    tensors = {name: value.cpu() for name, value in model.state_dict().items() if not name.startswith(head)}
    recorded = {
        **settings.input_and_model(),
        "layout": corpus.layout.recorded,
        "vocabulary": list(corpus.vocabulary.glosses),
        "recordings": training_recordings(corpus),
        "pretraining": {**pretraining.model_dump(mode="json"), "labels": signs.labels, "accuracy": progress.accuracy},
    }
    write_weights(path, tensors, recorded)
    return progress


def pretrain(model: Recogniser, signs: Signs, settings: TrialSettings, corpus: PackedCorpus, say: Say) -> Progress:
    """Train a model's layers before its head in place, by cross-entropy over glosses.

    A linear classifier, thrown away afterwards, reads the mean over a recording's frames (``isolated``) or
    every output frame (``uniform``, ``aligned``). The same seed gives the same weights on one machine's CPU.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    conditioning = Conditioning.of_corpus(corpus, settings.corpus)
    augment = augmentations(settings.pretraining.augment, corpus.has_positions)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        still = torch.zeros(1, 1, corpus.layout.feature_width)
        channels = _encode(model.eval(), still, torch.ones(1, dtype=torch.long))[0].shape[2]
        torch.manual_seed(settings.pretraining.seed)
        head = nn.Linear(channels, len(corpus.vocabulary))
        network = nn.ModuleList([model, head]).to(device).train()
        settings = with_precision(settings, settled_precision(settings, model, device, say))
        return _train(network, signs, settings, conditioning.to(device), augment, say)


def _train(
    network: nn.ModuleList,
    signs: Signs,
    settings: TrialSettings,
    conditioning: Conditioning,
    augment: Collection[str],
    say: Say,
) -> Progress:
    pretraining = settings.pretraining
    generator = np.random.default_rng(pretraining.seed)
    optimiser = build_optimiser(network, settings.training, pretraining.learning_rate)
    batches = _endless_batches(signs, pretraining.batch_size, generator)
    marks = {pretraining.steps * mark // REPORTS for mark in range(1, REPORTS + 1)}
    losses: list[float] = []
    right = labelled = 0
    for step in range(1, pretraining.steps + 1):
        set_learning_rate(optimiser, pretraining.learning_rate * _rate_factor(step, pretraining.steps))
        batch = collate(signs.source, next(batches), conditioning, augment=augment, generator=generator)
        with autocast(conditioning.scale.device, settings.training.precision):
            scores, classes = _scores(network, batch, signs)
        loss = F.cross_entropy(scores.float(), classes, ignore_index=NO_CLASS)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation for it
        if math.isfinite(float(nn.utils.clip_grad_norm_(network.parameters(), settings.training.clip_norm))):
            optimiser.step()
        if math.isfinite(value := float(loss.detach())):
            losses.append(value)
        right += int((scores.argmax(-1) == classes).sum())
        labelled += int((classes != NO_CLASS).sum())
        if step in marks:
            mean = sum(losses) / len(losses) if losses else math.nan
            progress = Progress(step, mean, right / labelled)
            say(f"step {step} of {pretraining.steps}: loss {progress.loss:.2f}, {progress.accuracy:.0%} right")
            losses, right, labelled = [], 0, 0
    return progress


def _scores(network: nn.ModuleList, batch: Batch, signs: Signs) -> tuple[Tensor, Tensor]:
    """Scores (sign or frame, class) and the classes they should have, NO_CLASS in padded frames."""
    model, head = cast(Recogniser, network[0]), network[1]
    device = batch.features.device
    x, frames = _encode(model, batch.features, batch.lengths)
    if signs.labels == "isolated":
        classes = torch.tensor([signs.targets[row][0] for row in batch.rows])
        return head(F.dropout(frames.mean(x).squeeze(1), DROPOUT)), classes.to(device)
    labels = np.full(x.shape[:2], NO_CLASS)
    for slot, row, length in zip(labels, batch.rows, frames.lengths.tolist(), strict=True):
        slot[:length] = frame_labels(signs.cuts[row], signs.targets[row], length)
    return head(F.dropout(x, DROPOUT)).flatten(0, 1), torch.from_numpy(labels).flatten().to(device)


def _encode(model: Recogniser, features: Tensor, lengths: Tensor) -> tuple[Tensor, Frames]:
    return model.encode(features, Frames.of(lengths, features.shape[1], features.device))


def _endless_batches(signs: Signs, batch_size: int, generator: np.random.Generator) -> Iterator[list[int]]:
    while True:
        yield from shuffled_batches(signs.rows, signs.lengths, batch_size, generator)


def _rate_factor(step: int, steps: int) -> float:
    return learning_rate_factor(
        step, epochs=steps, warmup_epochs=WARMUP_SHARE * steps, schedule="constant", final_decay=FINAL_DECAY
    )
