"""The overfitting test: whether a model can learn a handful of utterances by heart, which every sound one can."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from glosstune.results.reading.epoch_metrics import PLAIN
from glosstune.spaces.errors import CorpusError
from glosstune.trainables.corpora.store import PackedCorpus, SampledCorpus
from glosstune.trainables.ctc.floor import infeasible_rows
from glosstune.trainables.settings import (
    CorpusSettings,
    ModelSettings,
    Section,
    TrainingSettings,
    TrialSettings,
    TunedSettings,
    Unit,
)
from glosstune.trainables.training.session import TrainingSession

LARGE_GRADIENT = 100.0
LEARNED_LOSS = 0.1


class OverfitSettings(Section):
    """How the test trains: all samples are one batch, so an epoch is one step."""

    samples: PositiveInt = 5
    epochs: PositiveInt = 2000
    optimizer: Literal["adam", "adamw"] = "adam"
    learning_rate: float = Field(default=1e-3, gt=0.0, le=1e3)
    warmup_epochs: int = 50
    dropout: Unit = 0.1
    weight_decay: NonNegativeFloat = 0.0
    clip_norm: PositiveFloat = 1.0
    seed: int = 0


# A, B and C are what its author tries next when the first fails.
PRESETS: Mapping[str, OverfitSettings] = {
    "default": OverfitSettings(),
    "A": OverfitSettings(learning_rate=5e-4, warmup_epochs=100, dropout=0.05),
    "B": OverfitSettings(optimizer="adamw", weight_decay=0.01),
    "C": OverfitSettings(samples=3, dropout=0.0, epochs=4000),
}


@dataclass(frozen=True)
class OverfitResult:
    """What the test came to.

    Attributes:
        passed: loss below 0.1 and WER 0 at one epoch.
        curve: a row an epoch, with every one of ``epoch_metrics.METRICS``; ``wer`` is of the samples themselves.
        floor: CTC floor of the samples, nats a gloss.
        utterances: reference and hypothesis of each sample at the last epoch.
        warnings: what happened on the way that should not.
        parameters: of the model.
    """

    settings: OverfitSettings
    passed: bool
    curve: pd.DataFrame
    floor: float
    utterances: pd.DataFrame
    warnings: tuple[str, ...]
    parameters: int

    @property
    def epochs(self) -> int:
        """How many it took, or were tried."""
        return len(self.curve)


def overfit(
    model: ModelSettings,
    source: CorpusSettings,
    corpus: PackedCorpus,
    settings: OverfitSettings,
    listen: Callable[[Mapping[str, float]], None] = lambda metrics: None,
) -> OverfitResult:
    """Train a fresh model on a few training utterances until it knows them by heart or its epochs are used up.

    Args:
        source: what ``corpus`` was packed from; says how its features are conditioned.
        listen: hears the metrics of every epoch.

    Raises:
        CorpusError: too few utterances that CTC can align at the model's time stride.
    """
    rows = choose_samples(corpus, settings.samples, model.time_stride, settings.seed)
    # Training annotations against what was learned from them: what dev is scored by has no say in it.
    few = replace(SampledCorpus.of(corpus, {"train": rows, "dev": rows}), scoring=PLAIN)
    session = TrainingSession(
        TrialSettings(
            model=model,
            corpus=source,
            training=TrainingSettings(
                epochs=settings.epochs,
                batch_size=settings.samples,
                optimizer=settings.optimizer,
                weight_decay=settings.weight_decay,
                clip_norm=settings.clip_norm,
                final_decay=0.0,
                seed=settings.seed,
            ),
            tuned=TunedSettings(
                learning_rate=settings.learning_rate,
                warmup_epochs=settings.warmup_epochs,
                dropout=settings.dropout,
            ),
        ),
        few,
    )
    curve: list[dict[str, float]] = []
    passed = False
    while not passed and session.epoch < settings.epochs:
        curve.append(session.run_epoch())
        listen(curve[-1])
        passed = curve[-1]["train_loss"] < LEARNED_LOSS and curve[-1]["wer"] == 0
    frame = pd.DataFrame(curve)
    parameters = sum(parameter.numel() for parameter in session.model.parameters())
    hypotheses = session.score("dev")
    return OverfitResult(settings, passed, frame, session.floor, hypotheses, _warnings(frame), parameters)


def choose_samples(
    corpus: PackedCorpus, count: int, time_stride: int, seed: int, *, at_least: int | None = None
) -> tuple[int, ...]:
    """Different training utterances at random that CTC can align; CorpusError if there are not ``at_least`` so many.

    Args:
        at_least: default ``count``.
    """
    bad = set(infeasible_rows(corpus, "train", time_stride))
    rows = [row for row in corpus.rows("train") if row not in bad]
    needed = count if at_least is None else at_least
    if len(rows) < needed:
        rule = f"{len(rows)} training utterances can be aligned at model.time_stride {time_stride}, {needed} are needed"
        raise CorpusError(f"{corpus.folder}: only {rule}; lower the stride or --samples")
    chosen = np.random.default_rng(seed).choice(rows, size=min(count, len(rows)), replace=False)
    return tuple(int(row) for row in sorted(chosen))


def _warnings(curve: pd.DataFrame) -> tuple[str, ...]:
    told = []
    broken = curve[curve["nonfinite_steps"] > 0]
    if len(broken):
        first = int(broken["epoch"].iloc[0])
        told.append(f"NaN or infinity in {len(broken)} of {len(curve)} steps, first at epoch {first}")
    large = curve[curve["grad_norm"] > LARGE_GRADIENT]
    if len(large):
        highest = large.sort_values("grad_norm").iloc[-1]
        told.append(
            f"gradient norm above {LARGE_GRADIENT:g} in {len(large)} of {len(curve)} steps, highest "
            f"{highest['grad_norm']:.0f} at epoch {highest['epoch']:.0f}"
        )
    last = curve.iloc[-1]
    if last["wer"] > 0 and last["loss_below_floor"] < 0.02:
        told.append("the loss never left the CTC floor: the model makes no use of its input")
    elif last["wer"] > 0 and last["blank_ratio"] > 0.95:
        told.append(f"blank collapse: {last['blank_ratio']:.1%} of the output is blank")
    return tuple(told)
