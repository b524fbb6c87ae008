"""What a sweep of thousands of trials asks of its driver: python benchmarks/scaling.py [--short] [--json FILE]

Trials whose epochs are pauses and whose curves are a formula run through the whole stack: on 1, 2 and 4 nodes of one
machine in turn, then a hundred at a time. Then up to a thousand at a time through the driver alone, in whose loop Ray
is replaced by a queue, with 100, 1,000 and 10,000 trials in the record: reports a second and what their time goes to,
memory, and how long it takes to resume. --parts says which of these are run.
"""

import argparse
import heapq
import json
import math
import multiprocessing
import os
import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # a cluster of this machine alone
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")

import optuna
import ray
from ray import tune
from ray._common.utils import reset_ray_address
from ray.cluster_utils import Cluster
from rich.console import Console

from glosstune.results.record import RECORD, read_record
from glosstune.search import Sweep, load_sweep, tuning
from glosstune.search.board import Board
from glosstune.search.conductor import Conductor
from glosstune.search.display import Display
from glosstune.search.driving import drive, write_sweep
from glosstune.search.mirror import Mirror
from glosstune.search.record import Record
from glosstune.search.suggestion import Suggester
from glosstune.search.workplace import Workplace
from glosstune.trainables.files import write_whole
from glosstune.trainables.session import METRICS
from glosstune.trainables.settings import TrialSettings
from glosstune.trainables.trainable import CTCTrainable, TrialContext

SPACE = "{learning_rate: {float: [1e-5, 1e-1], log: true}, dropout: {float: [0, 0.5]}, warmup_epochs: {int: [0, 2]}}"
EPOCHS, MIN_EPOCHS, REDUCTION = 18, 2, 3
# Of an actor that has loaded torch, and what is left to everybody else.
ACTOR_MB, RESERVE_MB = 150, 3000
# What the driver does beside the record with a report and for a free slot; the rest is the conductor's, with its rungs.
STEPS = {
    "suggestion": (Suggester, "suggest"),
    "study": (Mirror, "show"),
    "TensorBoard": (Board, "show"),
    "display": (Display, "refresh"),
}


def sweep_of(samples: int, *overrides: str) -> Sweep:
    """A sweep over three parameters."""
    fixed = [f"space={SPACE}", "search.start_points=[]", f"search.samples={samples}", f"training.epochs={EPOCHS}"]
    rungs = [f"halving.min_epochs={MIN_EPOCHS}", f"halving.reduction={REDUCTION}"]
    return load_sweep("student", [*fixed, *rungs, *overrides])


def replayed(configuration: Mapping[str, Any], epoch: int) -> dict[str, float]:
    """Metrics of an epoch: a trial learns the better, the nearer its rate is to 1e-3 and its dropout to 0."""
    distance = abs(math.log10(configuration["learning_rate"]) + 3) + configuration["dropout"]
    learned = 1 - math.exp(-0.3 * max(0.1, 1.2 - distance) * epoch)
    # All digits, as real ones have; nothing that a rule would stop a trial for.
    rest = {name: learned / (3 + place) for place, name in enumerate(METRICS)}
    shown = {"wer": max(0.02, 1.05 - 1.2 * learned), "train_loss": 3 * (1 - learned), "loss_below_floor": learned}
    return {**rest, **shown, "loss_below_floor_se": 0.001, "epoch_s": 1.0}


class Session:
    """What a ``CTCTrainable`` asks of a training session."""

    def __init__(self, settings: TrialSettings, trials: Path, epoch_s: float, together: int) -> None:
        tuned = settings.tuned
        self.configuration = {name: getattr(tuned, name) for name in ("learning_rate", "dropout")}
        self.trials, self.epoch_s, self.together = trials, epoch_s, together
        self.epoch = 0
        self.metrics: dict[str, float] = {}
        self.improved, self.hypotheses, self.load_report = False, None, None

    def run_epoch(self) -> dict[str, float]:
        """Wait until as many trials have begun as are to run together, so that none ends before all are there."""
        while self.epoch == 0 and sum(1 for _ in self.trials.glob("*/trial.log")) < self.together:
            time.sleep(min(1.0, self.epoch_s))
        time.sleep(self.epoch_s)
        self.epoch += 1
        self.metrics = {**replayed(self.configuration, self.epoch), "epoch": self.epoch}
        return self.metrics

    def save(self, path: Path) -> None:
        state = json.dumps({"epoch": self.epoch, "metrics": self.metrics})
        write_whole(path, lambda partial: partial.write_text(state))

    def load(self, path: Path) -> None:
        state = json.loads(path.read_text())
        self.epoch, self.metrics = state["epoch"], state["metrics"]


