"""Whether a recipe learns a handful of utterances in a few dozen steps, and which single change makes it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from glosstune.trainables.corpora.store import PackedCorpus, SampledCorpus
from glosstune.trainables.findings import Finding
from glosstune.trainables.overfitting import choose_samples
from glosstune.trainables.session import TrainingSession
from glosstune.trainables.settings import Gains, TrialSettings

SAMPLES, STEPS = 8, 60
# Of the way from the CTC floor to loss 0. Sound recipes of both models come to 0.5 and more, a quarter as wide, a
# tenth as fast; what is wrong stays below 0.1.
LEARNED = 0.3
_CONDITIONED = Gains(pose=0.2, face=0.0, velocity=0.2, acceleration=0.05)


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


def probe(settings: TrialSettings, corpus: PackedCorpus) -> float:
    """How far below the CTC floor the loss of a few utterances comes, as a fraction of the floor; nan if it breaks.

    Eight utterances are one batch, 60 times, without warm-up and augmentation.
    """
    rows = choose_samples(corpus, SAMPLES, settings.model.time_stride, settings.training.seed)
    few = SampledCorpus.of(corpus, {"train": rows, "dev": rows[:1]})
    update: dict[str, object] = {"epochs": STEPS, "batch_size": SAMPLES, "final_decay": 0.0, "augment": "none"}
    training = settings.training.model_copy(update=update)
    session = TrainingSession(settings.model_copy(update={"training": training}), few)
    reached = float("nan")
    for _ in range(STEPS):
        reached = session.run_epoch()["loss_below_floor"]
    return reached


def probe_changes(settings: TrialSettings, corpus: PackedCorpus) -> list[Finding]:
    """What keeps a recipe from learning a few utterances: nothing if it does, else the changes that help, best first.

    Where none helps there is one finding that says so.
    """
    plain = settings.tuned.model_copy(update={"warmup_epochs": 0})
    settings = settings.model_copy(update={"tuned": plain})
    own = probe(settings, corpus)
    if own >= LEARNED:
        return []
    seen = f"8 utterances, 60 steps: the loss came {own:.0%} of the way from the CTC floor to 0"
    found = []
    for change in _changes(settings):
        reached = probe(_changed(settings, change), corpus)
        if reached >= LEARNED:
            evidence = f"{seen}; with {change.mend} {reached:.0%}"
            found.append((reached, Finding(change.cause, 0.6, evidence, change.mend)))
    if not found:
        told = f"{seen}; no other rate, dropout, conditioning or freezing that was tried changes that"
        return [Finding("unknown", 0.55, told, "glosstune overfit, which takes longer, tells more")]
    found.sort(key=lambda pair: -pair[0])
    # The best change is the likeliest cause; others help because they soften the same fault.
    return [
        Finding(one.cause, max(0.3, 0.9 - 0.15 * place), one.evidence, one.mend) for place, (_, one) in enumerate(found)
    ]


def _changes(settings: TrialSettings) -> Iterator[Change]:
    rate = settings.learning_rate
    for factor, cause in ((0.1, "learning rate too high"), (10.0, "learning rate too low")):
        for times in (1, 2):
            changed = rate * factor**times
            mend = f"space.learning_rate={changed:.2g}"
            yield Change(cause, mend, {"tuned": {"learning_rate": changed}})
    if settings.tuned.dropout > 0.1:
        yield Change("dropout too high", "space.dropout=0.1", {"tuned": {"dropout": 0.1}})
    gains = settings.corpus.gains
    if gains.face > 0 or gains.acceleration > _CONDITIONED.acceleration:
        mend = "corpus.gains={face: 0, acceleration: 0.05, velocity: 0.2, pose: 0.2}"
        yield Change("noise drowns the hands", mend, {"corpus": {"gains": _CONDITIONED, "noise_floor": 0.05}})


def _changed(settings: TrialSettings, change: Change) -> TrialSettings:
    sections = {name: getattr(settings, name).model_copy(update=values) for name, values in change.update.items()}
    return settings.model_copy(update=sections)
