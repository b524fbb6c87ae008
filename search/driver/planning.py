"""Propose how much of a search fits into a budget: trials, epochs, rungs and how many run at a time."""

import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from ruamel.yaml import YAML

from glosstune.search.config.errors import Say
from glosstune.search.config.loading import load_sweep
from glosstune.search.config.sections import AUTO
from glosstune.search.config.sweep import Sweep
from glosstune.search.driver.weights import list_plans, with_weights
from glosstune.search.nodes.gpu_share import MOST_TRIALS
from glosstune.spaces import SettingError
from glosstune.spaces.files.atomic import write_whole
from glosstune.spaces.parameters import listed
from glosstune.trainables import TrainingSession
from glosstune.trainables.corpora import pack_corpus

# Fewer would make a sweep of one rung a lottery.
_FEWEST_SAMPLES = 6
_SHORT_EPOCH_S = 30.0


@dataclass(frozen=True)
class Plan:
    """What fits.

    Attributes:
        samples: trials.
        epochs: of a full trial.
        min_epochs: where the first rung lies.
        reduction: between rungs.
        slots: trials at a time.
        hours: that it should take.
    """

    samples: int
    epochs: int
    min_epochs: int
    reduction: int
    slots: int
    hours: float

    @property
    def rungs(self) -> list[int]:
        """Epochs at which trials are compared."""
        count = 0
        while self.min_epochs * self.reduction**count < self.epochs:
            count += 1
        return [self.min_epochs * self.reduction**rung for rung in range(count)]

    def expected(self, rung: int) -> float:
        """Trials that go beyond a rung, if they go on as promised: the best 1/reduction of each, one at least."""
        return max(1.0, self.samples / float(self.reduction ** (rung + 1)))

    @property
    def trial_epochs(self) -> float:
        """Epochs of all trials together."""
        rungs = [*self.rungs, self.epochs]
        rest = ((after - before) * self.expected(rung) for rung, (before, after) in enumerate(pairwise(rungs)))
        return self.samples * rungs[0] + sum(rest)


def propose(
    *, epoch_s: float, hours: float, slots: int, epochs: int, reduction: int, warmup_epochs: float = 0.0
) -> Plan:
    """The most trials that fit, and where there would be too few to compare, shorter ones.

    Args:
        epoch_s: seconds of a mean epoch.
        hours: of the clock.
        slots: trials at a time.
        epochs: of a full trial, as wanted.
        warmup_epochs: mean of the space; a trial is not judged before it has warmed up.

    Raises:
        SettingError: not even the fewest trials of two epochs fit.
    """
    budget = hours * 3600 * slots / epoch_s
    for length in range(epochs, 1, -1):
        # Three comparisons where there is room for them, the first after two epochs and the mean warm-up at least.
        first = max(2 + math.ceil(warmup_epochs), math.ceil(length / reduction**3))
        plan = Plan(0, length, min(first, length), reduction, slots, hours)
        needed = max(_FEWEST_SAMPLES, reduction ** len(plan.rungs))
        samples = _most_samples(plan, budget)
        if samples >= needed:
            return Plan(samples, length, plan.min_epochs, reduction, slots, hours)
    rule = (
        f"{hours:g} h are not enough: an epoch takes {epoch_s:.3g} s, and {_FEWEST_SAMPLES} trials of 2 are the least"
    )
    raise SettingError(rule, key="--hours")


def make_plan(
    path: Path | None,
    overrides: Sequence[str],
    hours: float,
    gpus: float,
    epoch_s: float | None,
    write: bool,
    say: Say,
) -> Plan:
    """Time the strategies of a sweep on this machine, propose a plan, and write it into the file if asked."""
    for name, value in (("--hours", hours), ("--seconds-per-epoch", epoch_s), ("--gpus", gpus or None)):
        if value is not None and not 0 < value < math.inf:
            raise SettingError(f"{name}: must be a number above 0; got {value:g}")
    if write and (path is None or not path.exists()):
        raise SettingError("--write: name a sweep file of your own; a packaged sweep cannot be changed")
    sweep = load_sweep(path, overrides)
    if "epochs" in sweep.space:
        raise SettingError("is fixed there, so no plan can change it; set training.epochs instead", key="space.epochs")
    if sweep.halving.kind == "none" or sweep.halving.resource != "epochs":
        rule = "plans count rungs in epochs; leave out halving.resource and halving.min_seconds, and halving.kind=none"
        raise SettingError(rule, key="halving")
    slots = _slots(sweep, gpus)
    if epoch_s is None:
        epoch_s = _mean_epoch_s(sweep, say)
    definitions = sweep.space.get("warmup_epochs", ())
    warmups = [float(value or 0) for definition in definitions for value in listed(definition)]  # bounds, or options
    warmup = sum(warmups) / len(warmups) if warmups else 0.0
    plan = propose(
        epoch_s=epoch_s,
        hours=hours,
        slots=slots,
        epochs=sweep.training.epochs,
        reduction=sweep.halving.reduction,
        warmup_epochs=warmup,
    )
    for line in describe_plan(plan, epoch_s):
        say(line)
    if write:
        assert path is not None
        write_plan(plan, path)
        say(f"{path}: written")
    return plan


