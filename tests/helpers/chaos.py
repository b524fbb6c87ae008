"""A whole sweep in one process, through whatever faults are drawn: the real scheduler, record, folder and trials.

Without Ray, without training, without waiting. What is checked on the way: nothing that was written down is ever lost.
"""

import heapq
import json
import logging
import shutil
from pathlib import Path
from typing import Any

from faults import AllDied, Died, Faults
from player import Player, ReplaySession
from s3_server import S3Server
from victim import read_events

from glosstune.results.reading.epoch_metrics import METRICS
from glosstune.results.reading.events import FORMAT, SweepResumed, parse_event, write_event
from glosstune.results.reading.names import EVENTS, TRIALS, trial_name
from glosstune.results.reading.record import read_record
from glosstune.search import Sweep
from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.search.storage.lock import Driven
from glosstune.search.storage.record import Record
from glosstune.search.storage.sweep_folder import StoredSweepFolder, SweepFolder, write_sweep
from glosstune.spaces.errors import FolderError
from glosstune.trainables.trainable import TrialContext

Line = dict[str, Any]
LIVES = 200


def survive(place: Path | str, plan: Sweep, workers: int, faults: Faults, server: S3Server | None = None) -> int:
    """Run a sweep to its end, however many drivers that takes; how many it took.

    A failure names every fault before it, in order.
    """
    sweep = _Sweep(place, plan, workers, faults)
    try:
        with faults.planted(server):
            for lives in range(1, LIVES):
                if sweep.live():
                    return lives
        raise AssertionError(f"{LIVES} drivers were not enough")
    except BaseException as error:
        error.add_note("\n".join(("faults:", *faults.told)))
        raise


class _Session(ReplaySession):
    def tell_where(self, folder: Path) -> None:
        pass


class _Trial(Player):
    """The process of a trial, as far as it is ours."""

    def __init__(self, context: TrialContext, config: Line) -> None:
        self.setup(config, context)

    def _new_session(self, settings: Any) -> Any:
        return _Session(settings, 0.0)


class _Sweep:
    def __init__(self, place: Path | str, plan: Sweep, workers: int, faults: Faults) -> None:
        self._work = SweepFolder.at(place)
        self._plan, self._workers, self._faults = plan, workers, faults
        self._known: list[Line] = read_events(self._work.folder)
        self._trials: dict[int, _Trial] = {}
        faults.rival = self._rival

    def live(self) -> bool:
        """Run a driver; whether it came to the end of the sweep."""
        before = len(self._faults.told)
        self._faults.begin()
        try:
            with self._work.owned():
                self._drive(self._work.record)
            return True
        except (AllDied, FolderError):
            if len(self._faults.told) == before:
                raise  # which nothing accounts for
        self._faults.recover()
        with self._faults.sparing():
            for number in list(self._trials):
                self._end(number)
            if isinstance(self._work, StoredSweepFolder) and self._faults.generator.random() < 0.3:
                shutil.rmtree(self._work.folder, ignore_errors=True)  # the next driver has another machine
        return False

    def _drive(self, record: Record) -> None:
        events = []
        if self._work.begun:
            record.repair()
            events = read_record(self._work.folder).events
        self._check_known()
        if events:
            events.append(write_event(self._keeping(record), SweepResumed(changes={}, gpu=None)))
        else:
            write_sweep(self._plan, self._work)
            begun = {"id": "chaos", "samples": self._plan.search.samples, "epochs": self._plan.training.epochs}
            events = [
                parse_event(self._keeping(record)("sweep", format=FORMAT, metric="wer", target=0.3, gpu=None, **begun))
            ]
        append = self._keeping(record)
        scheduler = Scheduler(self._plan, append, slots=lambda: self._workers, events=events)
        self._run(scheduler)
        scheduler.close()

    def _run(self, scheduler: Scheduler) -> None:
        """As Ray runs trials: what ends an epoch first is heard first."""
        clock, waiting = 0.0, []
        while True:
            while (number := scheduler.next_trial()) is not None:
                took = self._faults.generator.random() if self._workers > 1 else 0.0
                heapq.heappush(waiting, (clock + took, number))
            if not waiting:
                assert scheduler.done
                return
            clock, number = heapq.heappop(waiting)
            try:
                told = self._step(scheduler, number)
            except AllDied:
                raise
            except (Died, FolderError) as error:
                scheduler.died(number, repr(error))
                continue
            metrics = {name: told[name] for name in METRICS}
            if scheduler.report(number, told["epoch"], metrics, None, None):
                heapq.heappush(waiting, (clock + told["epoch_s"], number))
            else:
                self._end(number)

    def _step(self, scheduler: Scheduler, number: int) -> Line:
        self._faults.in_trial = True
        try:
            if number not in self._trials:
                trial = scheduler.state.trials[number]
                settings = self._plan.settings_of(trial.configuration).model_dump(mode="json")
                config = {"trial": number, "from_epoch": trial.epoch, "settings": settings}
                self._trials[number] = _Trial(TrialContext(self._work.place, threads=1), config)
            return self._trials[number].step()
        except BaseException as error:
            if not isinstance(error, AllDied):
                self._faults.recover()
                self._end(number)
            raise
        finally:
            self._faults.in_trial = False

    def _end(self, number: int) -> None:
        with self._faults.sparing():
            self._trials.pop(number, None)
            log = logging.getLogger(f"glosstune.trial.{trial_name(number)}")
            for handler in list(log.handlers):
                handler.close()
                log.removeHandler(handler)
            last = self._work.folder / TRIALS / trial_name(number) / "last.pt"
            if last.exists() and self._faults.generator.random() < 0.05:
                self._faults.told.append(f"last.pt of trial {number}: torn")
                last.write_bytes(last.read_bytes()[:20])

    def _keeping(self, record: Record) -> Any:
        """What writes an event and remembers that it was written."""

        def append(event: str, **fields: Any) -> Line:
            line = record.append(event, **fields)
            self._known.append(line)
            return line

        return append

    def _check_known(self) -> None:
        """All that was ever written down is there, in order, and at most one event that nobody heard of."""
        lines = read_events(self._work.folder)
        assert lines[: len(self._known)] == self._known
        assert len(lines) <= len(self._known) + 1
        self._known = lines

    def _rival(self) -> None:
        """Another driver tries, here or, on object storage, on a machine that takes this one for dead."""
        with self._faults.sparing():
            if isinstance(self._work, StoredSweepFolder) and self._faults.generator.random() < 0.5:
                line = {"event": "resume", "time": "2026-11-22T00:00:00+00:00", "changes": {}, "gpu": None}
                name = f"{EVENTS}/{len(self._known):08d}.json"
                self._work.files.write(name, json.dumps(line).encode() + b"\n", new=True)
                self._known.append(line)
                return
            try:
                with SweepFolder.at(self._work.place).owned():
                    raise AssertionError("two drivers at a time")
            except Driven:
                pass
