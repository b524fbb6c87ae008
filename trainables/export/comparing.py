"""Measure exported recognisers side by side: size, errors on one dev split, and speed on this device."""

import time
from collections.abc import Callable, Collection, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from glosstune.spaces.errors import CheckpointError, CorpusError, FolderError, SettingError, shown
from glosstune.trainables.batches.batching import sorted_batches
from glosstune.trainables.batches.precision import autocast
from glosstune.trainables.corpora import PackedCorpus, Vocabulary, pack_corpus
from glosstune.trainables.corpora.provenance import check_unseen
from glosstune.trainables.ctc.rules import RULES
from glosstune.trainables.ctc.scoring import ErrorRates
from glosstune.trainables.export.exporting import TrainedRecogniser, load_recogniser
from glosstune.trainables.export.recognising import recognise, score
from glosstune.trainables.settings import CorpusSettings

BATCH_SIZES = (1, 16)
TIMED_UTTERANCES = 32

# Keys of a corpus that say which utterances dev has, and which of its landmarks were seen, as whose. Its folder may
# move, and be laid out anew.
_DEV = ("kind", "split", "fold", "split_seed", "signers", "sentences", "not_seen", "hands", "frame_step")


@dataclass(frozen=True)
class Candidate:
    """A recogniser that ``glosstune export`` has written, and its file."""

    path: Path
    recogniser: TrainedRecogniser

    @classmethod
    def read(cls, path: Path, kinds: Collection[str] = ()) -> "Candidate":
        """Read a file, of which nothing is executed; arguments and errors as for ``load_recogniser``."""
        return cls(path, load_recogniser(path, kinds))


@dataclass(frozen=True)
class Speed:
    """How fast a model turns stored frames into glosses, its own conditioning included, at one batch size.

    Attributes:
        batch_size: utterances that are recognised at once, of similar length.
        frames_per_s: frames of utterances, padding not counted, in the median round.
        utterance_ms_median: time of a batch over its utterances; the median over all batches and rounds.
        utterance_ms_quartiles: the first and the third quartile of the same.
    """

    batch_size: int
    frames_per_s: float
    utterance_ms_median: float
    utterance_ms_quartiles: tuple[float, float]


