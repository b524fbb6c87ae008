"""Say of a trial why it should stop by itself, and of a sweep why it should end."""

import math
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass

from glosstune.results.reading.events import (
    EPOCH_RESERVE,
    FINISHED,
    HALVING,
    INTERRUPT,
    PATIENCE,
    RESERVES,
    TIME_RESERVE,
    USER,
)
from glosstune.search.config.settings import SearchSettings, StoppingSettings
from glosstune.search.scheduler.ranking import Metrics
from glosstune.spaces.errors import SettingError, shown, told
from glosstune.spaces.parts import load_part

# What a trial can end or wait by besides its own rules.
_OURS = {FINISHED, HALVING, INTERRUPT, PATIENCE, *RESERVES, "error", "process died", USER}
# One-sided 95 %.
_CONFIDENCE = 1.645
# The share of a budget that is kept for the best trial, at most: to explore with the rest is worth more than its end.
_MOST_KEPT = 0.25


@dataclass(frozen=True)
class Stop:
    """The rule that ends a trial or a sweep, and the reason in words.

    Attributes:
        faulty: whether the trial ranks behind all others from then on, whatever it scored.
    """

    rule: str
    reason: str
    faulty: bool = False


# The curve (the metrics of every epoch so far, in order; None stands for what was not finite), the epochs at the start
# that a trial is to be spared for, and the settings.
Rule = Callable[[Sequence[Metrics], float, StoppingSettings], Stop | None]


def diverged(curve: Sequence[Metrics], grace_epochs: float, settings: StoppingSettings) -> Stop | None:
    """The training loss is no number, or far above where it began."""
    epoch, loss, start = len(curve), curve[-1].get("train_loss"), curve[0].get("train_loss")
    if loss is None:
        return Stop("diverged", f"diverged: the training loss of epoch {epoch} is no finite number", faulty=True)
    if settings.divergence and start and start > 0 and loss > settings.divergence * start:
        rule = f"over {settings.divergence:g} times that of epoch 1, {start:.3g}"
        return Stop("diverged", f"diverged: training loss {loss:.3g} at epoch {epoch}, {rule}", faulty=True)
    return None


def blank_collapse(curve: Sequence[Metrics], grace_epochs: float, settings: StoppingSettings) -> Stop | None:
    """The model writes next to nothing and has learned nothing."""
    recent = _unlearned(curve, grace_epochs, settings)
    if not recent or settings.blank_ratio is None or not _at_least(recent, "blank_ratio", settings.blank_ratio):
        return None
    blank = f"{curve[-1]['blank_ratio']:.1%} of the output blank"
    return Stop("blank collapse", f"blank collapse: {blank}, {_nothing_learned(curve, settings)}", faulty=True)


def stuck(curve: Sequence[Metrics], grace_epochs: float, settings: StoppingSettings) -> Stop | None:
    """Nearly every gloss is wrong and the model has learned nothing."""
    recent = _unlearned(curve, grace_epochs, settings)
    if not recent or settings.stuck_wer is None or not _at_least(recent, "wer", settings.stuck_wer):
        return None
    return Stop("stuck", f"stuck: WER {curve[-1]['wer']:.1%}, {_nothing_learned(curve, settings)}", faulty=True)


# In the order in which they are asked; those of ``stopping.rules`` follow.
RULES: tuple[Rule, ...] = (diverged, blank_collapse, stuck)


def judge_trial(curve: Sequence[Metrics], grace_epochs: float, settings: StoppingSettings) -> Stop | None:
    """What the first rule says that a trial has broken, if any.

    Raises:
        SettingError: a rule of one's own cannot be imported, fails, or gives anything but a Stop.
    """
    for rule in RULES:
        if (stop := rule(curve, grace_epochs, settings)) is not None:
            return stop
    for name in settings.rules:
        own = load_part(name, "stopping.rules")
        try:
            stop = own([dict(metrics) for metrics in curve], grace_epochs, settings)
        except (Exception, SystemExit) as error:  # somebody else's code
            failed = f"{name} failed on a trial of {len(curve)} epochs ({told(error)})"
            raise SettingError(failed, key="stopping.rules") from error
        if stop is None:
            continue
        wanted = ""
        if type(stop) is not Stop or [*map(type, astuple(stop))] != [str, str, bool]:
            wanted = "None, or a Stop of two texts and a bool"
        elif stop.rule in _OURS or not stop.rule.strip() or not (stop.rule + stop.reason).isprintable():
            wanted = "a Stop with printable words of its own"
        if wanted:
            raise SettingError(f"{name} must give {wanted}; it gave {shown(stop)}", key="stopping.rules")
        return stop
    return None