class Replay(CTCTrainable):
    """A trial of which everything is real but its training."""

    def setup(
        self, config: dict[str, Any], context: TrialContext | None = None, epoch_s: float = 0.0, together: int = 1
    ) -> None:
        self._epoch_s, self._together = epoch_s, together
        super().setup(config, context)

    def _new_session(self, settings: TrialSettings) -> Any:
        return Session(settings, self._folder.parent, self._epoch_s, self._together)


@dataclass(frozen=True)
class Mark:
    """An event of the record, how long it took to be safe, when it was, and the driver's processor time until then."""

    event: str
    trial: int | None
    took_s: float
    at_s: float = field(default_factory=time.perf_counter)
    cpu_s: float = field(default_factory=time.process_time)


@contextmanager
def marking(first_end: Callable[[], None] = lambda: None) -> Iterator[list[Mark]]:
    """Note when each event is recorded; ``first_end`` is called after the first trial ended."""
    marks: list[Mark] = []
    append = Record.append

    def noting(record: Record, event: str, **fields: Any) -> dict[str, Any]:
        started = time.perf_counter()
        kept = append(record, event, **fields)
        marks.append(Mark(event, fields.get("trial"), time.perf_counter() - started))
        if event == "end" and not any(mark.event == "end" for mark in marks[:-1]):
            first_end()
        return kept

    with mock.patch.object(Record, "append", noting):
        yield marks


@contextmanager
def timing() -> Iterator[Counter[str]]:
    """Seconds that the driver spends on each of ``STEPS``; none of them calls another."""
    spent: Counter[str] = Counter()

    def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return call(*arguments, **named)
            finally:
                spent[name] += time.perf_counter() - started

        return run

    with ExitStack() as stack:
        for name, (owner, method) in STEPS.items():
            stack.enter_context(mock.patch.object(owner, method, timed(name, getattr(owner, method))))
        yield spent


def run(folder: Path, sweep: Sweep, trainable: Any = None) -> None:
    """Begin the sweep in a folder, or go on with it, without a terminal."""
    work = Workplace(folder)
    if work.begun:
        events = [*read_record(folder).events, work.record.append("resume", changes={})]
    else:
        write_sweep(sweep, work)
        events = [work.record.append("sweep", id="1", samples=sweep.search.samples, epochs=sweep.training.epochs)]
    with (folder / "log").open("a") as log:
        drive(sweep, work, events, Console(file=log), lambda line: None, trainable=trainable)


def replay_of(sweep: Sweep, folder: Path, epoch_s: float, together: int) -> Any:
    """The trainable of a sweep."""
    context = TrialContext(build=sweep.settings_of, folder=folder, threads=1)
    return tune.with_parameters(Replay, context=context, epoch_s=epoch_s, together=together)


def apart(measure: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns in a process of its own, whose memory nothing else has used."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(measure, arguments)


def show(*cells: Any) -> None:
    """Print a row of a table."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


@contextmanager
def ray_of(nodes: int, cpus: int = 1) -> Iterator[Cluster]:
    """A head that runs no trials and nodes that do, every one with processes of its own."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    reset_ray_address()  # or whatever else starts a Ray here would attach to this one
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=cpus)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


def in_step(marks: list[Mark], together: int) -> list[Mark]:
    """The reports from when every slot has reported to when a slot stays empty: start and end are not a sweep's."""
    firsts: dict[int | None, int] = {}
    for place, mark in enumerate(marks):
        if mark.event == "report":
            firsts.setdefault(mark.trial, place)
    start = sorted(firsts.values())[together - 1]
    last = max(place for place, mark in enumerate(marks) if mark.event == "trial")
    first_end = next(place for place, mark in enumerate(marks) if mark.event == "end")
    return [mark for mark in marks[start : max(last, first_end)] if mark.event == "report"]


def rate(reports: list[Mark]) -> float:
    """Reports a second."""
    return (len(reports) - 1) / (reports[-1].at_s - reports[0].at_s)


