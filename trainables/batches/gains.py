"""Estimate gains from the training split: what carries signing enters loudest.

A model's first layer learns first what is loudest and what stands there most often, and a face of 468 points is both.
How much of a block the glosses explain says what it is worth: each training sentence is cut evenly into its glosses,
and of the variance within a sentence, which no signer and no camera is part of, the share is taken that lies between
glosses, less what chance gives.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from glosstune.spaces.errors import FolderError
from glosstune.spaces.files.atomic import write_text
from glosstune.trainables.corpora.store import PackedCorpus, full_features
from glosstune.trainables.ctc.alignment import uniform_cuts
from glosstune.trainables.layouts.blocks import PARTS
from glosstune.trainables.layouts.layout import FeatureBlock, Layout
from glosstune.trainables.settings import BlockGains, CorpusSettings

ESTIMATOR = 1  # raised where the same corpus would get other numbers, which are then kept beside the old ones

_MOST_FRAMES = 150_000  # to read: what more of them change stays below what gains are rounded to
_BEYOND_CHANCE = 2.0  # standard errors
_LEAST = 0.05  # of the loudest; what is quieter is muted, and costs nothing
_DIGITS = 3
_LEAST_DEVIATION = 1e-12  # below which a block of values never changes
_HALF_PRECISION = 2**-11  # of a value, by which packing rounds it


class Sentence(NamedTuple):
    """An utterance to estimate from: its glosses and who signs it."""

    glosses: Sequence[str]
    signer: str


def with_gains(settings: CorpusSettings, corpus: PackedCorpus) -> CorpusSettings:
    """The settings with numbers where their gains are to be estimated; others as they are."""
    if settings.gains.blocks != "auto":
        return settings
    gains = settings.gains.model_copy(update={"blocks": corpus_gains(corpus, settings.noise_floor)})
    return settings.model_copy(update={"gains": gains})


def corpus_gains(corpus: PackedCorpus, noise_floor: float) -> BlockGains:
    """What ``estimate_gains`` gives for the training split of a packed corpus, whichever part of it is used.

    Kept beside the packed corpus, so that it is computed once.
    """
    table = corpus.table
    frames = table["frames"].to_numpy()
    lengths = np.array([len(glosses) for glosses in table["glosses"]])
    fit = np.flatnonzero((table["split"] == "train") & (lengths > 0) & (lengths <= frames))
    step = max(1, -(-int(frames[fit].sum()) // _MOST_FRAMES))
    rows: list[int] = fit[::step].tolist()  # evenly, so that all who sign are among them
    depends = [ESTIMATOR, corpus.key, noise_floor, rows]
    key = hashlib.sha256(json.dumps(depends).encode()).hexdigest()[:16]
    path = corpus.folder / f"gains-{key}.json"
    try:  # a shared cache may be read-only, what is kept there damaged
        kept: BlockGains = json.loads(path.read_text(encoding="utf-8"))["gains"]
        asked = _named(corpus.layout, np.zeros(len(corpus.layout.blocks)))
        if all(0 <= kept[part][channel] <= 1 for part in asked for channel in asked[part]):
            return kept
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    gains = estimate_gains(
        [Sentence(corpus.glosses(row), str(table["signer"][row])) for row in rows],
        lambda place: corpus.frames(rows[place]),
        corpus.layout,
        feature_floor(corpus.statistics["mean"], corpus.statistics["deviation"], corpus.layout, noise_floor),
        corpus.statistics["deviation"],
    )
    with suppress(FolderError):
        # Two processes that compute it at once write the same file, each whole.
        write_text(path, json.dumps({"gains": gains}))
    return gains


def estimate_gains(
    sentences: Sequence[Sentence],
    read: Callable[[int], npt.NDArray[np.floating]],
    layout: Layout,
    floor: npt.NDArray[np.floating],
    deviation: npt.NDArray[np.floating],
) -> BlockGains:
    """A gain for each block, from 0 to 1.

    Its square is the share of the block's variance that glosses explain, over that of the block where it is largest,
    divided by how many more values the block has than is usual where signing is: neighbouring points of a face are
    nearly copies of each other, and would be loud by their number.

    Args:
        sentences: of the training split, none with more glosses than frames.
        read: the stored values (time, width) of the sentence at a place.
        floor: (feature,) deviations below which there is only noise.
        deviation: (feature,) of the training split.

    Returns:
        for each part its channels; all are 1 where glosses explain nothing.
    """
    loudness = np.square(deviation / np.maximum(deviation, floor), dtype=np.float64)
    explained = explained_variance(sentences, read, layout, np.maximum(deviation, floor))
    shares, sizes = np.zeros((2, len(layout.blocks)))
    for place, block in enumerate(layout.blocks):
        total = loudness[block.features].sum()
        sizes[place] = block.features.stop - block.features.start
        shares[place] = max(0.0, explained[block.features].sum() / total) if total > 0 else 0.0
    if not shares.any():
        return _named(layout, np.ones(len(shares)))
    usual = np.exp(np.average(np.log(sizes), weights=shares))
    gains = np.sqrt(shares * np.minimum(1, usual / sizes))
    gains = (gains / gains.max()).round(_DIGITS)
    return _named(layout, np.where(gains < _LEAST, 0.0, gains))


def explained_variance(
    sentences: Sequence[Sentence],
    read: Callable[[int], npt.NDArray[np.floating]],
    layout: Layout,
    scale: npt.NDArray[np.floating],
) -> npt.NDArray[np.float64]:
    """Variance of each feature, in squares of ``scale``, that lies between glosses beyond what chance gives.

    Means over the even cuts of a sentence are compared within the sentence; where most sentences have one gloss,
    within their signer. Chance is every order of the same glosses within a sentence, or signer, alike: its mean is
    exact, and of its spread two standard errors are taken off too. Arguments else as for ``estimate_gains``.
    """
    within = _groups(sentences)
    names = sorted({gloss for group in within for place in group for gloss in sentences[place].glosses})
    classes = {gloss: place for place, gloss in enumerate(names)}
    counts = np.zeros(len(names))
    for group in within:
        for place in group:
            np.add.at(counts, [classes[gloss] for gloss in sentences[place].glosses], 1)
    sums, chance = np.zeros((len(names), layout.feature_width)), np.zeros(layout.feature_width)
    for group in within:
        pieces = np.concatenate([_pieces(read(place), len(sentences[place].glosses), layout) for place in group])
        pieces = (pieces - pieces.mean(axis=0)) / scale
        labels = np.array([classes[gloss] for place in group for gloss in sentences[place].glosses])
        np.add.at(sums, labels, pieces)
        known, times = np.unique(labels, return_counts=True)
        size = len(labels)
        # Pieces of a group add up to 0, so that under any order two of one gloss have this covariance.
        weight = (times * (size - times) / (size * (size - 1)) / counts[known]).sum()
        chance += weight * np.square(pieces).sum(axis=0)
    spread = _BEYOND_CHANCE * np.sqrt(2 / max(1, len(names) - 1))
    between = (np.square(sums) / np.maximum(counts, 1)[:, None]).sum(axis=0)
    result: npt.NDArray[np.float64] = (between - (1 + spread) * chance) / max(1.0, counts.sum())
    return result


def feature_floor(
    mean: npt.NDArray[np.floating], deviation: npt.NDArray[np.floating], layout: Layout, noise_floor: float
) -> npt.NDArray[np.float32]:
    """The deviation (feature,) that a feature is taken to have at least, from the training split's statistics."""
    floor = np.full(layout.feature_width, noise_floor, np.float32)
    for block in layout.blocks:
        if block.part not in PARTS:
            loudness = np.sqrt(np.square(deviation[block.features].astype(np.float64)).mean())
            rounding = _HALF_PRECISION * np.abs(mean[block.features])
            # What never changes in training says nothing, and would be thousands on dev where it does.
            known = loudness > _LEAST_DEVIATION
            floor[block.features] = np.maximum(noise_floor * loudness, rounding) if known else np.inf
    return floor


