"""Time what an epoch of each strategy takes, by a few warm steps at each depth that trains."""

import json
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from glosstune.models.recogniser import Recogniser
from glosstune.results.text import rounded
from glosstune.search.config.errors import Say
from glosstune.search.config.sections import AUTO
from glosstune.search.config.sweep import Sweep
from glosstune.search.driver.excerpt import Excerpt, pack_excerpt
from glosstune.search.driver.weights import list_plans
from glosstune.spaces import STRATEGIES
from glosstune.trainables import TrainingSession, TrialSettings
from glosstune.trainables.batches.batching import (
    EVALUATION_BATCH,
    collate,
    padded_length,
    shuffled_batches,
    sorted_batches,
)
from glosstune.trainables.batches.precision import autocast
from glosstune.trainables.corpora.utterance import Split
from glosstune.trainables.settings import augmentations
from glosstune.trainables.training.thawing import thaw_epochs
from glosstune.trainables.training.threads import trial_threads

# An answer within a minute is worth more than the last few percent.
PATIENCE_S = 45.0
# A batch of short and one of long utterances, since the shorter ones cost more a frame.
_TIMED_BATCHES, _TIMED_DEV = 2, 12
_STORES = "activations/store-*/*.f16"  # of what frozen layers give, below corpus.cache
_NOTICED = 0.05  # share of an epoch that what happens once has to have to be told


@dataclass(frozen=True)
class Cost:
    """Seconds of an epoch: its steps, its scoring of dev; and of what is done once before.

    Attributes:
        frozen_s: of the layers that are frozen, once for all trials with the same ones; 0 where none is, or where they
            run at every step.
        kernels_s: of compiling kernels for the lengths of batches, in each process.
    """

    train_s: float
    score_s: float
    frozen_s: float = 0.0
    kernels_s: float = 0.0

    @property
    def epoch_s(self) -> float:
        """Steps and scoring."""
        return self.train_s + self.score_s


@dataclass(frozen=True)
class Stage:
    """Epochs of a trial in which the same layers train.

    Attributes:
        first: the first layer that trains; to those behind it gradients flow, whether they train or not.
        depth: number of layers before it.
        share: of the trial's epochs.
        epoch: the first of them.
        rest: all else that its cost depends on, as JSON.
    """

    settings: TrialSettings
    first: str
    depth: int
    share: float
    epoch: int
    rest: str

    @property
    def key(self) -> tuple[str, int]:
        """The same for stages that cost the same."""
        return self.rest, self.depth


Costs = Mapping[tuple[str, int], Cost]


