"""Run a scheduler over made-up learning curves: no training, no Ray, no time."""

import heapq
import json
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import optuna

from glosstune.results.reading.events import Event, parse_event
from glosstune.results.reading.objectives import weigh
from glosstune.search import Sweep, load_sweep
from glosstune.search.scheduler.halving import Halving
from glosstune.search.scheduler.ranking import PLATEAU_WER
from glosstune.search.scheduler.scheduler import Scheduler

optuna.logging.set_verbosity(optuna.logging.WARNING)

Line = dict[str, Any]
Curve = Callable[[Mapping[str, Any], int], dict[str, float]]

SPACE = "{learning_rate: {float: [1e-5, 1e-1], log: true}, dropout: {float: [0, 0.5]}, warmup_epochs: {int: [0, 2]}}"


def sweep(*overrides: str) -> Sweep:
    """A sweep over three parameters, with neither prior nor lead; nothing in it is ever trained."""
    fixed = [f"space={SPACE}", "training.epochs=18", "search.samples=12", "search.start_points=[]"]
    return load_sweep("student", [*fixed, "search.prior=none", "halving.lead=0", *overrides])


def crash_plan(samples: int, *overrides: str) -> Sweep:
    """The sweep whose driver ``crash_driver`` is."""
    plan = ["halving.min_epochs=2", "space.dropout.float=[0, 0.4]", "search.keep_checkpoints=2"]
    return sweep(f"search.samples={samples}", *plan, *overrides)


def metrics(wer: float, below: float, **others: float) -> dict[str, float]:
    """Metrics of an epoch that a rule may look at."""
    loss = 3.0 * (1 - below)
    return {
        "wer": wer,
        "train_loss": loss,
        "dev_loss": loss,
        "loss_below_floor": below,
        "loss_below_floor_se": 0.001,
        "blank_ratio": 0.5,
        "epoch_s": 1.0,
        **others,
    }


def learning(configuration: Mapping[str, Any], epoch: int) -> dict[str, float]:
    """A curve that is best at a rate of 1e-3 and without dropout, and stands still far from it."""
    distance = abs(math.log10(configuration["learning_rate"]) + 3) + configuration["dropout"]
    rate = max(0.0, 1.2 - distance)
    learned = 1 - math.exp(-0.3 * rate * max(0, epoch - configuration.get("warmup_epochs", 0)))
    return metrics(max(0.02, 1.05 - 1.2 * learned) if learned > 0.1 else 1.0, learned, epoch_s=1.0 + epoch % 3)


def costs(configuration: Mapping[str, Any]) -> dict[str, float] | None:
    """What a recogniser of this width costs; None where no width is searched."""
    width = configuration.get("width")
    return None if width is None else {"parameters": round(2e5 * width**2) + 1e4, "size_mb": 0.8 * width**2 + 0.04}


def sized(configuration: Mapping[str, Any], epoch: int) -> dict[str, float]:
    """A curve of a network that learns less, more slowly and at higher rates the narrower it is."""
    width = configuration["width"]
    distance = 0.8 * abs(math.log10(configuration["learning_rate"]) + 2.5 + 0.5 * math.log10(width))
    rate = max(0.0, 1.1 - distance - 0.6 * width * configuration["dropout"]) * width**0.3
    learned = 1 - math.exp(-0.3 * rate * max(0, epoch - configuration.get("warmup_epochs", 0)))
    wer = max(0.02 + 0.03 / width, 1.05 - 1.2 * learned) if learned > 0.1 else 1.0
    return metrics(wer, learned, epoch_s=1.0 + epoch % 3)


def stuck(configuration: Mapping[str, Any], epoch: int) -> dict[str, float]:
    """A curve that never leaves the CTC floor."""
    return metrics(1.0, 0.0)


class Tape:
    """The events of a sweep, as JSON would keep them; ``limit`` lets the driver die at an event."""

    def __init__(self, events: list[Line] | None = None, limit: int | None = None) -> None:
        self.events = list(events or [])
        self.limit = limit

    def append(self, event: str, **fields: Any) -> Line:
        if self.limit is not None and len(self.events) >= self.limit:
            raise Died
        time = f"2026-11-22T00:00:{len(self.events) % 60:02d}+00:00"
        kept: Line = json.loads(json.dumps({"event": event, "time": time, **fields}))
        self.events.append(kept)
        return kept

    @property
    def told(self) -> list[Event]:
        """The events as a reader has them."""
        return list(map(parse_event, self.events))

    def named(self, event: str) -> list[Line]:
        return [each for each in self.events if each["event"] == event]


