"""Look at a corpus before anybody trains on it: files, layout, values, lengths, glosses, and what CTC makes of it."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from glosstune.spaces.errors import CorpusError
from glosstune.trainables.batches.conditioning import Conditioning
from glosstune.trainables.checks.corpus_findings import judge_corpus
from glosstune.trainables.checks.findings import Inspection
from glosstune.trainables.checks.recognition import recognise_layout
from glosstune.trainables.corpora.geometry import flatten, to_shoulder_frame
from glosstune.trainables.corpora.kinds import has_ready_features, open_corpus
from glosstune.trainables.corpora.layout import (
    BASE_WIDTH,
    CHANNELS,
    FULL_WIDTH,
    PART_COLUMNS,
    canonical_columns,
    layout_blocks,
    layout_width,
)
from glosstune.trainables.corpora.store import full_features
from glosstune.trainables.corpora.utterance import Corpus, Utterance
from glosstune.trainables.corpora.vocabulary import Vocabulary
from glosstune.trainables.ctc.alignment import uniform_cuts
from glosstune.trainables.ctc.losses import ctc_floor, frames_needed
from glosstune.trainables.settings import CorpusSettings

STRIDES = (1, 2, 4, 8, 16)
_LISTED = 5
_RECOGNISED = 40
_HANDS = (slice(99, 162), slice(162, 225))  # of the base values, in canonical order


def inspect_corpus(
    settings: CorpusSettings, time_stride: int = 4, *, sample: int = 160, seconds: float = 40.0, seed: int = 0
) -> Inspection:
    """Read some utterances of train and dev, chosen at random, and say what is wrong with them.

    Test features are not read. Rates of missing files and of unknown glosses are of all rows.

    Args:
        time_stride: of the model that is to be trained.
        sample: utterances to read at most.
        seconds: to spend on reading at most.

    Raises:
        CorpusError: annotations are missing or malformed, or no file can be read.
    """
    found = Inspection(skips=settings.missing == "skip")
    skipping = settings.model_copy(update={"missing": "skip"})
    corpus = open_corpus(skipping)
    found.missing = corpus.absent
    utterances = corpus.utterances()
    found.rows = dict(Counter(utterance.split for utterance in utterances))
    for row in found.missing:
        found.rows[row.partition("/")[0]] = found.rows.get(row.partition("/")[0], 0) + 1
    read = _Reading(corpus, settings, found)
    started = time.perf_counter()
    usable = [(u, raw) for u, raw in _sample(corpus, utterances, sample, seconds, seed, found)]
    read_s = time.perf_counter() - started
    kept = [(u, values) for u, raw in usable if (values := read.features(u, raw)) is not None]
    if not read.raw:
        fault = f"{found.broken[0][0]}: {found.broken[0][1]}" if found.broken else "there is none of train and dev"
        raise CorpusError(
            f"{settings.root or settings.kind}: none of {found.sampled} sampled files can be used: {fault}"
        )
    found.layout, found.values = read.layout_seen(), read.values_seen()
    _vocabulary(found, utterances, len(corpus.unannotated))
    if any(utterance.split == "train" for utterance, _ in kept):
        _lengths(found, kept)
        _floors(found, utterances, kept)
        _blocks(found, settings, kept, seed)
        _cost(found, kept, read_s)
    found.findings = judge_corpus(found, time_stride)
    return found


def _sample(
    corpus: Corpus, utterances: Sequence[Utterance], count: int, seconds: float, seed: int, found: Inspection
) -> Iterator[tuple[Utterance, npt.NDArray[np.floating]]]:
    """Utterances of train and dev, in random order, as their files hold them."""
    places = [place for place, utterance in enumerate(utterances) if utterance.split != "test"]
    chosen = np.random.default_rng(seed).permutation(places)[:count].tolist()
    deadline = time.monotonic() + seconds
    for place, values in corpus.look(chosen):
        found.sampled += 1
        if isinstance(values, CorpusError):
            file, _, fault = str(values).partition(": ")
            found.broken.append((file, fault))
        else:
            yield utterances[place], values
        if time.monotonic() > deadline:
            return


class _Reading:
    """From the values of files to features in canonical order; notes what is wrong on the way."""

    def __init__(self, corpus: Corpus, settings: CorpusSettings, found: Inspection) -> None:
        self.found = found
        self.own = not corpus.traits.layouts  # made here: positions in the shoulder frame, every part filled in
        ready = "default" if has_ready_features(settings) else "base"
        self.layout = layout_blocks(ready if self.own else settings.layout)
        self.width = layout_width(self.layout)
        self.widths: Counter[int] = Counter()
        self.raw: list[npt.NDArray[np.floating]] = []
        self.unseen: list[float] = []

    def features(self, utterance: Utterance, raw: npt.NDArray[np.floating]) -> npt.NDArray[np.float32] | None:
        """(time, 1629 or 6516), or None where the file cannot be used."""
        name = utterance.sources[0]
        self.widths[raw.shape[1]] += 1
        if not np.isfinite(raw).all():
            self.found.broken.append((name, f"{(~np.isfinite(raw)).mean():.1%} of its values are NaN or infinite"))
            return None
        self.raw.append(raw)
        if raw.shape[1] != self.width:
            self.found.broken.append((name, f"{raw.shape[1]} values a frame; the layout has {self.width}"))
            return None
        values = np.asarray(raw[:, canonical_columns(self.layout)], np.float32)
        hands = np.stack([np.abs(values[:, hand]).max(axis=1) for hand in _HANDS])
        self.unseen.append(float((hands.max(axis=0) == 0).mean()))
        if values.shape[1] == BASE_WIDTH and not self.own:
            try:
                values = flatten(to_shoulder_frame(values.reshape(len(values), -1, 3)))
            except CorpusError as error:
                self.found.broken.append((name, str(error)))
                return None
        return values

    def layout_seen(self) -> dict[str, Any]:
        """The declared order of blocks, and the one that files of the commonest width speak for."""
        if self.own:
            return {"declared": list(self.layout), "width": self.width, "widths": dict(self.widths)}
        width = self.widths.most_common(1)[0][0]
        seen = recognise_layout([raw for raw in self.raw if raw.shape[1] == width][:_RECOGNISED], self.layout)
        return {
            "declared": list(self.layout),
            "width": self.width,
            "widths": dict(self.widths),
            "recognised": None if seen.blocks is None else list(seen.blocks),
            "distance": seen.distance,
            "declared distance": seen.declared_distance,
            "disagrees": seen.disagrees,
            "behind the positions": list(seen.channels),
        }

    def values_seen(self) -> dict[str, float]:
        """Shares of the positions' columns, and of frames, with a property."""
        width = self.widths.most_common(1)[0][0]
        frames = np.concatenate([raw[:, :BASE_WIDTH] for raw in self.raw if raw.shape[1] == width]).astype(np.float64)
        mean, deviation = frames.mean(axis=0), frames.std(axis=0)
        standard = (np.abs(mean) < 0.2) & (deviation > 0.7) & (deviation < 1.4)
        return {
            "columns already standardised": float(standard.mean()),
            "columns that never change": float((deviation == 0).mean()),
            "frames without hands": float(np.mean(self.unseen)) if self.unseen and not self.own else 0.0,
        }


