"""Look at a corpus before anybody trains on it: files, layout, values, lengths, glosses, and what CTC makes of it."""

import hashlib
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
from glosstune.trainables.batches.gains import Sentence, estimate_gains, feature_floor
from glosstune.trainables.checks.belonging import compare_transcripts, explained
from glosstune.trainables.checks.conventions import compare_conventions
from glosstune.trainables.checks.corpus_findings import judge_corpus
from glosstune.trainables.checks.findings import Inspection
from glosstune.trainables.checks.look_alikes import find_look_alikes
from glosstune.trainables.corpora.files.conventions import target_clean_up
from glosstune.trainables.corpora.kinds import file_layout, open_corpus
from glosstune.trainables.corpora.store import Statistics, clean_utterances, full_features, halve
from glosstune.trainables.corpora.utterance import Corpus, Utterance, Values
from glosstune.trainables.corpora.vocabulary import Vocabulary
from glosstune.trainables.ctc.alignment import uniform_cuts
from glosstune.trainables.ctc.losses import ctc_floor, frames_needed
from glosstune.trainables.ctc.rules import RULES, ScoringRule
from glosstune.trainables.layouts.blocks import LAYOUTS, PARTS, DerivedBlock
from glosstune.trainables.layouts.following import follow_hands, written_twice
from glosstune.trainables.layouts.layout import FileLayout, Layout
from glosstune.trainables.layouts.reading import seen_in, stored_values
from glosstune.trainables.layouts.recognition import never_moves, points_twice, recognise_layout
from glosstune.trainables.settings import CorpusSettings