def mean_epoch_s(sweep: Sweep, say: Say, *, device: torch.device) -> float:
    """Seconds of a mean epoch of a trial that has its device to itself, over the strategies; tells how it is found.

    No epoch of the corpus is run: a batch of short and one of long utterances stand for all. Depths of freezing for
    which PATIENCE_S leave no time are counted by what their layers take.

    Raises:
        CorpusError, SettingError, CheckpointError: as a sweep does.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name, trial_threads(sweep.resources.cpu):
        folder = Path(name)
        counts: dict[Split, int] = {"train": _TIMED_BATCHES * sweep.training.batch_size, "dev": _TIMED_DEV}
        excerpt = pack_excerpt(sweep.corpus, counts, folder, say)
        # What trials keep of so few utterances is of no use to a sweep; what weights hold costs no time.
        corpus = sweep.corpus.model_copy(update={"cache": folder})
        pretrained = None if sweep.pretrained == AUTO else sweep.pretrained
        timed = sweep.model_copy(update={"corpus": corpus, "pretrained": pretrained})
        trials = list_stages(timed, excerpt, device)
        costs = _time_all([stage for _, trial in trials for stage in trial], excerpt, device, started + PATIENCE_S, say)
    by_strategy: dict[str, list[float]] = {}
    for strategy, trial in trials:
        by_strategy.setdefault(strategy, []).append(sum(stage.share * costs[stage.key].epoch_s for stage in trial))
    means = {strategy: float(np.mean(seconds)) for strategy, seconds in by_strategy.items()}
    for strategy, seconds in means.items():
        say(f"{strategy:<20}{rounded(seconds)} s an epoch")
    mean = float(np.mean(list(means.values())))
    for line in _told_once(sweep, excerpt, costs, mean):
        say(line)
    say(f"timed in {time.monotonic() - started:.0f} s")
    return mean


def list_stages(sweep: Sweep, excerpt: Excerpt, device: torch.device) -> list[tuple[str, list[Stage]]]:
    """Strategy and stages of a trial of each strategy and depth that the space offers."""
    trials: list[tuple[str, list[Stage]]] = []
    sessions: dict[str, TrainingSession] = {}
    for configuration in list_plans(sweep):
        settings = sweep.settings_of(configuration)
        augment = "+".join(sorted(augmentations(settings.training.augment, excerpt.has_positions))) or "none"
        training = settings.training.model_copy(update={"augment": augment})
        settings = settings.model_copy(update={"training": training})
        strategy = settings.tuned.strategy
        # Of what is tuned only the depth costs time, which is in the layers that train.
        rest = json.dumps(settings.model_dump(mode="json", exclude={"tuned"}), sort_keys=True)
        loads = STRATEGIES[strategy].pretrained and settings.pretrained is not None
        built = f"{loads} {rest}"
        if built not in sessions:
            sessions[built] = TrainingSession(settings, excerpt, device=device)
        model, fresh = sessions[built].model, sessions[built].fresh
        trials.append((strategy, _stages(settings, model, fresh, rest)))
    return trials


def _stages(settings: TrialSettings, model: Recogniser, fresh: Collection[str], rest: str) -> list[Stage]:
    first_epochs, names, epochs = thaw_epochs(model, settings), model.layer_names, settings.training.epochs
    always = {name.partition(".")[0] for name in fresh}
    found = []
    for begin, end in pairwise([*sorted({0, *first_epochs.values()}), epochs]):
        trained = [name for name in names if name in always or first_epochs.get(name, epochs) <= begin]
        if end > begin:
            depth = names.index(trained[0])
            found.append(Stage(settings, trained[0], depth, (end - begin) / epochs, begin, rest))
    return found


def between(stage: Stage, costs: Costs, layers_s: Sequence[float]) -> Cost:
    """What a stage costs that was not timed: between the nearest timed ones, by the time that layers take.

    Where none was timed that freezes more, frozen layers cost nothing if what they give is kept, and all if not.

    Args:
        layers_s: seconds of each layer.
    """
    own = {depth: cost for (rest, depth), cost in costs.items() if rest == stage.rest}
    if stage.depth in own:
        return own[stage.depth]
    above = max((depth for depth in own if depth < stage.depth), default=None)
    if above is None:
        return max(costs.values(), key=lambda cost: cost.epoch_s)
    below = min((depth for depth in own if depth > stage.depth), default=len(layers_s))
    if below not in own:
        kept = stage.settings.activation_cache and stage.settings.training.augment == "none"
        own[below] = Cost(0.0, 0.0) if kept else own[above]
    share = sum(layers_s[above : stage.depth]) / max(sum(layers_s[above:below]), 1e-12)
    values = zip(astuple(own[above]), astuple(own[below]), strict=True)
    return Cost(*(one + share * (other - one) for one, other in values))


def padded_frames(batches: Sequence[Sequence[int]]) -> int:
    """Frames that a model works through, padding included, of batches of lengths."""
    return sum(len(batch) * padded_length(torch.tensor(batch)) for batch in batches)


def epoch_batches(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Lengths of the utterances of each batch, as ``TrainingSession`` draws them."""
    return shuffled_batches(lengths, lengths, batch_size, np.random.default_rng([seed, epoch]))


def _time_all(
    stages: Sequence[Stage], excerpt: Excerpt, device: torch.device, deadline: float, say: Say
) -> dict[tuple[str, int], Cost]:
    """The cost of each kind of stage: what trains most is timed, then what trains least, then those between."""
    different = {stage.key: stage for stage in stages}
    ranked = sorted(different.values(), key=lambda stage: stage.depth)
    order = [*ranked[:1], *ranked[:0:-1][:1], *ranked[1:-1]]
    costs: dict[tuple[str, int], Cost] = {}
    layers_s: list[float] = []
    longest_s = 0.0
    for number, stage in enumerate(order, start=1):
        if costs and time.monotonic() + longest_s > deadline:
            break
        session = TrainingSession(stage.settings, excerpt, device=device)
        started = time.monotonic()
        costs[stage.key] = cost = _time_stage(session, stage, excerpt, deadline)
        # The first one compiles kernels for all; others take about what its layers take once more.
        layers_s = layers_s or _time_layers(session, excerpt)
        longest_s = max(longest_s, time.monotonic() - started) if number > 1 else 3 * sum(layers_s)
        seconds = f"{rounded(cost.train_s)} s of training and {rounded(cost.score_s)} s of scoring an epoch"
        say(f"[{number}/{len(order)}] training from {stage.first} on: {seconds}")
    left = [stage for stage in order if stage.key not in costs]
    if left:
        say(f"{', '.join(stage.first for stage in left)}: not timed, but counted by what their layers take")
    return {**costs, **{stage.key: between(stage, costs, layers_s) for stage in left}}


