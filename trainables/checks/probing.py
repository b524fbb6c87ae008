"""Whether a recipe learns a handful of utterances in a few dozen steps, and which single change makes it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glosstune.trainables.checks.corpus_findings import GAINS
from glosstune.trainables.checks.findings import Finding
from glosstune.trainables.checks.overfitting import choose_samples
from glosstune.trainables.corpora.store import PackedCorpus, SampledCorpus
from glosstune.trainables.layouts.layout import Layout
from glosstune.trainables.settings import Gains, TrialSettings
from glosstune.trainables.training.session import TrainingSession

SAMPLES, STEPS = 8, 100
# Of the way from the CTC floor to loss 0. Sound recipes of both models pass the first within 60 steps, those with a
# quarter of the width or a tenth of the rate too; what is wrong stays below the second, or far slower.
LEARNED, NOTHING = 0.3, 0.1
_GIVEN_UP, _AHEAD = 40, 0.05
_QUIET = 0.05  # accelerations that drown nothing
_WARMUP = 15  # steps, for recipes that have a warm-up of whatever length


@dataclass(frozen=True)
class Change:
    """One thing that is done differently in a probe.

    Attributes:
        cause: what is at fault if it helps.
        mend: the override.
        update: section and values of the settings that change.
    """

    cause: str
    mend: str
    update: Mapping[str, Mapping[str, Any]]


def probe(settings: TrialSettings, corpus: PackedCorpus, rival: Sequence[float] = ()) -> list[float]:
    """How far below the CTC floor the loss of a few utterances has come, a fraction of the floor, step by step.

    Eight utterances are one batch, 100 times at most, without augmentation; an epoch of warm-up is a step. It ends as
    soon as they are plainly being learned.

    Args:
        rival: what another recipe came to; one that is not ahead of it at step 40 is given up.

    Raises:
        CorpusError: not even two utterances can be aligned.
    """
    rows = choose_samples(corpus, SAMPLES, settings.model.time_stride, settings.training.seed, at_least=2)
    few = SampledCorpus.of(corpus, {"train": rows, "dev": rows[:1]})
    update: dict[str, object] = {"epochs": STEPS, "batch_size": SAMPLES, "final_decay": 0.0, "augment": "none"}
    training = settings.training.model_copy(update=update)
    session = TrainingSession(settings.model_copy(update={"training": training}), few)
    curve: list[float] = []
    while len(curve) < STEPS and not (curve and curve[-1] >= LEARNED):
        curve.append(session.run_epoch()["loss_below_floor"])
        if len(curve) == _GIVEN_UP and len(rival) >= _GIVEN_UP and not curve[-1] > rival[_GIVEN_UP - 1] + _AHEAD:
            break
    return curve


def probe_changes(settings: TrialSettings, corpus: PackedCorpus) -> list[Finding]:
    """What keeps a recipe from learning a few utterances: nothing if it does, else the changes that help, best first.

    Where none helps there is one finding that says so.
    """
    warm = _WARMUP if settings.tuned.warmup_epochs else 0
    plain = settings.tuned.model_copy(update={"warmup_epochs": warm})
    settings = settings.model_copy(update={"tuned": plain})
    own = probe(settings, corpus)
    if own[-1] >= LEARNED:
        return []
    # What does learn, if slowly, is accused only where a change makes it learn in half the steps.
    most = STEPS // 2 if own[-1] >= NOTHING else STEPS
    seen = f"the loss of {SAMPLES} utterances came {own[-1]:.0%} of the way from the CTC floor to 0 in {len(own)} steps"
    tried, found = 0, []
    for alternatives in _changes(settings, corpus.layout):
        for change in alternatives:
            curve = probe(_changed(settings, change), corpus, rival=own)
            tried += 1
            if curve[-1] >= LEARNED and len(curve) <= most:
                evidence = f"{seen}; with {change.mend} {curve[-1]:.0%} after {len(curve)}"
                found.append((len(curve), change, evidence))
                break
    if not found and own[-1] >= NOTHING:
        return []
    rests = f"a probe of {SAMPLES} utterances, and again with each of {tried} changes"
    if not found:
        told = f"{seen}; no other rate, warm-up, dropout or conditioning that was tried changes that"
        return [Finding("unknown", 0.6, told, "glosstune overfit, which takes longer, tells more", "likely", rests)]
    found.sort(key=lambda helped: helped[0])
    # What helps most is the likeliest cause; others help because they soften the same fault.
    return [
        Finding(change.cause, max(0.3, 0.9 - 0.15 * place), told, change.mend, "possible" if place else "likely", rests)
        for place, (_, change, told) in enumerate(found)
    ]


def _changes(settings: TrialSettings, layout: Layout) -> Iterator[list[Change]]:
    """For each thing that may be at fault what to try, one after the other until something helps."""
    rate = settings.learning_rate
    for factor, cause in ((0.1, "learning rate too high"), (10.0, "learning rate too low")):
        rates = [rate * factor**times for times in (1, 2, 3)]
        yield [Change(cause, f"space.learning_rate={r:.2g}", {"tuned": {"learning_rate": r}}) for r in rates]
    if not settings.tuned.warmup_epochs:
        yield [Change("warm-up too short", "space.warmup_epochs=3", {"tuned": {"warmup_epochs": _WARMUP}})]
    if settings.tuned.dropout > 0.1:
        yield [Change("dropout too high", "space.dropout=0.1", {"tuned": {"dropout": 0.1}})]
    gains = settings.corpus.gains
    hands = any(block.part == "hands" for block in layout.points)
    if hands and gains.blocks is None and (gains.face > 0 or gains.acceleration > _QUIET):
        update = {"corpus": {"gains": Gains(blocks="auto"), "noise_floor": 0.05}}
        yield [Change("noise drowns the hands", GAINS, update)]


def _changed(settings: TrialSettings, change: Change) -> TrialSettings:
    sections = {name: getattr(settings, name).model_copy(update=values) for name, values in change.update.items()}
    return settings.model_copy(update=sections)