@dataclass(frozen=True)
class MeasuredModel:
    """What one file came to.

    Attributes:
        file: its path as it was given.
        kind, width: of the network.
        parameters: of the network, without the conditioning of its input.
        parameter_ratio, byte_ratio: how many times the first file has as many.
        rates: errors on dev, fractions.
        precision: of the network: ``fp32`` or ``bf16``.
        speeds: one a batch size.
        beaten_by: the files of models with no more errors, parameters and bytes, and fewer of one; speeds, which vary
            from run to run, are left to the reader.
    """

    file: str
    kind: str
    width: float
    parameters: int
    file_bytes: int
    parameter_ratio: float
    byte_ratio: float
    rates: ErrorRates
    precision: str
    speeds: tuple[Speed, ...]
    beaten_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelComparison:
    """Models that were scored on the same utterances and timed in turn.

    Attributes:
        corpus: folder of the packed corpus.
        scoring: the rule that errors are counted by, which is that of the corpus.
        dev_utterances, dev_glosses: that errors were counted on.
        timed_utterances, timed_frames: of dev, that a round recognises; a small dev split is repeated.
        device: where the models ran.
        threads: of the CPU.
        rounds: timed, after one that warmed up.
        models: in the order of the files; the first is the teacher.
    """

    corpus: str
    scoring: str
    dev_utterances: int
    dev_glosses: int
    timed_utterances: int
    timed_frames: int
    device: str
    threads: int
    rounds: int
    models: tuple[MeasuredModel, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """A line for each model that makes fewer errors than the first, its teacher."""
        teacher, *others = self.models
        return tuple(
            f"{teacher.file}: its WER on dev, {teacher.rates.wer:.1%}, is worse than the {model.rates.wer:.1%} "
            f"of {model.file}; a teacher should be the better one"
            for model in others
            if model.rates.wer < teacher.rates.wer
        )


def compare_models(
    candidates: Sequence[Candidate],
    corpus: CorpusSettings,
    *,
    rounds: int = 5,
    device: torch.device | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> ModelComparison:
    """Score all models on one dev split and time them in turn; the test split stays unread.

    Args:
        candidates: one or more; the first is what the others are compared with.
        corpus: that the first file records, or the same at another place.
        rounds: of the timing, at least 1, after one to warm up.
        device: default CUDA where there is one, else the CPU.
        say: takes a line about each stage.

    Raises:
        SettingError: the files record corpora with different dev splits, or ``corpus`` has another one, or frames of
            another layout than a model reads.
        CheckpointError: a model writes other glosses than the first or the corpus, or has learned from recordings
            that dev or test hold out.
        CorpusError, FolderError: the corpus is not there, or cannot be packed.
    """
    _check_same_dev(candidates, corpus)
    packed = _open(candidates[0], corpus)
    for candidate in candidates:
        _check_layout(candidate, packed, corpus)
        check_unseen(candidate.path, candidate.recogniser.recorded, packed)
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    recognisers = [_on(device, candidate.recogniser) for candidate in candidates]
    rates = []
    for candidate, recogniser in zip(candidates, recognisers, strict=True):
        say(f"{candidate.path}: scoring {len(packed.rows('dev'))} utterances of dev")
        rates.append(score(recogniser, packed))
    rows = spread_rows(packed, TIMED_UTTERANCES)
    say(f"timing {len(candidates)} models in turn, {rounds} rounds after one to warm up")
    speeds = [time_in_turn(recognisers, packed, rows, batch_size, rounds) for batch_size in BATCH_SIZES]
    return ModelComparison(
        corpus=str(packed.folder),
        scoring=packed.scoring,
        dev_utterances=len(packed.rows("dev")),
        dev_glosses=sum(len(RULES[packed.scoring].reference(packed.glosses(row))) for row in packed.rows("dev")),
        timed_utterances=len(rows),
        timed_frames=sum(map(packed.length, rows)),
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type.upper(),
        threads=torch.get_num_threads(),
        rounds=rounds,
        models=mark_beaten(
            [
                _measured(candidate, candidates[0], device, errors, of_model)
                for candidate, errors, of_model in zip(candidates, rates, zip(*speeds, strict=True), strict=True)
            ]
        ),
    )


def mark_beaten(models: Sequence[MeasuredModel]) -> tuple[MeasuredModel, ...]:
    """The same models, each with those that beat it."""
    points = np.array([(model.rates.wer, model.parameters, model.file_bytes) for model in models])
    marked = []
    for point, model in zip(points, models, strict=True):
        beats = (points <= point).all(axis=1) & (points < point).any(axis=1)
        files = tuple(other.file for other, ahead in zip(models, beats, strict=True) if ahead)
        marked.append(replace(model, beaten_by=files))
    return tuple(marked)


def spread_rows(corpus: PackedCorpus, count: int) -> list[int]:
    """Rows of ``count`` dev utterances, spread evenly from the shortest to the longest, repeated where dev has less."""
    ranked = sorted(corpus.rows("dev"), key=corpus.length)
    return [ranked[place] for place in np.linspace(0, len(ranked) - 1, count).round().astype(int)]


def time_in_turn(
    recognisers: Sequence[TrainedRecogniser], corpus: PackedCorpus, rows: Sequence[int], batch_size: int, rounds: int
) -> list[Speed]:
    """Time models on the same rows, one after the other in each round, so that a slow minute hits them alike.

    What counts is reading the mapped frames, padding, the model's own conditioning, its network and greedy decoding.
    """
    batches = sorted_batches(rows, [corpus.length(row) for row in rows], batch_size)
    taken_s = np.zeros((len(recognisers), rounds + 1, len(batches)))
    for turn in range(rounds + 1):
        for place, recogniser in enumerate(recognisers):
            for number, batch in enumerate(batches):
                started = time.perf_counter()
                recognise(recogniser, corpus, batch)  # decodes on the CPU, which waits for the device
                taken_s[place, turn, number] = time.perf_counter() - started
    frames = sum(map(corpus.length, rows))
    per_utterance_ms = 1000 * taken_s[:, 1:] / [len(batch) for batch in batches]  # without the warm-up
    speeds = []
    for place in range(len(recognisers)):
        first, median, third = np.percentile(per_utterance_ms[place], (25, 50, 75)).tolist()
        round_s = float(np.median(taken_s[place, 1:].sum(axis=1)))
        speeds.append(Speed(batch_size, frames / round_s, median, (first, third)))
    return speeds


def _on(device: torch.device, recogniser: TrainedRecogniser) -> TrainedRecogniser:
    # A copy, for ``to`` would move the caller's model too.
    model = deepcopy(recogniser.model).to(device)
    return replace(recogniser, model=model, conditioning=recogniser.conditioning.to(device))


def _precision(recogniser: TrainedRecogniser, device: torch.device) -> str:
    with autocast(device, recogniser.settings.training.precision):
        return "bf16" if torch.is_autocast_enabled(device.type) else "fp32"


def _measured(
    candidate: Candidate, first: Candidate, device: torch.device, rates: ErrorRates, speeds: tuple[Speed, ...]
) -> MeasuredModel:
    (first_parameters, first_bytes), (parameters, file_bytes) = map(_size, (first, candidate))
    model = candidate.recogniser.settings.model
    return MeasuredModel(
        file=str(candidate.path),
        kind=model.kind,
        width=model.width,
        parameters=parameters,
        file_bytes=file_bytes,
        parameter_ratio=first_parameters / parameters,
        byte_ratio=first_bytes / file_bytes,
        rates=rates,
        precision=_precision(candidate.recogniser, device),
        speeds=speeds,
    )


def _size(candidate: Candidate) -> tuple[int, int]:
    """Parameters of the model and bytes of the file."""
    parameters = sum(parameter.numel() for parameter in candidate.recogniser.model.parameters())
    return parameters, candidate.path.stat().st_size


def _check_same_dev(candidates: Sequence[Candidate], corpus: CorpusSettings) -> None:
    """Require what all files record to mean the same dev utterances and glosses, before anything is read."""
    first = candidates[0]
    _check_alike("the corpus to compare on", corpus, first, _DEV)
    for other in candidates[1:]:
        _check_alike(str(other.path), other.recogniser.settings.corpus, first, (*_DEV, "layout"))
        way_out = "compare files that were trained on one corpus"
        _check_glosses(other, str(first.path), first.recogniser.vocabulary, way_out)


def _check_alike(name: str, corpus: CorpusSettings, first: Candidate, keys: Sequence[str]) -> None:
    recorded = first.recogniser.settings.corpus
    for key in keys:
        value, other = getattr(corpus, key), getattr(recorded, key)
        if value != other:
            raise SettingError(
                f"{name}: corpus.{key} is {shown(value)}, but {shown(other)} in {first.path}: not the same dev "
                "utterances; compare files that were trained on one corpus and split"
            )


def _open(first: Candidate, settings: CorpusSettings) -> PackedCorpus:
    try:
        corpus = pack_corpus(settings)
    except (CorpusError, FolderError, SettingError) as error:
        way_out = "where the corpus has moved, say corpus.root=FOLDER"
        # An error of the folder is about the cache.
        told = str(error) if isinstance(error, FolderError) or way_out in str(error) else f"{error}; {way_out}"
        raise type(error)(f"{first.path}: the corpus that it was trained on: {told}") from error
    name = f"the corpus in {settings.root or corpus.folder}"
    _check_glosses(first, name, corpus.vocabulary, "name the corpus that it was trained on with corpus.root=FOLDER")
    return corpus


def _check_layout(candidate: Candidate, corpus: PackedCorpus, settings: CorpusSettings) -> None:
    """Require frames that a model reads: as many values of another layout would be scored as if they were its own."""
    reads = candidate.recogniser.conditioning.layout
    if corpus.layout != reads:
        rule = (
            f"must hold what {candidate.path} reads, {reads.described}, in whatever order; got {shown(settings.layout)}"
        )
        raise SettingError(f"{rule}; name the layout that its files have", key="corpus.layout")


def _check_glosses(candidate: Candidate, name: str, vocabulary: Vocabulary, way_out: str) -> None:
    ours, theirs = candidate.recogniser.vocabulary.glosses, vocabulary.glosses
    if ours != theirs:
        only = [
            f"{len(set(one) - set(other))} only in {where}"
            for one, other, where in ((ours, theirs, candidate.path), (theirs, ours, name))
        ]
        raise CheckpointError(f"{candidate.path}: writes other glosses than {name}: {', '.join(only)}; {way_out}")