@torch.no_grad()
def _time_layers(session: TrainingSession, excerpt: Excerpt) -> list[float]:
    """Seconds that each layer takes forward, those of the head together."""
    model, device = session.model, session.device
    batch = collate(excerpt, excerpt.rows("train"), session.conditioning)
    state, seconds = batch.state, []
    head = model.architecture.head[0]
    with autocast(device, session.settings.training.precision):
        for name, later in pairwise([*model.architecture.body, head, head]):
            started = time.perf_counter()
            if name == head:
                model.forward_from(name, state, batch.lengths)
            else:
                state = model.forward_until(later, name, state, batch.lengths)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds.append(time.perf_counter() - started)
    return seconds


def _time_stage(session: TrainingSession, stage: Stage, excerpt: Excerpt, deadline: float) -> Cost:
    cache = stage.settings.corpus.cache
    assert cache is not None
    before = set(cache.glob(_STORES))
    runs = _runs_at(session, stage.epoch, deadline)
    kept = sum(file.stat().st_size for file in set(cache.glob(_STORES)) - before)
    frames = sum(sum(map(excerpt.length, excerpt.rows(split))) for split in excerpt.lengths)
    growth = sum(map(sum, excerpt.lengths.values())) / frames
    if kept * growth > stage.settings.activation_cache_gb * 2**30:
        # What the whole corpus has no room for is computed anew at every step.
        settings = stage.settings.model_copy(update={"activation_cache": False})
        session, kept = TrainingSession(settings, excerpt, device=session.device), 0
        runs = _runs_at(session, stage.epoch, deadline)
    training = stage.settings.training
    own = [excerpt.length(row) for row in excerpt.rows("train")]
    few = epoch_batches(own, training.batch_size, training.seed, stage.epoch)
    all_of_them = epoch_batches(excerpt.lengths["train"], training.batch_size, training.seed, stage.epoch)
    grown = padded_frames(all_of_them) / padded_frames(few)
    own_dev = [excerpt.length(row) for row in excerpt.rows("dev")]
    dev = [sorted_batches(lengths, lengths, EVALUATION_BATCH) for lengths in (excerpt.lengths["dev"], own_dev)]
    train_s, score_s = (float(np.mean(seconds[1:] or seconds)) for seconds in zip(*runs, strict=True))
    once = max(0.0, runs[0][0] - train_s)
    shapes = [len({padded_length(torch.tensor(batch)) for batch in batches}) for batches in (all_of_them, few)]
    return Cost(
        train_s=train_s * grown,
        score_s=score_s * padded_frames(dev[0]) / padded_frames(dev[1]),
        frozen_s=once * growth if kept else 0.0,
        kernels_s=0.0 if kept else once * shapes[0] / shapes[1],
    )


def _runs_at(session: TrainingSession, epoch: int, deadline: float) -> list[tuple[float, float]]:
    """Seconds of training on the few utterances in some epoch and of scoring them: a cold run, and two more in time."""
    runs: list[tuple[float, float]] = []
    frames = sum(map(session.corpus.length, session.corpus.rows("train")))
    while not runs or (len(runs) < 3 and time.monotonic() + sum(runs[-1]) < deadline):
        session.epoch = epoch
        metrics = session.run_epoch()
        train_s = frames / metrics["frames_per_s"]
        runs.append((train_s, max(0.0, metrics["epoch_s"] - train_s)))
    return runs


def _told_once(sweep: Sweep, excerpt: Excerpt, costs: Costs, epoch_s: float) -> list[str]:
    """What comes on top of the epochs, where that is noticeable."""
    lines = []
    frozen_s = sum(cost.frozen_s for cost in costs.values())
    if frozen_s > _NOTICED * epoch_s:
        lines.append(f"frozen layers run once for each depth, about {rounded(frozen_s)} s in all; not counted")
    first = next(iter(costs.values()))
    if first.kernels_s > _NOTICED * epoch_s:
        lines.append(f"the first epoch of each process takes about {rounded(first.kernels_s)} s longer; not counted")
    pretraining = sweep.pretraining
    if sweep.pretrained == AUTO and pretraining.labels in ("uniform", "aligned"):
        a_frame_s = first.train_s / sum(excerpt.lengths["train"])
        frames = float(np.mean(excerpt.lengths["train"])) * pretraining.batch_size * pretraining.steps
        hours = frames * a_frame_s / 3600
        lines.append(f"pretrained weights come first, {pretraining.steps} steps, about {rounded(hours)} h; not counted")
    return lines
