"""Propose how much of a search fits into a budget: trials, epochs, rungs and how many run at a time."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from glosstune.results.text import rounded
from glosstune.search.config.errors import Say
from glosstune.search.config.loading import load_sweep
from glosstune.search.config.rules import check_inputs
from glosstune.search.config.sweep import Sweep
from glosstune.search.nodes.gpu_share import MOST_TRIALS, fit_in_memory
from glosstune.spaces import SettingError, Space
from glosstune.spaces.files.atomic import write_whole
from glosstune.spaces.files.machine import describe_cpus, usable_cpus
from glosstune.spaces.parameters import listed

# Fewer would make a sweep of one rung a lottery.
_FEWEST_SAMPLES = 6
_AFTER_WARMUP = 2  # epochs, before which a trial shows its schedule and not its worth


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
        sharing: trials at a time on one device, which are as quick together as one alone.
    """

    samples: int
    epochs: int
    min_epochs: int
    reduction: int
    slots: int
    hours: float
    sharing: int = 1

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

    def hours_of(self, epoch_s: float) -> float:
        """Hours of the clock that its epochs take together.

        Args:
            epoch_s: seconds of a mean epoch of a trial alone.
        """
        return self.trial_epochs * epoch_s * self.sharing / self.slots / 3600


def propose(
    *,
    epoch_s: float,
    hours: float,
    slots: int,
    epochs: int,
    reduction: int,
    warmup_epochs: float = 0.0,
    sharing: int = 1,
) -> Plan:
    """The most trials that fit, and where there would be too few to compare, shorter ones.

    Args:
        epoch_s: seconds of a mean epoch of a trial that has its device to itself.
        hours: of the clock.
        slots: trials at a time.
        epochs: of a full trial, as wanted.
        warmup_epochs: the longest of the space; a trial is not judged before it has warmed up.
        sharing: trials at a time on one device. Each is counted as so many times slower: what a busy GPU gains by
            having several is not promised.

    Raises:
        SettingError: not even the fewest trials fit that go beyond their warm-up.
    """
    least = min(epochs, _AFTER_WARMUP + math.ceil(warmup_epochs))
    for length in range(epochs, max(1, least - 1), -1):
        # Three comparisons where there is room for them, the first of them past the longest warm-up.
        first = min(length, max(least, math.ceil(length / reduction**3)))
        plan = Plan(0, length, first, reduction, slots, hours, sharing)
        samples = _most_samples(plan, epoch_s)
        if samples >= max(_FEWEST_SAMPLES, reduction ** len(plan.rungs)):
            return replace(plan, samples=samples)
    told = f"an epoch takes {rounded(epoch_s * sharing)} s, and {_FEWEST_SAMPLES} trials of {least} are the least"
    raise SettingError(f"{hours:g} h are not enough: {told}", key="--hours")


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
    if sweep.halving.kind not in ("promote", "stop") or sweep.halving.resource != "epochs":
        rule = "plans count rungs in epochs; leave out halving.resource and halving.min_seconds, and set halving.kind"
        rule += f" to promote or stop; got {sweep.halving.kind}"
        raise SettingError(rule, key="halving")
    slots, sharing = find_slots(sweep, gpus, here=not gpus or epoch_s is None)
    if epoch_s is None:
        check_inputs(sweep)
        # With torch, which takes seconds, so not before all is in order.
        import torch

        from glosstune.search.driver.timing import mean_epoch_s

        if gpus and not torch.cuda.is_available():
            rule = "there is none here to time epochs on; plan on a machine that has one, or give --seconds-per-epoch"
            raise SettingError(rule, key="--gpus")
        epoch_s = mean_epoch_s(sweep, say, device=torch.device("cuda" if gpus else "cpu"))
    plan = propose(
        epoch_s=epoch_s,
        hours=hours,
        slots=slots,
        epochs=sweep.training.epochs,
        reduction=sweep.halving.reduction,
        warmup_epochs=longest_warmup(sweep.space),
        sharing=sharing,
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
    lines.append(f"about {reach:.0f} reach epoch {plan.epochs}; {plan.trial_epochs:.0f} epochs in all")
    told = f"{rounded(plan.hours_of(epoch_s))} h at {rounded(epoch_s)} s an epoch of one alone, {plan.slots} at a time"
    if plan.sharing > 1:
        told += f", {plan.sharing} of them on a GPU, which together are counted as no quicker than one"
    lines.append(f"{told}; starts not counted")
    return lines


def longest_warmup(space: Space) -> float:
    """Epochs of the longest warm-up that a configuration may have."""
    return max((float(value or 0) for each in space.get("warmup_epochs", ()) for value in listed(each)), default=0.0)


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
    }


def _most_samples(plan: Plan, epoch_s: float) -> int:
    low, high = 0, 10**7
    while low < high:
        middle = (low + high + 1) // 2
        fits = replace(plan, samples=middle).hours_of(epoch_s) <= plan.hours
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


def find_slots(sweep: Sweep, gpus: float, *, here: bool = True) -> tuple[int, int]:
    """Trials at a time, and how many of them share a device, on the CPUs that may be used here or so many GPUs.

    Args:
        here: the trials run on this machine, whose memory bounds them as when the sweep begins.
    """
    cpus = usable_cpus()
    share = 1 / MOST_TRIALS if sweep.resources.gpu is None else sweep.resources.gpu  # else found when a sweep begins
    if gpus and not share:
        rule = f"a trial asks for none of the {gpus:g} GPUs; say for what share, such as resources.gpu=0.25"
        raise SettingError(rule, key="resources.gpu")
    slots = int(gpus / share + 1e-3) if gpus else int(cpus / sweep.resources.cpu + 1e-3)
    if slots < 1:
        have = f"{gpus:g} GPUs" if gpus else describe_cpus()
        raise SettingError(f"a trial asks for more than the {have} that there are", key="resources")
    if sweep.resources.concurrent is not None:
        slots = min(slots, sweep.resources.concurrent)
    elif here:
        slots = min(slots, fit_in_memory())
    return slots, min(slots, max(1, int(1 / share + 1e-3))) if gpus else 1