def judge_sweep(
    settings: SearchSettings,
    *,
    best_wer: float,
    used_s: float,
    epochs: int,
    since_best: int,
    best: int | None = None,
    needs_s: float = 0.0,
    needs_epochs: int = 0,
) -> Stop | None:
    """The rule that ends a sweep before its samples do, if any.

    What is left of a budget is kept for the best trial once that needs all of it to come to its end.

    Args:
        best_wer: the lowest of any epoch so far; infinity before the first.
        used_s: seconds that the sweep has run for, all drivers together.
        epochs: of all trials together.
        since_best: trials that have been judged at a rung or ended since one of them lowered the metric, or moved the
            front of several objectives.
        best: the best trial, if it has learned something and has epochs left.
        needs_s: seconds that these epochs will take.
        needs_epochs: how many they are.
    """
    if settings.stop_at_target and best_wer < settings.target:
        return Stop("target", f"target of {settings.target:.0%} reached")
    if settings.time_budget_min is not None and used_s >= settings.time_budget_min * 60:
        return Stop("time budget", f"time budget of {settings.time_budget_min:g} min used up")
    if settings.epoch_budget is not None and epochs >= settings.epoch_budget:
        return Stop("epoch budget", f"epoch budget of {settings.epoch_budget} used up")
    if settings.patience_trials is not None and since_best >= settings.patience_trials:
        sought = f"trade-off of {', '.join(settings.objectives)}" if settings.costs else settings.metric
        return Stop(PATIENCE, f"no better {sought} from {since_best} trials in a row")
    if best is None:
        return None
    kept = f"is kept for trial {best}, the best"
    budget_s = (settings.time_budget_min or math.inf) * 60
    if used_s >= budget_s - min(needs_s, _MOST_KEPT * budget_s):
        return Stop(TIME_RESERVE, f"what is left of {settings.time_budget_min:g} min {kept}")
    budget = settings.epoch_budget or math.inf
    if epochs >= budget - min(needs_epochs, _MOST_KEPT * budget):
        return Stop(EPOCH_RESERVE, f"what is left of {settings.epoch_budget} epochs {kept}")
    return None


def _unlearned(curve: Sequence[Metrics], grace_epochs: float, settings: StoppingSettings) -> Sequence[Metrics] | None:
    """The last epochs, where the loss has surely not left the CTC floor in any of them.

    A trial whose loss has left it learns, even while its WER stands at 100 %: many good ones do so for epochs.
    Neither is one stuck whose loss cannot be compared with the floor (a corpus of one gloss has none).
    """
    recent = curve[-settings.window_epochs :]
    if len(curve) < grace_epochs + settings.window_epochs:
        return None
    limits = [_upper_limit(metrics) for metrics in recent]
    return None if any(limit is None or limit >= settings.margin for limit in limits) else recent


def _nothing_learned(curve: Sequence[Metrics], settings: StoppingSettings) -> str:
    span = f"for {settings.window_epochs} epochs up to {len(curve)}"
    return f"loss surely less than {settings.margin:.0%} below the CTC floor {span}"


def _upper_limit(metrics: Metrics) -> float | None:
    """How far the loss may be below the floor at most, as a fraction of the floor."""
    below, error = metrics.get("loss_below_floor"), metrics.get("loss_below_floor_se")
    return None if below is None else below + _CONFIDENCE * (error or 0.0)


def _at_least(curve: Sequence[Metrics], name: str, level: float) -> bool:
    values = [metrics.get(name) for metrics in curve]
    return all(value is not None and value >= level for value in values)