STRIDES = (1, 2, 4, 8, 16)
_LISTED = 5
_RECOGNISED = 40
_TIMED = 40
_LARGEST, _STILL = 1e30, 1e-9  # of what can be squared; of a deviation, against the mean, that rounding leaves
_ROUNDED = 1e-5  # of a value: what becomes of a constant that is measured from another one
_NO_HAND, _TWICE = "no hand", "one hand, written twice"  # shares beside those of blocks
_TOLD = {_NO_HAND: "without hands", _TWICE: f"with {_TWICE}"}


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
    found.notes = corpus.notes
    rule = RULES[corpus.scoring if settings.scoring == "auto" else settings.scoring]
    utterances = clean_utterances(corpus.utterances(), target_clean_up(rule.name, settings.targets))
    found.rows = dict(Counter(utterance.split for utterance in utterances))
    for row in found.missing:
        found.rows[row.partition("/")[0]] = found.rows.get(row.partition("/")[0], 0) + 1
    read = _Reading(corpus, settings, found)
    started = time.perf_counter()
    usable = [(u, raw) for u, raw in _sample(corpus, utterances, sample, seconds, seed, found)]
    read_s = time.perf_counter() - started
    started = time.perf_counter()
    kept = [(u, values) for u, raw in usable if (values := read.features(u, raw)) is not None]
    turned_s = time.perf_counter() - started
    if not read.raw:
        fault = f"{found.broken[0][0]}: {found.broken[0][1]}" if found.broken else "there is none of train and dev"
        raise CorpusError(
            f"{settings.root or settings.kind}: none of {found.sampled} sampled files can be used: {fault}"
        )
    found.layout, found.values = read.layout_seen(), read.values_seen()
    found.unseen, found.still = read.parts_unseen(), read.parts_still()
    found.scoring = compare_conventions(utterances, rule)
    _vocabulary(found, utterances, rule, len(corpus.unannotated))
    if any(utterance.split == "train" for utterance, _ in kept):
        _lengths(found, kept)
        _floors(found, utterances, kept)
        _blocks(found, settings, read.file_layout.layout, kept, seed)
        _cost(found, kept, read_s + turned_s, read.file_layout.layout)
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
    """From the values of files to what is packed; notes what is wrong on the way."""

    def __init__(self, corpus: Corpus, settings: CorpusSettings, found: Inspection) -> None:
        self.found = found
        self.own = corpus.files is None  # packed as they are: positions in their frame, every part filled in
        self.file_layout = corpus.files or file_layout(settings)
        self.width = self.file_layout.stored_width if self.own else self.file_layout.width
        self.not_seen = settings.not_seen
        self.widths: Counter[int] = Counter()
        self.raw: list[npt.NDArray[np.floating]] = []
        self.unseen: dict[str, list[float]] = {}
        self.still: dict[str, list[bool]] = {}

    def features(self, utterance: Utterance, raw: npt.NDArray[np.floating]) -> npt.NDArray[np.float32] | None:
        """Stored values (time, width), or None where the file cannot be used."""
        name = utterance.sources[0]
        self.widths[raw.shape[1]] += 1
        self.raw.append(raw)
        if self.own:
            return np.asarray(raw, np.float32)
        if raw.shape[1] != self.width:
            told = f"{raw.shape[1]} values a frame; the layout has {self.width}"
            self.found.broken.append((name, told))
            return None
        self._note_unseen(raw)
        try:
            return stored_values(raw, self.file_layout, "", self.not_seen)
        except CorpusError as error:
            self.found.broken.append((name, str(error).removeprefix(": ")))
            return None

    def _note_unseen(self, raw: npt.NDArray[np.floating]) -> None:
        layout = self.file_layout.layout
        start = layout.positions_width
        for other in layout.values:
            own = self.file_layout.columns[start : start + other.values]
            start += other.values
            self.unseen.setdefault(other.name, []).append(float(np.isnan(raw[:, own]).mean()))
        if not layout.points:
            return
        columns = self.file_layout.columns[: layout.positions_width]
        with np.errstate(over="ignore"):  # told where it is stored
            positions = layout.positions(np.asarray(raw[:, columns], np.float32))
        seen = seen_in(positions, self.file_layout, self.not_seen)
        if layout.hands is not None and self.file_layout.hands == "followed":
            follow_hands(positions, layout.hands, seen)
        points = np.where(seen[..., None] & (np.abs(positions) < _LARGEST), positions, 0)
        still = {each.name: bool(never_moves(points[:, each.span])) for each in layout.landmarks}
        parts = [each for each in layout.landmarks if each.part == "hands"]
        if layout.hands is not None and self.file_layout.hands != "followed" and not self.file_layout.ready:
            # What merely stands in a hand's place is no hand that is written twice.
            twice = written_twice(positions, layout.hands, seen) & (not any(still[each.name] for each in parts))
            self.unseen.setdefault(_TWICE, []).append(float(twice.mean()))
        for each in layout.landmarks:
            self.unseen.setdefault(each.name, []).append(float(1 - seen[:, each.span].mean()))
            self.still.setdefault(each.name, []).append(still[each.name])
        hands = [seen[:, each.span].any(axis=1) & (not still[each.name]) for each in parts]
        if hands:
            self.unseen.setdefault(_NO_HAND, []).append(float(1 - np.any(hands, axis=0).mean()))

    def layout_seen(self) -> dict[str, Any]:
        """The declared order of blocks, and the one that files of the commonest width speak for."""
        declared = {"declared": self.file_layout.written, "width": self.width, "widths": dict(self.widths)}
        if self.own:
            return declared
        width = self.widths.most_common(1)[0][0]
        alike = [raw for raw in self.raw if raw.shape[1] == width][:_RECOGNISED]
        seen = recognise_layout(alike, self.file_layout)
        return {
            **declared,
            "ready": self.file_layout.ready,
            "points twice": bool(points_twice(self.file_layout.layout)),
            "fits": [name for name in LAYOUTS if FileLayout.of(name).width == width],
            "recognised": None if seen.blocks is None else list(seen.blocks),
            "distance": seen.distance,
            "declared distance": seen.declared_distance,
            "disagrees": seen.disagrees,
            "pairs": seen.pairs,
            "pairs of": seen.of,
            "compared": list(seen.compared),
            "blocks": [block.name for block in self.file_layout.blocks if not isinstance(block, DerivedBlock)],
            "files compared": len(alike),
            "behind the positions": list(seen.channels),
        }

    def values_seen(self) -> dict[str, float]:
        """Shares of the positions' columns, and of frames, with a property; of any values where there are none."""
        width = self.widths.most_common(1)[0][0]
        points = self.file_layout.layout.positions_width if width == self.width else 0
        columns = slice(points or None) if self.own else self.file_layout.columns[:points] if points else slice(None)
        alike = [np.asarray(raw[:, columns], np.float64) for raw in self.raw if raw.shape[1] == width]
        # NaN stands for what was not seen: a hand that never was leaves everything else as it is.
        # Nor does a column say anything of files in which it never changes.
        constant = [_constant(each) for each in alike]
        files = [(each, (np.abs(each) < _LARGEST) & ~still) for each, still in zip(alike, constant, strict=True)]
        count = np.maximum(sum(seen.sum(axis=0) for _, seen in files), 1)
        mean = sum(each.sum(axis=0, where=seen) for each, seen in files) / count
        deviation = np.sqrt(sum(np.square(each - mean).sum(axis=0, where=seen) for each, seen in files) / count)
        changes = ~np.all(constant, axis=0)
        standard = (np.abs(mean) < 0.2) & (deviation > 0.7) & (deviation < 1.4)
        shares = {name: self.unseen.get(name) for name in (_NO_HAND, _TWICE)}
        return {
            "columns already standardised": float(standard[changes].mean()) if points and changes.any() else 0.0,
            "columns that never change": float(1 - changes.mean()),
            **{f"frames {_TOLD[name]}": float(np.mean(each)) for name, each in shares.items() if each},
            "frames read": float(sum(map(len, alike))),
        }

    def parts_unseen(self) -> dict[str, float]:
        """Share of frames in which the landmarks of each block were not seen; of other values, where it is above 0."""
        shares = {name: float(np.mean(each)) for name, each in self.unseen.items() if name not in (_NO_HAND, _TWICE)}
        others = {block.name for block in self.file_layout.layout.values}
        return {name: share for name, share in shares.items() if share > 0 or name not in others}

    def parts_still(self) -> dict[str, float]:
        """Share of files in which the landmarks of a block are seen and never move."""
        return {name: float(np.mean(each)) for name, each in self.still.items() if any(each)}


