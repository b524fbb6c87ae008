"""The sections of a sweep about the search itself: suggestions, rungs, stopping, resources."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from glosstune.results.reading.objectives import check_objectives
from glosstune.spaces.parameters import Scalar
from glosstune.spaces.parts import named_among
from glosstune.trainables.settings import Section

# What ``search.prior`` may be beside folders.
PriorName = Literal["packaged", "none"]
# As ``results.reading.objectives`` has them.
Metric = Literal["wer", "train_loss", "dev_loss"]
Objective = Literal[Metric, "parameters", "size_mb", "latency_ms", "dev_frames_per_s"]


def _share(amount: float) -> float:
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


class SearchSettings(Section):
    """How many trials there are, who suggests them, what they are ranked by, and when to end; metrics are minimised.

    ``start_points`` are tried first: ``strategies`` is one for each strategy of the space, with the figures of
    its author (see ``spaces.start_points``), after one of the ``prior``. ``warm_start`` are folders of earlier sweeps
    that the sampler also learns from. ``prior`` says whose best trials half of the first ones are drawn like: those of
    the sweeps that are ``packaged``, of folders of earlier sweeps, which may be of another corpus and space, or of
    ``none``. The sweep ends early at the ``target`` (``stop_at_target``), when ``time_budget_min`` or ``epoch_budget``
    (epochs of all trials together) is used up, or when ``patience_trials`` trials in a row have not lowered the best
    metric. ``sampler`` may be any of Optuna's, or one of one's own. With several ``objectives``, the metric and then
    costs such as ``parameters``, the search is for the trials that no other one beats in all of them.
    """

    samples: PositiveInt = 8
    sampler: Annotated[str, AfterValidator(named_among(("tpe", "random")))] = "tpe"
    seed: int = Field(default=0, ge=0, lt=2**32)
    start_points: Literal["strategies"] | tuple[dict[str, Scalar], ...] = "strategies"
    warm_start: tuple[Annotated[Path, AfterValidator(Path.absolute)], ...] = ()
    prior: PriorName | tuple[Annotated[Path, AfterValidator(Path.absolute)], ...] = "packaged"
    metric: Metric = "wer"
    objectives: Annotated[tuple[Objective, ...], AfterValidator(_objectives)] = Field(
        default=("wer",),
        description="what is weighed against each other: the metric, then what the recogniser costs",
    )
    target: NonNegativeFloat = 0.30
    stop_at_target: bool = False
    time_budget_min: PositiveFloat | None = None
    epoch_budget: PositiveInt | None = None
    patience_trials: PositiveInt | None = None

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
    """Where trials are compared, and what happens there: a rung lies at the first one times each power of reduction.

    ``promote``: a trial waits at a rung, and whenever a slot is free the best of the highest rung that has one
    among its best 1/reduction goes on. ``stop``: a trial goes on at once if it is among the best 1/reduction of
    those that came before it, else it ends. ``none``: every trial trains to its end. ``lead``, with ``promote``: once
    past its first rung the best trial of all need not wait, up to this share of all epochs; 0 lets it wait like the
    others. ``resource`` says what is counted, epochs from ``min_epochs`` or a trial's own seconds from
    ``min_seconds``. With ``spare_warmup`` a trial skips the rungs that lie within ``min_epochs`` and its own warm-up;
    without, its loss must speak for it there.
    """

    kind: Literal["promote", "stop", "none"] = "promote"
    lead: float = Field(default=0.85, ge=0.0, lt=1.0)
    resource: Literal["epochs", "seconds"] = "epochs"
    min_epochs: PositiveInt = 3
    min_seconds: PositiveFloat | None = None
    reduction: int = Field(default=3, ge=2)
    spare_warmup: bool = False

    @model_validator(mode="after")
    def _seconds_have_a_start(self) -> Self:
        if (self.resource == "seconds") != (self.min_seconds is not None):
            raise ValueError("must give min_seconds, the first rung, exactly where resource is 'seconds'")
        return self


class StoppingSettings(Section):
    """When a trial is stopped for what it does itself, whatever its rivals do; null switches a rule off.

    ``stuck_wer``: past its grace its WER has been at least this for ``window_epochs``, while its training loss was
    not surely more than ``margin`` (a fraction of the CTC floor) below the floor. ``blank_ratio``: at least this
    share of its output was blank, and its loss the same. ``divergence``: its training loss is more than this
    many times that of its first epoch; a loss that is no number has diverged in any case. ``rules`` are functions of
    one's own, which are asked after these (see ``search.scheduler.stopping.Rule``).
    """

    stuck_wer: NonNegativeFloat | None = 0.97
    blank_ratio: NonNegativeFloat | None = Field(default=0.95, le=1.0)
    window_epochs: PositiveInt = 3
    margin: NonNegativeFloat = Field(default=0.02, le=1.0)
    divergence: PositiveFloat | None = Field(default=3.0, gt=1.0)
    rules: tuple[Annotated[str, AfterValidator(named_among(()))], ...] = ()


class ResourceSettings(Section):
    """What one trial occupies, and how many run at a time (None: as many as fit).

    ``gpu`` None is the share that its memory needs where there are GPUs (see ``search.nodes.gpu_share``), else 0.
    """

    cpu: Annotated[PositiveFloat, AfterValidator(_share)] = 1.0
    gpu: Annotated[NonNegativeFloat, AfterValidator(_share)] | None = None
    concurrent: PositiveInt | None = None