def describe_gains(gains: BlockGains) -> str:
    """The blocks by loudness, and those that are muted."""
    flat = {f"{part} {channel}": gain for part, each in gains.items() for channel, gain in each.items()}
    loud = sorted((name for name in flat if flat[name]), key=lambda name: -flat[name])
    muted = [name for name in flat if not flat[name]]
    told = ", ".join(f"{name} {flat[name]:.3g}" for name in loud)
    return told + f"; muted {', '.join(muted)}" * bool(muted)


def _groups(sentences: Sequence[Sentence]) -> list[list[int]]:
    """Places of sentences, those together that are compared with each other."""
    several = [[place] for place, sentence in enumerate(sentences) if len(sentence.glosses) > 1]
    if 2 * len(several) >= len(sentences):
        return several
    signers: dict[str, list[int]] = {}
    for place, sentence in enumerate(sentences):
        signers.setdefault(sentence.signer, []).append(place)
    return [group for group in signers.values() if sum(len(sentences[place].glosses) for place in group) > 1]


def _pieces(stored: npt.NDArray[np.floating], glosses: int, layout: Layout) -> npt.NDArray[np.float64]:
    """Means (gloss, feature) over the even cuts of an utterance."""
    features = full_features(torch.from_numpy(stored.astype(np.float32)), layout).numpy()
    cuts = (uniform_cuts(glosses) * len(features)).round().astype(int).tolist()
    return np.stack([features[first:last].mean(axis=0, dtype=np.float64) for first, last in pairwise(cuts)])


def _named(layout: Layout, gains: npt.NDArray[np.float64]) -> dict[str, dict[str, float]]:
    named: dict[str, dict[str, float]] = {}
    for block, gain in zip(layout.blocks, gains.tolist(), strict=True):
        named.setdefault(block.part, {})[block.channel] = gain
    return named


def block_gain(blocks: Mapping[str, Mapping[str, float]], block: FeatureBlock) -> float:
    """The gain of one block, 1 where none is told."""
    return blocks.get(block.part, {}).get(block.channel, 1.0)