class Died(Exception):
    """The driver was killed."""


def drive(scheduler: Scheduler, curve: Curve = learning, *, seed: int = 0, jitter: float = 0.0) -> None:
    """Run every trial that the scheduler asks for until it is done; what ends first is reported first."""
    generator = random.Random(seed)
    clock, waiting = 0.0, []

    def begin_epoch(number: int) -> None:
        trial = scheduler.state.trials[number]
        took = curve(trial.configuration, trial.epoch + 1)["epoch_s"] * (1 + jitter * generator.random())
        heapq.heappush(waiting, (clock + took, generator.random(), number))

    while True:
        while (number := scheduler.next_trial()) is not None:
            begin_epoch(number)
        if not waiting:
            break
        clock, _, number = heapq.heappop(waiting)
        trial = scheduler.state.trials[number]
        told = curve(trial.configuration, trial.epoch + 1)
        if scheduler.report(number, trial.epoch + 1, told, costs=costs(trial.configuration)):
            begin_epoch(number)
    assert scheduler.done
    scheduler.close()


def run_through(plan: Sweep, curve: Curve = learning, *, workers: int = 1) -> tuple[Scheduler, Tape]:
    """Run a sweep from beginning to end."""
    tape = Tape()
    scheduler = Scheduler(plan, tape.append, slots=lambda: workers)
    drive(scheduler, curve)
    return scheduler, tape


def resume_after(
    plan: Sweep, deaths: list[int], workers: int, seed: int = 0, curve: Curve = learning
) -> tuple[Scheduler, Tape]:
    """Run a sweep whose driver dies after as many further events as each of ``deaths``, then to its end."""
    tape = Tape()
    for number, further in enumerate([*deaths, None]):
        tape = Tape(tape.events, None if further is None else len(tape.events) + 1 + further)
        try:
            if number:
                tape.append("resume", changes={})
            scheduler = Scheduler(plan, tape.append, slots=lambda: workers, events=tape.told)
            drive(scheduler, curve, seed=seed + number, jitter=0.5)
        except Died:
            continue
        return scheduler, tape
    raise AssertionError


def check_decisions(events: list[Line], plan: Sweep) -> None:
    """Work every decision at a rung out again, from nothing but the order of the record."""
    halving = Halving(plan.halving, plan.training.epochs)
    curves: dict[int, list[Mapping[str, Any]]] = {}
    warmups = {event["trial"]: event["configuration"]["warmup_epochs"] for event in events if event["event"] == "trial"}
    best: dict[int, float] = {}
    paid: dict[int, dict[str, float | None]] = {}
    for event in events:
        number = event.get("trial", -1)
        if event["event"] == "report":
            paid.setdefault(number, event.get("costs", {}))
            curve = curves.setdefault(number, [])
            curve.append(event["metrics"])
            plateau = 2 - max(m["loss_below_floor"] for m in curve)
            wer = min(m["wer"] for m in curve)
            best[number] = wer if wer < PLATEAU_WER else plateau
            rung = halving.rung_reached([m["epoch_s"] for m in curve], warmups[number])
            if rung is not None:
                halving.arrive(number, rung, best[number], weigh(paid.get(number, {}), plan.search.costs))
        elif event["event"] == "end" and event["rule"] not in ("halving", "finished", "interrupt"):
            halving.remove(number)
        elif event["event"] in ("promote", "pause") and event["reason"].startswith("halving"):
            standing = halving.standing(number, event["rung"])
            assert {name: event[name] for name in asdict(standing)} == asdict(standing)
            if event["event"] == "promote":
                assert standing.rank <= max(standing.quota, 1 if plan.halving.kind == "stop" else 0)
        if event["event"] == "promote" and event.get("lead"):
            halving.lead(number)
        elif event["event"] == "promote" and "rung" in event:
            halving.promote(number, event["rung"])
        elif event["event"] == "pause" and "rung" not in event:
            halving.fall_back(number)