def _lengths(found: Inspection, kept: Sequence[tuple[Utterance, Any]]) -> None:
    frames = np.array([len(values) for _, values in kept])
    glosses = np.array([len(u.glosses) for u, _ in kept])
    found.lengths = frames.tolist()
    names = {"least": 0, "lower quarter": 25, "median": 50, "upper quarter": 75, "most": 100}
    found.frames = {name: float(np.percentile(frames, q)) for name, q in names.items()}
    found.frames["a gloss"] = float(frames.sum() / max(1, glosses.sum()))
    varies = len(kept) > 2 and frames.std() > 0 and glosses.std() > 0
    found.frames["correlation with glosses"] = float(np.corrcoef(frames, glosses)[0, 1]) if varies else float("nan")


def _vocabulary(found: Inspection, utterances: Sequence[Utterance], unannotated: int) -> None:
    counts = Counter(gloss for u in utterances if u.split == "train" for gloss in u.glosses)
    dev = Counter(gloss for u in utterances if u.split == "dev" for gloss in u.glosses)
    unknown = {gloss: count for gloss, count in dev.items() if gloss not in counts}
    found.glosses = {
        "vocabulary": len(counts),
        "tokens": sum(counts.values()),
        "empty": unannotated + sum(not u.glosses for u in utterances),
        "once": sum(count == 1 for count in counts.values()),
        "an utterance": sum(counts.values()) / max(1, sum(u.split == "train" for u in utterances)),
        "unknown in dev": sum(unknown.values()) / max(1, sum(dev.values())),
        "unknown": sorted(unknown, key=lambda gloss: -unknown[gloss])[:_LISTED],
        "known in another case": sum(gloss.upper() in {known.upper() for known in counts} for gloss in unknown),
    }


