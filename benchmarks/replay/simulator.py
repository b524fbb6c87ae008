"""Let a search method run trials on workers that only pretend to train: a clock that jumps from epoch to epoch."""

import heapq
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from replay.surrogate import Configuration, Curve

Metrics = Mapping[str, float | None]


class Verdict(Enum):
    """What a method does with a trial that has done an epoch."""

    GO_ON = "goes on at once"
    WAIT = "waits, and may go on later"
    END = "has ended for good"


class Method(Protocol):
    """A search, as the one who runs its trials sees it."""

    def next_trial(self) -> tuple[int, Configuration] | None:
        """The trial that a free worker should run from where that trial stands; None if there is none now."""

    def report(self, number: int, epoch: int, metrics: Metrics) -> Verdict:
        """Hear of an epoch that a trial has done."""

    def restart(self) -> None:
        """Go on after a crash of the driver, with what this method finds of itself on the disk."""


@dataclass
class Clock:
    """Seconds of the simulation, for methods that want to know."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


@dataclass(frozen=True)
class Epoch:
    """An epoch that a trial has done, and the seconds that all workers together had been busy by then."""

    device_s: float
    trial: int
    epoch: int
    wer: float


@dataclass
class Run:
    """What happened in a simulated search.

    Attributes:
        epochs: in the order in which they were reported.
        configurations: of every trial that began.
        device_s: seconds that all workers together were busy.
    """

    epochs: list[Epoch] = field(default_factory=list)
    configurations: dict[int, Configuration] = field(default_factory=dict)
    device_s: float = 0.0


def simulate(
    method: Method,
    curve: Callable[[Configuration], Curve],
    clock: Clock,
    *,
    workers: int,
    limit_s: float,
    seed: int,
    jitter: float = 0.05,
    crash_at_s: float | None = None,
) -> Run:
    """Run trials until the method has none left or the workers have been busy for ``limit_s`` seconds together.

    Args:
        curve: the metrics of every epoch of a configuration, with ``cpu_s``.
        clock: is set to the time of each event before the method hears of it.
        jitter: an epoch takes up to this share more or less than its ``cpu_s``.
        crash_at_s: device-seconds after which the driver dies once; epochs under way are lost.
    """
    generator = random.Random(seed)
    run = Run()
    curves: dict[int, Curve] = {}
    done: dict[int, int] = {}
    running: list[tuple[float, int, int, float]] = []  # (end, order, trial, seconds)
    order = 0

    def begin_epoch(number: int) -> None:
        nonlocal order
        took = curves[number][done[number]]["cpu_s"] * (1 + jitter * generator.uniform(-1, 1))
        order += 1
        heapq.heappush(running, (clock.now_s + took, order, number, took))

    while True:
        while len(running) < workers and (chosen := method.next_trial()) is not None:
            number, configuration = chosen
            if number not in curves:
                run.configurations[number], curves[number] = configuration, curve(configuration)
                done[number] = 0
            begin_epoch(number)
        if not running:
            return run
        end = running[0][0]
        busy_s = run.device_s + len(running) * (end - clock.now_s)
        if crash_at_s is not None and busy_s >= crash_at_s:
            clock.now_s += (crash_at_s - run.device_s) / len(running)
            run.device_s, crash_at_s = crash_at_s, None
            running.clear()
            method.restart()
            continue
        if busy_s > limit_s:
            run.device_s = limit_s
            return run
        clock.now_s, run.device_s = end, busy_s
        _, _, number, took = heapq.heappop(running)
        metrics = {**curves[number][done[number]], "epoch_s": took}
        done[number] += 1
        run.epochs.append(Epoch(busy_s, number, done[number], metrics["wer"]))
        if method.report(number, done[number], metrics) is Verdict.GO_ON:
            begin_epoch(number)