def trials_per_h(nodes: int, trials: int, epochs: int, epoch_s: float) -> float:
    """Trials an hour of a sweep whose nodes run one each."""
    sweep = sweep_of(trials * nodes, f"training.epochs={epochs}", "halving.kind=none")
    with tempfile.TemporaryDirectory() as folder, ray_of(nodes), marking() as marks:
        run(Path(folder), sweep, replay_of(sweep, Path(folder), epoch_s, nodes))
    return rate(in_step(marks, nodes)) / epochs * 3600


def measure_nodes(short: bool) -> dict[int, list[float]]:
    """Trials an hour by number of nodes, in turn."""
    counts, rounds = ((1,), 1) if short else ((1, 2, 4), 3)
    trials, epochs, epoch_s = (3, 2, 0.1) if short else (8, 5, 1.0)
    paces: dict[int, list[float]] = {nodes: [] for nodes in counts}
    for _ in range(rounds):
        for nodes in counts:
            paces[nodes].append(apart(trials_per_h, nodes, trials, epochs, epoch_s))
    print(f"{rounds} rounds of {trials} trials a node, {epochs} epochs of {epoch_s:g} s each")
    show("nodes", "trials an hour", "times one node")
    for nodes, measured in paces.items():
        ratios = [pace / alone for pace, alone in zip(measured, paces[1], strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        show(nodes, f"{statistics.median(measured):.0f}", spread)
    return paces


def available_mb() -> float:
    """Memory that nobody uses."""
    known = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(known["MemAvailable"].split()[0]) / 1024


def memory_mb(pid: int | str, kind: str = "Pss") -> float:
    """Memory of a process, with its part of what it shares with others (Pss) or all of that (Rss)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:")) / 1024


def ray_memory_mb(cluster: Cluster) -> dict[str, float]:
    """Memory of the cluster's processes and what lies in its object store."""
    sizes = {f"head, {name}": 0.0 for name in ("gcs_server", "raylet")}
    for name in sizes:
        sizes[name] = memory_mb(cluster.head_node.all_processes[name.split()[1]][0].process.pid)
    (node,) = cluster.worker_nodes
    raylet = node.all_processes["raylet"][0].process.pid
    threads = Path(f"/proc/{raylet}/task").glob("*/children")
    children = [pid for thread in threads for pid in thread.read_text().split()]
    titles = {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in children}
    # The second is what the first is called while it trains.
    actors = [pid for pid, title in titles.items() if title.startswith(("ray::Replay", "ray::ResourceTrainable"))]
    sizes["node, raylet and agents"] = memory_mb(raylet) + sum(memory_mb(pid) for pid in titles if pid not in actors)
    sizes["node, actors"] = sum(map(memory_mb, actors))
    total, free = ray.cluster_resources(), ray.available_resources()
    sizes["object store"] = (total["object_store_memory"] - free["object_store_memory"]) / 2**20
    return {"driver": memory_mb("self", "Rss"), **sizes, "actors": len(actors)}


def hundred(together: int, epochs: int, epoch_s: float) -> dict[str, Any]:
    """What a driver takes in from trials that run at a time in processes of their own."""
    rules = ["halving.kind=none", "resources.cpu=0.01", f"resources.concurrent={together}"]
    sweep, sizes = sweep_of(together, f"training.epochs={epochs}", *rules), {}
    with tempfile.TemporaryDirectory() as folder, ray_of(1, cpus=2) as cluster:
        started = time.perf_counter()
        with marking(lambda: sizes.update(ray_memory_mb(cluster))) as marks, timing() as spent:
            run(Path(folder), sweep, replay_of(sweep, Path(folder), epoch_s, together))
    spent["record"] = sum(mark.took_s for mark in marks)
    reports = in_step(marks, together)
    return {
        "trials": together,
        "start_s": reports[0].at_s - started,
        "reports_per_s": rate(reports),
        "possible_per_s": together / epoch_s,
        "cpu_ms": 1000 * (reports[-1].cpu_s - reports[0].cpu_s) / (len(reports) - 1),
        "step_ms": {name: 1000 * s / (together * epochs) for name, s in spent.items()},
        "mb": sizes,
    }


def measure_driver(short: bool) -> dict[str, Any]:
    """The load of a hundred trials at a time, or as many as there is memory for."""
    wanted, epochs, epoch_s = (2, 8, 0.2) if short else (100, 40, 2.0)
    together = min(wanted, int((available_mb() - RESERVE_MB) / ACTOR_MB))
    if together < wanted:
        print(f"{available_mb():.0f} MB of memory are free: {together} trials at a time instead of {wanted}")
    seen = apart(hundred, together, epochs, epoch_s)
    print(f"{together} trials at a time, {epochs} epochs of {epoch_s:g} s; all ran after {seen['start_s']:.0f} s")
    show("reports a second", "without any driver", "ms of the driver's processor a report", *seen["step_ms"])
    steps = (f"{ms:.2f} ms" for ms in seen["step_ms"].values())
    show(f"{seen['reports_per_s']:.1f}", f"{seen['possible_per_s']:.1f}", f"{seen['cpu_ms']:.1f}", *steps)
    show(*seen["mb"])
    show(*(f"{size:.0f}" if name == "actors" else f"{size:.0f} MB" for name, size in seen["mb"].items()))
    return seen


def write_history(folder: Path, sweep: Sweep, trials: int, running: int) -> None:
    """Write the record of a driver that was killed: trials compared at all rungs, and others in their first epochs."""
    generator, lines = random.Random(0), []
    now = datetime.now(UTC).isoformat(timespec="milliseconds")

    def tell(event: str, **fields: Any) -> None:
        lines.append(json.dumps({"event": event, "time": now, **fields}))

    def train(number: int, first: int, last: int) -> None:
        for epoch in range(first, last + 1):
            metrics = replayed(configurations[number], epoch)
            tell("report", trial=number, epoch=epoch, metrics=metrics, node="node-17")

    tell("sweep", id="1", samples=sweep.search.samples, epochs=EPOCHS)
    configurations = [sweep.space.sample(generator) for _ in range(trials)]
    for number, configuration in enumerate(configurations):
        tell("trial", trial=number, configuration=configuration, source="tpe")
    stay = range(trials - running, trials)
    for number in stay:
        train(number, 1, 1)
    going, done, rung = list(range(trials - running)), 0, 0
    while (milestone := MIN_EPOCHS * REDUCTION**rung) < EPOCHS:
        for number in going:
            train(number, done + 1, milestone)
        scored = sorted((replayed(configurations[number], milestone)["wer"], number) for number in going)
        quota = len(going) // REDUCTION
        for rank, (score, number) in enumerate(scored, start=1):
            told = {"trial": number, "rung": rung, "rank": rank, "rivals": len(going), "quota": quota, "score": score}
            tell("pause", **told, reason=f"halving: waits, {rank} of {len(going)} at rung {rung}")
        going = [number for _, number in scored[:quota]]
        for rank, number in enumerate(going, start=1):
            told = {"trial": number, "rung": rung, "rank": rank, "rivals": len(scored), "quota": quota}
            tell("promote", **told, reason=f"halving: goes on, {rank} of {len(scored)}", carried=False)
        done, rung = milestone, rung + 1
    for number in going:
        train(number, done + 1, EPOCHS)
        reason = f"all {EPOCHS} epochs"
        tell("end", trial=number, status="finished", rule="finished", reason=reason)
    (folder / RECORD).write_text("\n".join(lines) + "\n")
    write_sweep(sweep, Workplace(folder))


def play(conductor: Conductor, trainable: Any, folder: Path, watcher: tuning.Watcher) -> None:
    """Take Ray's part in a sweep as ``run_trials`` does, with trials that are there at once and never wait."""
    waiting: list[tuple[float, int]] = []  # when a trial ends its epoch, were it real
    generator, clock = random.Random(0), 0.0
    while True:
        watcher.tick()
        conductor.judge_sweep()
        if conductor.must_end:
            return
        while (number := conductor.next_trial()) is not None:
            watcher.begin(number)
            heapq.heappush(waiting, (clock + generator.uniform(0.5, 1.5), number))
        if not waiting:
            return
        clock, number = heapq.heappop(waiting)
        trial = conductor.state.trials[number]
        goes_on = conductor.report(number, trial.epoch + 1, replayed(trial.configuration, trial.epoch + 1), "node-17")
        watcher.report(number)
        if goes_on:
            heapq.heappush(waiting, (clock + generator.uniform(0.5, 1.5), number))


def resume_s(folder: Path, sweep: Sweep) -> dict[str, float]:
    """Seconds of what a driver does before it goes on, step by step."""
    times = [time.perf_counter()]
    record = read_record(folder)
    times.append(time.perf_counter())
    conductor = Conductor(sweep, lambda event, **fields: {}, events=record.events)
    times.append(time.perf_counter())
    trials = conductor.state.trials.values()
    for _ in range(2):  # made anew, then found as it has to be
        Mirror(sweep, "1", folder).open(trials)
        times.append(time.perf_counter())
    names = ("read", "replay", "study made anew", "study checked")
    return {name: after - before for name, before, after in zip(names, times, times[1:], strict=False)}


def alone(trials: int, together: int, reports: int) -> dict[str, Any]:
    """A driver that goes on with a record of so many trials."""
    running = min(trials, together)
    sweep = sweep_of(trials + reports, f"resources.concurrent={running}")
    loop: dict[str, Any] = {}

    def measured(conductor: Conductor, trainable: Any, folder: Path, watcher: tuning.Watcher) -> None:
        before, started = len(marks), time.perf_counter()
        with timing() as spent:
            play(conductor, trainable, folder, watcher)
        spent["record"] = sum(mark.took_s for mark in marks[before:])
        ended = time.perf_counter()
        loop.update(spent=spent, took_s=ended - started, mb=memory_mb("self", "Rss"), ended=ended)

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_history(folder, sweep, trials, running)
        known = sum(len(trial.reports) for trial in read_record(folder).trials.values())
        size, resumed = (folder / RECORD).stat().st_size, resume_s(folder, sweep)
        search = sweep.search.model_copy(update={"epoch_budget": known + reports})
        with mock.patch.object(tuning, "run_trials", measured), marking() as marks:
            run(folder, sweep.model_copy(update={"search": search}))
        closed_s = time.perf_counter() - loop["ended"]
    done = [mark for mark in marks if mark.event == "report"]
    begun = sum(mark.event == "trial" for mark in marks)
    took, spent = loop["took_s"], loop["spent"]
    rest = took - sum(spent.values())
    return {
        "trials": trials,
        "together": running,
        "reports_per_s": reports / took,
        "without_suggestions_per_s": reports / (took - spent["suggestion"]),
        "cpu_ms": 1000 * (done[-1].cpu_s - done[0].cpu_s) / reports,
        "begun": begun,
        "suggestion_ms": 1000 * spent["suggestion"] / max(begun, 1),
        "step_ms": {name: 1000 * s / reports for name, s in {**spent, "rest": rest}.items() if name != "suggestion"},
        "mb": loop["mb"],
        "record_mb": size / 1e6,
        "resume_s": resumed,
        "close_s": closed_s,
    }


def measure_record(short: bool) -> list[dict[str, Any]]:
    """The driver by itself as its record grows."""
    sizes, together, reports = ((20, 40), 20, 60) if short else ((100, 1_000, 10_000), 1_000, 3_000)
    parts, seen = ["record", "study", "TensorBoard", "display", "rest"], []
    show("trials", "at a time", "reports/s", "ms of the processor", *(f"{name}, ms" for name in parts), "MB")
    for trials in sizes:
        row = apart(alone, trials, together, min(reports, 10 * trials))
        pace = f"{row['reports_per_s']:.0f} ({row['without_suggestions_per_s']:.0f} without suggestions)"
        steps = (f"{row['step_ms'].get(name, 0.0):.2f}" for name in parts)
        show(trials, row["together"], pace, f"{row['cpu_ms']:.1f}", *steps, f"{row['mb']:.0f}")
        seen.append(row)
    show("trials", "a suggestion, ms", "suggestions", "record, MB", *seen[0]["resume_s"], "at the end, s")
    for row in seen:
        times = (f"{s:.2f} s" for s in row["resume_s"].values())
        pace = (f"{row['suggestion_ms']:.0f}", row["begun"])
        show(row["trials"], *pace, f"{row['record_mb']:.1f}", *times, f"{row['close_s']:.1f}")
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measures = {"nodes": measure_nodes, "driver": measure_driver, "record": measure_record}
    parser.add_argument("--parts", nargs="+", choices=measures, default=list(measures))
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--short", action="store_true", help="only shows that it runs")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    figures = {part: measures[part](options.short) for part in options.parts}
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
