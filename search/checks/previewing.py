"""What a sweep would do and cost, before anything is packed, made or trained."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from textwrap import wrap

from glosstune.results.text import align, rounded
from glosstune.search.config.errors import Say
from glosstune.search.config.rules import check_parts, missing_inputs, tell_rungs
from glosstune.search.config.sections import AUTO
from glosstune.search.config.sweep import Sweep
from glosstune.search.driver.planning import Plan, find_slots
from glosstune.spaces.errors import CorpusError, GlosstuneError
from glosstune.spaces.parameters import Constant, Definition, listed
from glosstune.spaces.parts import is_own
from glosstune.trainables.corpora import open_corpus
from glosstune.trainables.corpora.utterance import SPLITS, Corpus
from glosstune.trainables.layouts.reading import stored_values
from glosstune.trainables.settings import CorpusSettings

_WIDTH = 66  # beside the topics, of 80


@dataclass(frozen=True)
class Preview:
    """What is known of a sweep without running any of it.

    Attributes:
        corpus: where it lies, or its kind.
        utterances: of each split; empty where the corpus is missing, or one of one's own, which only reading tells.
        trials: how many, of which ``start_points`` are given.
        epochs: of a full trial.
        epochs_at_most: of all trials together, if none is stopped.
        epochs_expected: of all together, if halving lets go on whom it promises; None where rungs count seconds.
        steps_at_most: of the optimiser; None where the utterances are not known.
        rungs: the epochs, or seconds, at which trials are compared.
        searched: parameters of the space that vary.
        strategies: that it offers.
        weights: where weights to start from come from.
        limits: what ends the sweep early.
        hours_expected: of the clock on this machine, by its epochs; None where none was timed.
        hours_at_most: the same if no trial is stopped.
        notes: what a user should know of it.
        missing: what would be refused when it begins.
    """

    corpus: str
    utterances: dict[str, int]
    trials: int
    start_points: int
    epochs: int
    epochs_at_most: int
    epochs_expected: int | None
    steps_at_most: int | None
    rungs: list[float]
    searched: list[str]
    strategies: list[str]
    weights: str
    limits: list[str]
    hours_expected: float | None = None
    hours_at_most: float | None = None
    notes: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def preview(sweep: Sweep) -> Preview:
    """Look at everything that a sweep names; of files of features at the first.

    Raises:
        SettingError: a part of one's own cannot be imported, or breaks a rule.
    """
    check_parts(sweep)
    samples, epochs, halving = sweep.search.samples, sweep.training.epochs, sweep.halving
    missing = list(_missing_files(sweep))
    utterances: dict[str, int] = {}
    try:
        corpus = open_corpus(sweep.corpus)
        if not is_own(sweep.corpus.kind):
            counts = Counter(utterance.split for utterance in corpus.utterances())
            utterances = {split: counts[split] for split in SPLITS}
            _check_layout(corpus, sweep.corpus)
    except GlosstuneError as error:
        missing.insert(0, str(error))
    plan = planned(sweep)
    batches = [value for each in sweep.space.get("batch_size", ()) for value in listed(each)]
    smallest = min(size for size in batches or [sweep.training.batch_size] if isinstance(size, int))
    steps = math.ceil(utterances["train"] / smallest) if utterances else None
    rungs = [float(rung) for rung in plan.rungs]
    if halving.min_seconds is not None:
        rungs = [halving.min_seconds * halving.reduction**rung for rung in range(3)]
    return Preview(
        corpus=f"{sweep.corpus.root or sweep.corpus.kind} ({sweep.corpus.split})",
        utterances=utterances,
        trials=samples,
        start_points=min(samples, len(sweep.start_points)),
        epochs=epochs,
        epochs_at_most=samples * epochs,
        epochs_expected=None if halving.resource == "seconds" else round(plan.trial_epochs),
        steps_at_most=None if steps is None else samples * epochs * steps,
        rungs=rungs if halving.kind != "none" else [],
        searched=[name for name, definitions in sweep.space.items() if not _fixed(definitions)],
        strategies=_strategies(sweep),
        weights=_weights(sweep),
        limits=list(_limits(sweep)),
        notes=[note for note in (tell_rungs(sweep),) if note],
        missing=missing,
    )


def _check_layout(corpus: Corpus, settings: CorpusSettings) -> None:
    """Raise CorpusError where the file of the first utterance does not hold what ``corpus.layout`` says."""
    if corpus.files is None:
        return
    (_, values), key = next(corpus.look([0])), corpus.utterances()[0].key
    if isinstance(values, CorpusError):
        raise values
    stored_values(values, corpus.files, f"{settings.root}: {key}", settings.not_seen)


def timed(seen: Preview, sweep: Sweep, say: Say) -> Preview:
    """The same with hours, by epochs that are timed here within a minute as ``glosstune plan`` times them.

    Raises:
        CorpusError, SettingError, CheckpointError: as a sweep does.
    """
    import torch

    from glosstune.search.driver.timing import mean_epoch_s

    gpus = torch.cuda.device_count() if torch.cuda.is_available() and sweep.resources.gpu != 0 else 0
    slots, sharing = find_slots(sweep, gpus)
    epoch_s = mean_epoch_s(sweep, say, device=torch.device("cuda" if gpus else "cpu"))
    plan = replace(planned(sweep), slots=slots, sharing=sharing)
    most = replace(plan, min_epochs=plan.epochs)
    known = seen.epochs_expected is not None
    return replace(seen, hours_expected=plan.hours_of(epoch_s) if known else None, hours_at_most=most.hours_of(epoch_s))


def planned(sweep: Sweep) -> Plan:
    """The sweep as a plan, which says what is to be expected of its rungs."""
    halving, epochs = sweep.halving, sweep.training.epochs
    first = halving.min_epochs if halving.kind != "none" and halving.resource == "epochs" else epochs
    return Plan(sweep.search.samples, epochs, min(first, epochs), halving.reduction, slots=1, hours=math.inf)


def describe_preview(seen: Preview, sweep: Sweep) -> list[str]:
    """Its lines, a topic each."""
    lines = [("sweep", f"{sweep.name}: all keys are in order"), ("corpus", f"{seen.corpus}: {_counts(seen, sweep)}")]
    lines.append(("trials", f"{seen.trials}, {_origins(seen, sweep)}"))
    lines.append(("searched", ", ".join(seen.searched) or "nothing"))
    lines.append(("ranked by", ", ".join(sweep.search.objectives)))
    lines.append(("strategies", ", ".join(seen.strategies)))
    lines.append(("weights", seen.weights))
    told = f"{seen.epochs} each, {seen.epochs_at_most:,} in all at most"
    if seen.epochs_expected is not None and seen.rungs:
        told += f", about {seen.epochs_expected:,} with halving"
    lines.append(("epochs", told))
    if seen.steps_at_most is not None:
        lines.append(("steps", f"{seen.steps_at_most:,} in all at most"))
    if seen.hours_at_most is not None:
        about = f"about {rounded(seen.hours_expected)} h, " if seen.hours_expected is not None and seen.rungs else ""
        told = f"{about}at most {rounded(seen.hours_at_most)} h on this machine"
        lines.append(("time", f"{told}; packing, pretraining and starts not counted"))
    lines.append(("rungs", _rungs(seen, sweep)))
    lines.append(("ends", "; ".join(seen.limits) or "when all trials have ended"))
    lines += [("note", note) for note in seen.notes]
    lines += [("missing", what) for what in seen.missing]
    rows = [(topic * (not place), part) for topic, text in lines for place, part in enumerate(_wrapped(text))]
    return align(rows, left=[0, 1])


def _wrapped(text: str) -> list[str]:
    return wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _origins(seen: Preview, sweep: Sweep) -> str:
    search = sweep.search
    starts = f"{seen.start_points} of them start points" if seen.start_points else "no start points"
    prior = search.prior if isinstance(search.prior, str) else ", ".join(map(str, search.prior))
    near = f", some of the first near the best of other sweeps (prior: {prior})" if prior and prior != "none" else ""
    return f"{starts}; suggestions by {search.sampler}{near}"


def _counts(seen: Preview, sweep: Sweep) -> str:
    if seen.utterances:
        return ", ".join(f"{count:,} {split}" for split, count in seen.utterances.items()) + " utterances"
    return "of your own, not read" if is_own(sweep.corpus.kind) else "not found, see below"


def _rungs(seen: Preview, sweep: Sweep) -> str:
    if not seen.rungs:
        return "none"
    halving = sweep.halving
    seconds = halving.resource == "seconds"
    places = ", ".join(f"{rung:g}" for rung in seen.rungs) + ", …" * seconds
    return f"at {halving.resource} {places}; the best of {halving.reduction} go on ({halving.kind})"


def _fixed(definitions: Sequence[Definition]) -> bool:
    return all(isinstance(definition, Constant) for definition in definitions) and len(definitions) == 1


def _strategies(sweep: Sweep) -> list[str]:
    offered = [str(value) for definition in sweep.space.get("strategy", ()) for value in listed(definition)]
    return offered or ["baseline"]


def _weights(sweep: Sweep) -> str:
    if sweep.pretrained != AUTO:
        return sweep.pretrained or "none, random values"
    pretraining = sweep.pretraining
    made = f"made first: {pretraining.steps:,} steps of {pretraining.batch_size} (labels {pretraining.labels})"
    return f"{made}, unless the cache has them"


def _limits(sweep: Sweep) -> Iterator[str]:
    search = sweep.search
    if search.time_budget_min is not None:
        yield f"after {search.time_budget_min:g} min of searching at the latest"
    if search.epoch_budget is not None:
        yield f"after {search.epoch_budget:,} epochs"
    if search.patience_trials is not None:
        yield f"after {search.patience_trials} trials that are no better"
    if search.stop_at_target:
        yield f"below {search.target:.0%} WER"


def _missing_files(sweep: Sweep) -> Iterator[str]:
    """What the sweep names and is not there."""
    for key, file, told in missing_inputs(sweep):
        yield f"{key}: {file}: {told}"
    folders = {"search.warm_start": sweep.search.warm_start, "search.prior": sweep.search.prior}
    for key, places in folders.items():
        for folder in () if isinstance(places, str) else places:
            if not folder.is_dir():
                yield f"{key}: {folder}: no such folder"