def _constant(values: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """Which columns (value,) of a file (time, value) never change, what was not seen apart."""
    known = np.abs(values) < _LARGEST
    low, high = np.where(known, values, np.inf).min(axis=0), np.where(known, values, -np.inf).max(axis=0)
    with np.errstate(invalid="ignore"):  # of columns that were never seen
        return np.asarray(~(high - low > _STILL * np.maximum(np.abs(high), _STILL)), np.bool_)


def _lengths(found: Inspection, kept: Sequence[tuple[Utterance, Any]]) -> None:
    frames = np.array([len(values) for _, values in kept])
    glosses = np.array([len(u.glosses) for u, _ in kept])
    found.lengths = frames.tolist()
    names = {"least": 0, "lower quarter": 25, "median": 50, "upper quarter": 75, "most": 100}
    found.frames = {name: float(np.percentile(frames, q)) for name, q in names.items()}
    found.frames["a gloss"] = float(frames.sum() / max(1, glosses.sum()))
    varies = len(kept) > 2 and frames.std() > 0 and glosses.std() > 0
    found.frames["correlation with glosses"] = float(np.corrcoef(frames, glosses)[0, 1]) if varies else float("nan")


def _vocabulary(found: Inspection, utterances: Sequence[Utterance], rule: ScoringRule, unannotated: int) -> None:
    counts = Counter(gloss for u in utterances if u.split == "train" for gloss in u.glosses)
    dev = Counter(gloss for u in utterances if u.split == "dev" for gloss in u.glosses)
    unknown = {gloss: dev[gloss] for gloss in rule.unreachable(dev, counts)}
    found.glosses = {
        "vocabulary": len(counts),
        "tokens": sum(counts.values()),
        "empty": unannotated + sum(not u.glosses for u in utterances),
        "once": sum(count == 1 for count in counts.values()),
        "an utterance": sum(counts.values()) / max(1, sum(u.split == "train" for u in utterances)),
        "unknown in dev": sum(unknown.values()) / max(1, sum(dev.values())),
        "unknown": sorted(unknown, key=lambda gloss: -unknown[gloss])[:_LISTED],
        "look-alikes": find_look_alikes(counts + dev),
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
    found: Inspection,
    settings: CorpusSettings,
    layout: Layout,
    kept: Sequence[tuple[Utterance, npt.NDArray[np.float32]]],
    seed: int,
) -> None:
    """How much of each block's variance glosses explain, each utterance cut evenly, and how loud the block enters."""
    width = layout.feature_width
    means, labels, squares, total, frames = [], [], np.zeros(width), np.zeros(width), 0
    low, high = np.full(width, np.inf), np.full(width, -np.inf)
    usable, shapes = [], []
    shaped = [each for each in layout.blocks if each.channel == "shape"]
    told = [each.features for each in shaped if each.part == "hands" or each.part not in PARTS]
    told = told or [each.features for each in shaped]
    for utterance, values in kept:
        full = full_features(torch.from_numpy(values), layout).numpy()
        squares, total, frames = (
            squares + np.square(full, dtype=np.float64).sum(0),
            total + full.sum(0),
            frames + len(full),
        )
        low, high = np.minimum(low, full.min(0)), np.maximum(high, full.max(0))
        if utterance.split != "train" or not 0 < len(utterance.glosses) <= len(full):
            continue
        usable.append((utterance, values))
        shapes.append(np.concatenate([full[:, own] for own in told], axis=1))
        cuts = (uniform_cuts(len(utterance.glosses)) * len(full)).round().astype(int).tolist()
        for gloss, (first, last) in zip(utterance.glosses, pairwise(cuts), strict=True):
            means.append(full[first:last].mean(axis=0))
            labels.append(gloss)
    mean = total / frames
    deviation = np.sqrt(np.maximum(squares / frames - mean**2, 0))
    gains = settings.gains
    if gains.blocks == "auto":
        floor = feature_floor(mean, deviation, layout, settings.noise_floor)
        sentences = [Sentence(utterance.glosses, utterance.signer) for utterance, _ in usable]
        blocks = estimate_gains(sentences, lambda place: usable[place][1], layout, floor, deviation)
        gains, found.gains = gains.model_copy(update={"blocks": blocks}), blocks
    conditioning = Conditioning.of(
        mean.astype(np.float32), deviation.astype(np.float32), layout, gains, settings.noise_floor
    )
    energy = (conditioning.scale.numpy() * deviation) ** 2
    segments = np.array(means).reshape(-1, width)
    found.belonging = compare_transcripts(shapes, [utterance.glosses for utterance, _ in usable], seed)
    generator = np.random.default_rng(seed)
    shuffled = [labels[place] for place in generator.permutation(len(labels))]
    for block in layout.blocks:
        own = block.features
        found.blocks.append(
            {
                "channel": block.channel if block.part in PARTS or block.channel != "shape" else "values",
                "part": block.part.removeprefix("values_"),
                "explained": explained(segments[:, own], labels),
                "by chance": explained(segments[:, own], shuffled),
                "share of input": float(energy[own].sum() / max(energy.sum(), 1e-12)),
                "varies": bool((high - low > _ROUNDED * np.maximum(np.abs(low), np.abs(high)))[own].any()),
            }
        )


def _cost(found: Inspection, kept: Sequence[tuple[Utterance, Any]], read_s: float, layout: Layout) -> None:
    rows = sum(found.rows.values()) - len(found.missing)
    frames = rows * float(np.mean([len(values) for _, values in kept]))
    width = kept[0][1].shape[1]
    share = found.rows.get("train", 0) / max(1, sum(found.rows.values()))
    stored_s, summed_s = _packing_s([values for _, values in kept[:_TIMED]], layout)
    found.cost = {
        "utterances": rows,
        "hours of signing at 25 frames a second": frames / 25 / 3600,
        "packed, GB": frames * width * 2 / 1e9,
        "packing, minutes": rows * (read_s / max(1, found.sampled) + stored_s + share * summed_s) / 60,
    }


def _packing_s(several: Sequence[Values], layout: Layout) -> tuple[float, float]:
    """Seconds that an utterance takes to be packed once it is read, and one of training besides for its statistics."""
    started = time.perf_counter()
    for values in several:
        hashlib.sha256(values.tobytes())  # as its file is, which is known by its content
        halve(values).tobytes()
    stored = time.perf_counter()
    statistics = Statistics(layout)
    for values in several:
        statistics.add(halve(values))
    return (stored - started) / len(several), (time.perf_counter() - stored) / len(several)