def describe_plan(plan: Plan, epoch_s: float) -> list[str]:
    """The plan as lines of text: the settings, and what is expected of them."""
    lines = [f"{key}: {value}" for key, value in _settings(plan).items()]
    reach = plan.samples
    for rung, epoch in enumerate(plan.rungs):
        lines.append(f"rung {rung} at epoch {epoch}: {reach:.0f} trials come, about {plan.expected(rung):.0f} go on")
        reach = round(plan.expected(rung))
    hours = plan.trial_epochs * epoch_s / plan.slots / 3600
    lines.append(f"about {reach:.0f} reach epoch {plan.epochs}; {plan.trial_epochs:.0f} epochs in all")
    lines.append(f"{hours:.2g} h at {epoch_s:.3g} s an epoch and {plan.slots} trials at a time, starts not counted")
    return lines


def write_plan(plan: Plan, path: Path) -> None:
    """Put the plan into a sweep file, whose comments and order stay."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 120
    tree = yaml.load(path.read_text(encoding="utf-8"))
    for key, value in _settings(plan).items():
        section, name = key.split(".")
        tree.setdefault(section, {})[name] = value

    def dump(partial: Path) -> None:
        with partial.open("w", encoding="utf-8") as file:
            yaml.dump(tree, file)

    write_whole(path, dump)


def _settings(plan: Plan) -> Mapping[str, Any]:
    return {
        "training.epochs": plan.epochs,
        "search.samples": plan.samples,
        "search.time_budget_min": round(plan.hours * 60, 2),
        "halving.min_epochs": plan.min_epochs,
        "halving.reduction": plan.reduction,
        "resources.concurrent": plan.slots,
    }


def _most_samples(plan: Plan, budget_epochs: float) -> int:
    low, high = 0, 10**7
    while low < high:
        middle = (low + high + 1) // 2
        tried = Plan(middle, plan.epochs, plan.min_epochs, plan.reduction, plan.slots, plan.hours)
        low, high = (middle, high) if tried.trial_epochs <= budget_epochs else (low, middle - 1)
    return low


def _slots(sweep: Sweep, gpus: float) -> int:
    cpus = os.cpu_count() or 1
    share = 1 / MOST_TRIALS if sweep.resources.gpu is None else sweep.resources.gpu  # else found when a sweep begins
    if gpus and not share:
        rule = f"a trial asks for none of the {gpus:g} GPUs; say for what share, such as resources.gpu=0.25"
        raise SettingError(rule, key="resources.gpu")
    slots = int(gpus / share + 1e-3) if gpus else int(cpus / sweep.resources.cpu + 1e-3)
    if slots < 1:
        have = f"{gpus:g} GPUs" if gpus else f"{cpus} CPUs"
        raise SettingError(f"a trial asks for more than the {have} that there are", key="resources")
    return slots


def _mean_epoch_s(sweep: Sweep, say: Say) -> float:
    torch.set_num_threads(max(1, int(sweep.resources.cpu)))  # as a trial does
    corpus = pack_corpus(sweep.corpus)
    if sweep.pretrained == AUTO:
        # Timing needs weights of the right shape, and five steps make them as well as five thousand.
        brief = sweep.pretraining.model_copy(update={"steps": 5})
        sweep = with_weights(sweep.model_copy(update={"pretraining": brief}), corpus, lambda line: None)
    by_strategy: dict[str, list[float]] = {}
    for configuration in list_plans(sweep):
        strategy = str(configuration.get("strategy", "baseline"))
        session = TrainingSession(sweep.settings_of(configuration), corpus)
        # A progressive trial costs less before its layers thaw, so both ends are timed.
        for epoch in sorted({0, max(session.thaw_epochs.values())}):
            session.epoch = epoch
            by_strategy.setdefault(strategy, []).append(_epoch_s(session))
    for strategy, seconds in by_strategy.items():
        say(f"{strategy:<20}{sum(seconds) / len(seconds):.2f} s an epoch")
    return sum(sum(seconds) / len(seconds) for seconds in by_strategy.values()) / len(by_strategy)


def _epoch_s(session: TrainingSession) -> float:
    started = time.perf_counter()
    session.run_epoch()
    first = time.perf_counter() - started
    if first > _SHORT_EPOCH_S:
        return first
    started = time.perf_counter()  # the first one also warms up
    session.run_epoch()
    return time.perf_counter() - started
