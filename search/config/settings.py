"""The sections of a sweep about the search itself: suggestions, rungs, stopping, resources."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from glosstune.results.reading.objectives import check_objectives
from glosstune.spaces.checked import part_among
from glosstune.spaces.parameters import Scalar
from glosstune.trainables.settings import Section, Seed, Share, Unit

# What ``search.prior`` may be beside folders.
PriorName = Literal["packaged", "none"]
# As ``results.reading.objectives`` has them.
Metric = Literal["wer", "train_loss", "dev_loss"]
Objective = Literal[Metric, "parameters", "size_mb", "latency_ms", "dev_frames_per_s"]


def _single(amount: float) -> float:
    if amount > 1 and amount != int(amount):
        raise ValueError("must be a whole number above 1, because Ray shares out single ones only")
    return amount


def _objectives(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise ValueError("must name the metric at least")
    try:
        return check_objectives(names)
    except ValueError as error:
        raise ValueError(str(error).partition(": ")[2]) from None


def _or_a_path(schema: dict[str, Any]) -> None:
    schema["anyOf"].append({"type": "string", "format": "path"})


class SearchSettings(Section):
    """How many trials there are, who suggests them, what they are ranked by, and when to end; metrics are minimised."""

    samples: PositiveInt = Field(default=8, le=1_000_000, description="Trials of the sweep.")
    sampler: Annotated[str, part_among("tpe", "random")] = Field(
        default="tpe",
        description="Who suggests trials: Optuna's TPE, chance, or any other sampler, of Optuna or your own.",
    )
    seed: Seed = Field(default=0, description="Seed of suggestions.")
    start_points: Literal["strategies"] | tuple[dict[str, Scalar], ...] = Field(
        default="strategies",
        description="Configurations to try first; strategies is one for each strategy of the space, [] none.",
    )
    warm_start: tuple[Annotated[Path, AfterValidator(Path.absolute)], ...] = Field(
        default=(),
        description="Folders of earlier sweeps over the same space, whose trials the sampler learns from too.",
    )
    prior: PriorName | tuple[Annotated[Path, AfterValidator(Path.absolute)], ...] = Field(
        default="packaged",
        json_schema_extra=_or_a_path,  # which is read as a list of one
        description="Other sweeps, whose best trials half of the first ones are drawn near; or their folders.",
    )
    metric: Metric = Field(default="wer", description="What trials are ranked by; lowest first.")
    objectives: Annotated[tuple[Objective, ...], AfterValidator(_objectives)] = Field(
        default=("wer",),
        description="What is weighed against each other: the metric, then what the recogniser costs.",
    )
    target: Share = Field(default=0.30, description="WER to come below, as a fraction; see stop_at_target.")
    stop_at_target: bool = Field(default=False, description="Ends the sweep once its best WER is below target.")
    time_budget_min: PositiveFloat | None = Field(
        default=None, description="Minutes after which the sweep ends; packing and pretraining are not counted."
    )
    epoch_budget: PositiveInt | None = Field(
        default=None, description="Epochs of all trials together, after which the sweep ends."
    )
    patience_trials: PositiveInt | None = Field(
        default=None, description="Trials in a row without a better metric, after which the sweep ends."
    )
    keep_checkpoints: PositiveInt | None = Field(
        default=10,
        description="Best trials that ended, and that wait at a rung, which keep their checkpoints; null is all.",
    )

    @model_validator(mode="after")
    def _metric_is_the_first_objective(self) -> Self:
        # Whoever names one of the two means both. As ``Sweep`` does it: the section is frozen for everybody else.
        if "objectives" not in self.model_fields_set:
            object.__setattr__(self, "objectives", (self.metric,))
        elif "metric" not in self.model_fields_set:
            object.__setattr__(self, "metric", self.objectives[0])
        elif self.objectives[0] != self.metric:
            rule = f"must have its metric, {self.metric}, as the first of its objectives, {', '.join(self.objectives)}"
            raise ValueError(f"{rule}; set both search.metric and search.objectives")
        return self

    @property
    def costs(self) -> Sequence[str]:
        """The objectives beside the metric."""
        return self.objectives[1:]


class HalvingSettings(Section):
    """Where trials are compared: a rung lies at the first one times each power of reduction, below all epochs.

    ``promote``: a trial waits at a rung, and whenever a slot is free the best of the highest rung that has one
    among its best 1/reduction goes on. ``stop``: a trial goes on at once if it is among the best 1/reduction of
    those that came before it, else it ends. ``none``: every trial trains to its end.
    """

    kind: Literal["promote", "stop", "none"] = Field(
        default="promote",
        description="At a rung a trial waits to be promoted, or goes on or stops at once; none has no rungs.",
    )
    lead: Unit = Field(
        default=0.85,
        description="Share of all epochs up to which the best trial need not wait at rungs; 0 lets it wait.",
    )
    resource: Literal["epochs", "seconds"] = Field(
        default="epochs", description="What rungs count: epochs, or a trial's own training seconds."
    )
    min_epochs: PositiveInt = Field(
        default=3, description="Epoch of the first rung; there is no rung unless it is below training.epochs."
    )
    min_seconds: PositiveFloat | None = Field(
        default=None, description="Seconds of the first rung, where resource is seconds."
    )
    reduction: int = Field(
        default=3, ge=2, description="One of so many trials goes on at a rung; rungs lie so many times apart."
    )
    spare_warmup: bool = Field(
        default=False, description="A trial skips the rungs within min_epochs and its own warm-up."
    )

    @model_validator(mode="after")
    def _seconds_have_a_start(self) -> Self:
        if (self.resource == "seconds") != (self.min_seconds is not None):
            raise ValueError("must give min_seconds, the first rung, exactly where resource is 'seconds'")
        return self


class StoppingSettings(Section):
    """When a trial is stopped for what it does itself, whatever its rivals do; null switches a rule off.

    WER and blanks count past a trial's grace, for ``window_epochs``, and only while its training loss is not surely
    more than ``margin`` below the CTC floor.
    """

    stuck_wer: Share | None = Field(
        default=0.97, description="A trial is stuck whose WER stays at least so high, as a fraction."
    )
    blank_ratio: Share | None = Field(
        default=0.95, description="A trial has collapsed that writes blanks for so much of its output."
    )
    window_epochs: PositiveInt = Field(default=3, description="Epochs for which stuck_wer or blank_ratio has to hold.")
    margin: Share = Field(
        default=0.02, description="How far below the CTC floor a loss speaks for a trial, as a fraction of it."
    )
    divergence: PositiveFloat | None = Field(
        default=3.0,
        gt=1.0,
        description="A trial diverges whose training loss is more than this many times its first epoch's.",
    )
    rules: tuple[Annotated[str, part_among()], ...] = Field(
        default=(), description="Stopping rules of your own, which are asked after these."
    )


class ResourceSettings(Section):
    """What one trial occupies, and how many run at a time."""

    cpu: Annotated[PositiveFloat, AfterValidator(_single)] = Field(
        default=1.0, description="Cores, and torch threads, of a trial."
    )
    gpu: Annotated[NonNegativeFloat, AfterValidator(_single)] | None = Field(
        default=None, description="Share of a GPU of a trial; null finds what its memory needs."
    )
    concurrent: PositiveInt | None = Field(default=None, description="Trials at a time; null is as many as fit.")
    hang_min: PositiveFloat | None = Field(
        default=60.0,
        description="Minutes without a batch (on Linux also of a set-up that computes nothing) after which a trial's "
        "process starts anew; null never.",
    )
