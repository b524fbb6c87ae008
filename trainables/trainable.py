"""The Ray Tune Trainable around a training session."""

import faulthandler
import json
import logging
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import torch
from ray import tune

from glosstune.results.reading.names import BEST, HANG, HYPOTHESES, LAST, LOADED, TRIAL_LOG, TRIALS, trial_name
from glosstune.spaces.errors import CheckpointError, FolderError
from glosstune.spaces.files.addresses import join
from glosstune.spaces.files.atomic import write_text, write_whole
from glosstune.spaces.files.folder import Folder, LocalFolder, folder_at
from glosstune.trainables.batches.memory import free_memory, is_out_of_memory
from glosstune.trainables.batches.quicker import with_precision
from glosstune.trainables.corpora import PackedCorpus, pack_corpus
from glosstune.trainables.export.costs import measure_costs
from glosstune.trainables.export.exporting import TrainedRecogniser
from glosstune.trainables.settings import TrialSettings, read_settings
from glosstune.trainables.training.input_files import with_inputs
from glosstune.trainables.training.session import TrainingSession

OUT_OF_MEMORY = "out of memory"


@dataclass(frozen=True)
class TrialContext:
    """What all trials of a sweep share.

    Attributes:
        place: of the sweep, a URI, or an absolute path on storage that all machines share.
        threads: torch threads; more than the trial's CPUs makes concurrent trials several times slower.
        inputs: names of the files in the sweep that trials begin from, by key of their settings.
        objectives: of the sweep: costs among them that have to be measured are.
        hang_min: minutes without a batch, or in which a set-up stands still, after which a process ends; None never.
    """

    place: str
    threads: int
    inputs: Mapping[str, str] = field(default_factory=dict)
    objectives: tuple[str, ...] = ()
    hang_min: float | None = None


class _Watchdog:
    """Ends this process where no batch comes for long: code in C that never returns heeds no signal, and Ray waits.

    A thread does that needs nothing of Python's (faulthandler), and writes first where every thread stands. Before the
    first batch, a corpus may be packed for hours, here or by a process that this one waits for. Both take processor
    time, which a file system that no longer answers does not.
    """

    def __init__(self, path: Path, limit_s: float | None) -> None:
        self._path, self._limit_s = path, limit_s
        self._file: IO[bytes] | None = None
        self._armed = 0.0
        self._watches_set_up = limit_s is not None and sys.platform == "linux"

    @contextmanager
    def watching_set_up(self) -> Iterator[None]:
        """Wait for this thread, and those that it starts and waits for, to compute; Linux alone tells if they do."""
        if not self._watches_set_up:
            yield
            return
        over, mine, before = threading.Event(), threading.current_thread(), set(threading.enumerate())
        watcher = threading.Thread(target=self._beat_while_computing, args=(mine, before, over), daemon=True)
        self._wait_anew()
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()
            self.stop()

    def _beat_while_computing(
        self, mine: threading.Thread, before: set[threading.Thread], over: threading.Event
    ) -> None:
        assert self._limit_s is not None
        known: dict[int, int] = {}
        while not over.wait(self._limit_s / 10):
            # Daemons do not count: they give signs of life for whoever holds a lock.
            threads = [mine, *(each for each in threading.enumerate() if each not in before and not each.daemon)]
            now = {each.native_id: _computed_ns(each.native_id) for each in threads if each.native_id is not None}
            if any(known.get(each) != computed_ns for each, computed_ns in now.items()):
                self._wait_anew()
            known = now

    def know_folder(self) -> None:
        """Have the rest of a set-up that is watched tell in the folder of the trial, which is there now."""
        if self._watches_set_up:
            self.beat()

    def take_last(self) -> str:
        """What the process before this one wrote when it was ended, which is then forgotten."""
        try:
            told = self._path.read_text(encoding="utf-8", errors="replace")
            self._path.unlink()
        except OSError:
            return ""
        return told

    def beat(self) -> None:
        """Begin to wait, or to wait anew."""
        if self._limit_s is None:
            return
        if self._file is None:
            self._file = self._path.open("wb")
        elif time.monotonic() - self._armed < self._limit_s / 10:
            return
        self._wait_anew()

    def stop(self) -> None:
        """Wait no longer."""
        if self._limit_s is not None:
            faulthandler.cancel_dump_traceback_later()
        if self._file is not None:
            self._file.close()
            self._file = None
            self._path.unlink(missing_ok=True)

    def _wait_anew(self) -> None:
        assert self._limit_s is not None
        self._armed = time.monotonic()
        # Before the first beat the folder may lie on what does not answer; then Ray's log says where the threads stood.
        faulthandler.dump_traceback_later(self._limit_s, exit=True, file=self._file or 2)


def _computed_ns(thread: int) -> int:
    """Processor time that a thread has had, by its number in the kernel of Linux; 0 where it has ended."""
    if sys.platform == "win32":
        return 0
    try:
        return time.clock_gettime_ns((~thread << 3) | 6)  # what pthread_getcpuclockid gives, for threads that live
    except OSError:
        return 0


