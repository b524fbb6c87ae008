"""Say of a trial why it should stop by itself, and of a sweep why it should end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from glosstune.results.reading.events import PATIENCE
from glosstune.search.config.settings import SearchSettings, StoppingSettings
from glosstune.search.scheduler.ranking import Metrics

# One-sided 95 %.
_CONFIDENCE = 1.645


@dataclass(frozen=True)
class Stop:
    """The rule that ends a trial or a sweep, and the reason in words."""

    rule: str
    reason: str


def judge_trial(curve: Sequence[Metrics], grace_epochs: float, settings: StoppingSettings) -> Stop | None:
    """The rule that a trial has broken, if any.

    A trial whose loss has left the CTC floor learns, even while its WER stands at 100 %: many good ones do so for
    epochs. Neither is one stuck whose loss cannot be compared with the floor (a corpus of one gloss has none).

    Args:
        curve: the metrics of every epoch so far, in order; None stands for what was not finite.
        grace_epochs: epochs at the start that no rule but divergence looks at.
    """
    last, first = curve[-1], curve[0]
    epoch = len(curve)
    loss, start = last.get("train_loss"), first.get("train_loss")
    if loss is None:
        return Stop("diverged", f"diverged: the training loss of epoch {epoch} is no finite number")
    if settings.divergence and start and start > 0 and loss > settings.divergence * start:
        rule = f"over {settings.divergence:g} times that of epoch 1, {start:.3g}"
        return Stop("diverged", f"diverged: training loss {loss:.3g} at epoch {epoch}, {rule}")
    window = settings.window_epochs
    if epoch < grace_epochs + window:
        return None
    recent = curve[-window:]
    limits = [_upper_limit(metrics) for metrics in recent]
    if any(limit is None or limit >= settings.margin for limit in limits):
        return None
    span = f"for {window} epochs up to {epoch}"
    learned = f"loss surely less than {settings.margin:.0%} below the CTC floor {span}"
    if settings.blank_ratio is not None and all(_at_least(m, "blank_ratio", settings.blank_ratio) for m in recent):
        return Stop("blank collapse", f"blank collapse: {last['blank_ratio']:.1%} of the output blank, {learned}")
    if settings.stuck_wer is not None and all(_at_least(m, "wer", settings.stuck_wer) for m in recent):
        return Stop("stuck", f"stuck: WER {last['wer']:.1%}, {learned}")
    return None


def judge_sweep(
    settings: SearchSettings, *, best_wer: float, used_s: float, epochs: int, since_best: int
) -> Stop | None:
    """The rule that ends a sweep before its samples do, if any.

    Args:
        best_wer: the lowest of any epoch so far; infinity before the first.
        used_s: seconds that the sweep has run for, all drivers together.
        epochs: of all trials together.
        since_best: trials that have been judged at a rung or ended since one of them lowered the metric.
    """
    if settings.stop_at_target and best_wer < settings.target:
        return Stop("target", f"target of {settings.target:.0%} reached")
    if settings.time_budget_min is not None and used_s >= settings.time_budget_min * 60:
        return Stop("time budget", f"time budget of {settings.time_budget_min:g} min used up")
    if settings.epoch_budget is not None and epochs >= settings.epoch_budget:
        return Stop("epoch budget", f"epoch budget of {settings.epoch_budget} used up")
    if settings.patience_trials is not None and since_best >= settings.patience_trials:
        return Stop(PATIENCE, f"no better {settings.metric} from {since_best} trials in a row")
    return None


def _upper_limit(metrics: Metrics) -> float | None:
    """How far the loss may be below the floor at most, as a fraction of the floor."""
    below, error = metrics.get("loss_below_floor"), metrics.get("loss_below_floor_se")
    return None if below is None else below + _CONFIDENCE * (error or 0.0)


def _at_least(metrics: Mapping[str, float | None], name: str, level: float) -> bool:
    value = metrics.get(name)
    return value is not None and value >= level