def _floors(found: Inspection, utterances: Sequence[Utterance], kept: Sequence[tuple[Utterance, Any]]) -> None:
    vocabulary = Vocabulary.of(u.glosses for u in utterances if u.split == "train")
    train = [(len(values), u.glosses) for u, values in kept if u.split == "train" and u.glosses]
    for stride in STRIDES:
        frames = [-(-length // stride) for length, _ in train]
        bad = sum(frames_needed(glosses) > length for length, (_, glosses) in zip(frames, train, strict=True))
        targets = [vocabulary.encode(glosses) for _, glosses in train]
        found.ctc[stride] = {"infeasible": bad / max(1, len(train)), "floor": ctc_floor(frames, targets, sample=64)}


def _blocks(
    found: Inspection, settings: CorpusSettings, kept: Sequence[tuple[Utterance, npt.NDArray[np.float32]]], seed: int
) -> None:
    """How much of each block's variance glosses explain, each utterance cut evenly, and how loud the block enters."""
    means, labels, squares, total, frames = [], [], np.zeros(FULL_WIDTH), np.zeros(FULL_WIDTH), 0
    for utterance, values in kept:
        full = full_features(torch.from_numpy(values)).numpy()
        squares, total, frames = (
            squares + np.square(full, dtype=np.float64).sum(0),
            total + full.sum(0),
            frames + len(full),
        )
        if utterance.split != "train" or not 0 < len(utterance.glosses) <= len(full):
            continue
        cuts = (uniform_cuts(len(utterance.glosses)) * len(full)).round().astype(int).tolist()
        for gloss, (first, last) in zip(utterance.glosses, pairwise(cuts), strict=True):
            means.append(full[first:last].mean(axis=0))
            labels.append(gloss)
    mean = total / frames
    deviation = np.sqrt(np.maximum(squares / frames - mean**2, 0))
    conditioning = Conditioning.of(
        mean.astype(np.float32), deviation.astype(np.float32), settings.gains, settings.noise_floor
    )
    energy = (conditioning.scale.numpy() * deviation) ** 2
    segments = np.array(means).reshape(-1, FULL_WIDTH)
    generator = np.random.default_rng(seed)
    shuffled = [labels[place] for place in generator.permutation(len(labels))]
    for start, channel in zip(range(0, FULL_WIDTH, BASE_WIDTH), CHANNELS, strict=True):
        for part, columns in PART_COLUMNS.items():
            block = slice(start + columns.start, start + columns.stop)
            found.blocks.append(
                {
                    "channel": channel,
                    "part": part,
                    "explained": _explained(segments[:, block], labels),
                    "by chance": _explained(segments[:, block], shuffled),
                    "share of input": float(energy[block].sum() / max(energy.sum(), 1e-12)),
                }
            )


def _explained(segments: npt.NDArray[np.floating], labels: Sequence[str]) -> float:
    """Share of variance between glosses, mean over values that vary."""
    if len(segments) < 2:
        return 0.0
    total = segments.var(axis=0)
    _, places = np.unique(np.asarray(labels), return_inverse=True)
    counts = np.bincount(places)
    sums = np.zeros((len(counts), segments.shape[1]))
    np.add.at(sums, places, segments)
    between = (counts[:, None] * (sums / counts[:, None] - segments.mean(axis=0)) ** 2).sum(axis=0) / len(segments)
    varies = total > 1e-12
    return float((between[varies] / total[varies]).mean()) if varies.any() else 0.0


def _cost(found: Inspection, kept: Sequence[tuple[Utterance, Any]], read_s: float) -> None:
    rows = sum(found.rows.values()) - len(found.missing)
    frames = rows * float(np.mean([len(values) for _, values in kept]))
    width = kept[0][1].shape[1]
    found.cost = {
        "utterances": rows,
        "hours of signing at 25 frames a second": frames / 25 / 3600,
        "packed, GB": frames * width * 2 / 1e9,
        "packing, minutes": rows * read_s / max(1, found.sampled) / 60,
    }