class CTCTrainable(tune.Trainable):
    """One trial, or a part of one: a thin shell around ``TrainingSession``.

    In a Tuner of one's own, with Ray's schedulers, its configuration holds settings (see ``read_settings``). It
    reports the metrics of every epoch, and ``done`` after the last one; ``best.pt``, ``hypotheses.parquet`` and
    ``trial.log`` lie in Ray's folder of the trial, and Ray's checkpoints hold ``last.pt``.

    In a sweep, ``in_sweep`` gives it a ``TrialContext``, and its configuration has ``trial``, ``from_epoch`` and
    ``settings``. ``<place>/trials/0003`` receives ``last.pt`` after every epoch, before the epoch is reported,
    ``best.pt`` and ``hypotheses.parquet`` after every improvement, and ``trial.log``. On object storage all of
    these are sent before the epoch is reported, and fetched by whatever machine goes on. A trial that has a
    ``last.pt`` goes on from it; an epoch in there that was never reported (``from_epoch`` is the last that was) is
    reported first, untrained. With the first epoch goes what the recogniser costs, once for all of a trial's
    processes. Ray's own checkpoints are not used.

    There an error is reported as ``failure`` and ``failure_rule`` instead of metrics: Ray would only try it again. A
    folder or storage that cannot be written ends the process, for elsewhere, or a minute later, it may be possible.
    """

    _session: TrainingSession
    _reported: int

    def setup(self, config: dict[str, Any], context: TrialContext | None = None) -> None:
        self._context = context
        if context is not None:
            torch.set_num_threads(context.threads)
        self._corpus: tuple[dict[str, Any], PackedCorpus] | None = None
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take another trial into the same process, which saves the seconds that a new one needs to start."""
        self._end()
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        if self._failure is not None:
            return self._failure
        if self._session.epoch > self._reported:
            return self._report()
        try:
            self._watchdog.beat()
            self._train_in_memory()
            return self._report()
        except FolderError:
            raise
        except Exception as error:
            failure = self._fail(f"epoch {self._reported + 1} failed", error)
        finally:
            self._watchdog.stop()
        if failure["failure_rule"] == OUT_OF_MEMORY:
            # Here, not above, where the error's traceback still holds on to what fills the memory others need.
            vars(self).pop("_session", None)
            free_memory()
        return failure

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """In a sweep nothing: ``last.pt`` is there already, and where it lies the trial's number says."""
        if self._context is None:
            self._session.save(Path(checkpoint_dir, LAST))

    def load_checkpoint(self, checkpoint_dir: Any) -> None:  # a folder, though Ray declares a dict
        """In a sweep nothing: ``setup`` has loaded ``last.pt``."""
        if self._context is None:
            shutil.copyfile(Path(checkpoint_dir, LAST), self._folder / LAST)
            self._session.load(self._folder / LAST)
            self._reported = self._session.epoch

    def cleanup(self) -> None:
        self._end()

    def _train_in_memory(self) -> None:
        """An epoch; out of memory it is trained again, once, with every batch in two parts."""
        try:
            self._train_epoch()
            return
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            settings = self._session.settings
            if self._session.micro_batches > 1 or settings.training.batch_size == 1:
                raise
            self._log.warning("out of memory (%s); going on with every batch in two parts", _first_line(error))
        # Here, not above, where the error's traceback still holds on to what fills the memory.
        del self._session
        free_memory()
        self._session = self._open(settings)
        self._session.micro_batches = 2
        self._train_epoch()

    def _train_epoch(self) -> None:
        metrics = self._session.run_epoch()
        best, last = self._folder / BEST, self._folder / LAST
        if self._session.improved and self._session.hypotheses is not None:
            self._session.save(best)
            write_whole(self._folder / HYPOTHESES, self._session.hypotheses.to_parquet)
            self._send(BEST, HYPOTHESES)
            # The same again: a copy takes a tenth of the time that torch needs to write it.
            write_whole(last, lambda partial: shutil.copyfile(best, partial))
        else:
            self._session.save(last)
        self._log.info("%s", json.dumps(metrics))
        self._send(LAST, TRIAL_LOG)

    def _report(self) -> dict[str, Any]:
        first, self._reported = self._reported == 0, self._session.epoch
        if self._context is not None:  # the sweep's scheduler knows when a trial is done
            return {**self._session.metrics, **(self._costs(self._context.objectives) if first else {})}
        return {**self._session.metrics, "done": self._reported >= self._session.settings.training.epochs}

    def _costs(self, objectives: Sequence[str]) -> dict[str, float]:
        session = self._session
        settings = with_precision(session.settings, session.precision)
        vocabulary = session.corpus.vocabulary
        recogniser = TrainedRecogniser(session.recogniser.eval(), session.conditioning, vocabulary, settings, {}, {})
        return measure_costs(recogniser, session.corpus, objectives)

    def _begin(self, config: Mapping[str, Any]) -> None:
        self._failure: dict[str, Any] | None = None
        self._files: Folder
        if self._context is None:
            self._reported, plain = 0, config
            self._files = LocalFolder(Path(self.logdir))
            self._files.remove(LAST)  # Ray says where to go on
        else:
            self._reported, plain = config["from_epoch"], config["settings"]
            self._files = folder_at(self._context.place).below(TRIALS, trial_name(config["trial"]))
        self._folder = self._files.here
        limit_min = self._context.hang_min if self._context is not None else None
        self._watchdog = _Watchdog(self._folder / HANG, None if limit_min is None else 60 * limit_min)
        with self._watchdog.watching_set_up():
            self._set_up(plain)

    def _set_up(self, plain: Mapping[str, Any]) -> None:
        self._tags = dict(self._files.names())
        self._folder.mkdir(parents=True, exist_ok=True)
        self._files.fetch(TRIAL_LOG)
        self._log = logging.getLogger(f"glosstune.trial.{self._folder.name}")
        self._log.setLevel(logging.INFO)
        self._log.propagate = False
        handler = logging.FileHandler(self._folder / TRIAL_LOG, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._log.addHandler(handler)
        if last := self._watchdog.take_last():
            self._log.warning("no batch came for long, and the process was ended where it stood:\n%s", last)
        self._watchdog.know_folder()
        try:
            settings = read_settings(plain)
            known = settings.model_dump_json(exclude_defaults=True)
            self._log.info("configuration %s, from epoch %d", known, self._reported)
            if self._context is not None:
                settings = with_inputs(settings, self._context.inputs, folder_at(self._context.place))
            self._session = self._open(settings)
        except FolderError:
            raise
        except Exception as error:
            self._fail("the trial could not start", error)

    def _open(self, settings: TrialSettings) -> TrainingSession:
        """The session, as far as the trial has come."""
        session = self._new_session(settings)
        if (report := session.load_report) is not None:
            described = json.dumps(report.to_mapping(), indent=1)
            write_text(self._folder / LOADED, described)
            self._send(LOADED)
        last = self._files.fetch(LAST)
        if last is None:
            return session
        try:
            session.load(last)
        except CheckpointError as error:
            self._log.warning("%s; the trial starts over, which under its seed gives the same epochs", error)
            return self._new_session(settings)
        if session.epoch > self._reported + 1:
            self._log.warning("%s has %d epochs, %d were reported; starting over", last, session.epoch, self._reported)
            return self._new_session(settings)
        return session

    def _new_session(self, settings: TrialSettings) -> TrainingSession:
        return TrainingSession(settings, self._packed(settings), say=self._log.info, alive=self._watchdog.beat)

    def _send(self, *names: str) -> None:
        """Have files of the trial where they outlive this machine.

        FolderError where another process has sent one since: a node that was given up and lives on trains no more.
        """
        for name in names:
            if not (self._folder / name).exists():
                continue
            try:
                self._tags[name] = self._files.replace(name, self._tags.get(name))
            except FileExistsError:
                raise FolderError(f"{join(self._files.place, name)}: another process trains this trial now") from None

    def _fail(self, what: str, error: Exception) -> dict[str, Any]:
        self._log.error("%s\n%s", what, traceback.format_exc())
        self._send(TRIAL_LOG)
        if self._context is None:  # which is what Ray's schedulers and their users know
            raise error
        rule = OUT_OF_MEMORY if is_out_of_memory(error) else "error"
        self._failure = {"failure": _first_line(error), "failure_rule": rule}
        return self._failure

    def _packed(self, settings: TrialSettings) -> PackedCorpus:
        # Gains differ from trial to trial; the packed corpus does not depend on them.
        source = settings.corpus.model_dump(exclude={"gains", "noise_floor"})
        if self._corpus is None or self._corpus[0] != source:
            self._corpus = source, pack_corpus(settings.corpus)
        return self._corpus[1]

    def _end(self) -> None:
        for handler in list(self._log.handlers):
            handler.close()
            self._log.removeHandler(handler)
        vars(self).pop("_session", None)  # before the next one: it holds memory, and a store that may have to make room
        self._files.forget()  # all of it is there, and a cache is no place for every trial of a sweep


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def in_sweep(kind: type[CTCTrainable], context: TrialContext, **more: Any) -> type[CTCTrainable]:
    """The Trainable of a sweep's trials.

    Not by ``tune.with_parameters``: that has the driver keep an object in Ray's store, and when Ray is stopped on its
    machine, Ray ends a driver that has lost one, with status 1 and without a word.

    Args:
        more: handed to ``setup`` too.
    """

    class InSweep(kind):  # type: ignore[misc, valid-type]  # a class is known when this runs
        def setup(self, config: dict[str, Any]) -> None:
            super().setup(config, context, **more)

    InSweep.__name__ = InSweep.__qualname__ = kind.__name__  # by which Ray calls its processes
    return InSweep
