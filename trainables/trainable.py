"""The Ray Tune Trainable around a training session."""

import gc
import json
import logging
import shutil
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from ray import tune

from glosstune.results.reading.names import BEST, HYPOTHESES, LAST, LOADED, TRIAL_LOG, TRIALS, trial_name
from glosstune.spaces.errors import CheckpointError, FolderError
from glosstune.spaces.files.atomic import write_whole
from glosstune.spaces.files.object_storage import ObjectFolder, join, local_folder
from glosstune.trainables.corpora import PackedCorpus, pack_corpus
from glosstune.trainables.settings import TrialSettings
from glosstune.trainables.training.input_files import InputFile, with_inputs
from glosstune.trainables.training.session import TrainingSession

OUT_OF_MEMORY = "out of memory"


@dataclass(frozen=True)
class TrialContext:
    """What all trials of a sweep share.

    Attributes:
        build: turns a configuration into the settings of a trial.
        folder: the sweep's folder, absolute, on storage that all machines share.
        threads: torch threads; more than the trial's CPUs makes concurrent trials several times slower.
        uri: of the sweep where it is on object storage; ``folder`` is then one that every machine makes for itself.
        inputs: the files that trials begin from, by key of their settings.
    """

    build: Callable[[Mapping[str, object]], TrialSettings]
    folder: Path
    threads: int
    uri: str | None = None
    inputs: Mapping[str, InputFile] = field(default_factory=dict)


class CTCTrainable(tune.Trainable):
    """One trial, or a part of one: a thin shell around ``TrainingSession`` that writes into the sweep's folder.

    ``<folder>/trials/0003`` receives ``last.pt`` after every epoch, before the epoch is reported, ``best.pt`` and
    ``hypotheses.parquet`` after every improvement, and ``trial.log``. A trial that has a ``last.pt`` goes on from
    it; an epoch in there that was never reported (``from_epoch`` of the configuration is the last that was) is
    reported first, untrained. Ray's own checkpoints are not used.

    On object storage all of these are sent before the epoch is reported, and fetched by whatever machine goes on.

    An error is reported as ``failure`` and ``failure_rule`` instead of metrics: Ray would only try it again. A folder
    or storage that cannot be written ends the process, for elsewhere, or a minute later, it may be possible.

    ``tune.with_parameters(CTCTrainable, context=...)`` gives it a ``TrialContext``.
    """

    _session: TrainingSession
    _objects: ObjectFolder | None
    _tags: dict[str, str]
    _reported: int

    def setup(self, config: dict[str, Any], context: TrialContext | None = None) -> None:
        assert context is not None, "use tune.with_parameters(CTCTrainable, context=TrialContext(...))"
        self._context = context
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
            self._reported = self._session.epoch
            return dict(self._session.metrics)
        try:
            return self._train_in_memory()
        except FolderError:
            raise
        except Exception as error:
            failure = self._fail(f"epoch {self._reported + 1} failed", error)
        if failure["failure_rule"] == OUT_OF_MEMORY:
            # Here, not above, where the error's traceback still holds on to what fills the memory others need.
            vars(self).pop("_session", None)
            _free_memory()
        return failure

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: ``last.pt`` is there already, and where it lies the trial's number says."""

    def load_checkpoint(self, checkpoint_dir: Any) -> None:  # a folder, though Ray declares a dict
        """Nothing: ``setup`` has loaded ``last.pt``."""

    def cleanup(self) -> None:
        self._end()

    def _train_in_memory(self) -> dict[str, Any]:
        """An epoch; out of memory it is trained again, once, with every batch in two parts."""
        try:
            return self._train_epoch()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            settings = self._session.settings
            if self._session.micro_batches > 1 or settings.training.batch_size == 1:
                raise
            self._log.warning("out of memory (%s); going on with every batch in two parts", _first_line(error))
        # Here, not above, where the error's traceback still holds on to what fills the memory.
        del self._session
        _free_memory()
        self._session = self._open(settings)
        self._session.micro_batches = 2
        return self._train_epoch()

    def _train_epoch(self) -> dict[str, Any]:
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
        self._reported = self._session.epoch
        self._log.info("%s", json.dumps(metrics))
        self._send(LAST, TRIAL_LOG)
        return dict(metrics)

    def _begin(self, config: Mapping[str, Any]) -> None:
        number, self._reported = config["trial"], config["from_epoch"]
        self._failure: dict[str, Any] | None = None
        uri, self._objects, folder = self._context.uri, None, self._context.folder
        if uri is not None:
            # A home, and so a cache, may lie elsewhere on this machine.
            folder = local_folder(uri, "sweeps")
            self._objects = ObjectFolder(join(uri, TRIALS, trial_name(number)))
            self._tags = dict(self._objects.names())
        self._folder = folder / TRIALS / trial_name(number)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._fetch(TRIAL_LOG)
        parameters = {name: value for name, value in config.items() if name not in ("trial", "from_epoch")}
        self._log = logging.getLogger(f"glosstune.trial.{number}")
        self._log.setLevel(logging.INFO)
        self._log.propagate = False
        handler = logging.FileHandler(self._folder / TRIAL_LOG, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._log.addHandler(handler)
        self._log.info("configuration %s, from epoch %d", json.dumps(parameters), self._reported)
        try:
            self._session = self._open(with_inputs(self._context.build(parameters), self._context.inputs))
        except FolderError:
            raise
        except Exception as error:
            self._fail("the trial could not start", error)

    def _open(self, settings: TrialSettings) -> TrainingSession:
        """The session, as far as the trial has come."""
        session = self._new_session(settings)
        if (report := session.load_report) is not None:
            described = json.dumps(report.to_mapping(), indent=1)
            write_whole(self._folder / LOADED, lambda partial: partial.write_text(described))
            self._send(LOADED)
        last = self._folder / LAST
        self._fetch(LAST)
        if not last.exists():
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
        return TrainingSession(settings, self._packed(settings), say=self._log.info)

    def _send(self, *names: str) -> None:
        """Have files of the trial where they outlive this machine.

        FolderError where another process has sent one since: a node that was given up and lives on trains no more.
        """
        for name in names:
            if self._objects is None or not (self._folder / name).exists():
                continue
            try:
                self._tags[name] = self._objects.replace(name, self._folder / name, self._tags.get(name))
            except FileExistsError:
                raise FolderError(f"{join(self._objects.uri, name)}: another process trains this trial now") from None

    def _fetch(self, name: str) -> None:
        """Have a file as it was left by whatever machine trained last, or not at all."""
        if self._objects is not None and not self._objects.download(name, self._folder / name):
            (self._folder / name).unlink(missing_ok=True)

    def _fail(self, what: str, error: Exception) -> dict[str, Any]:
        self._log.error("%s\n%s", what, traceback.format_exc())
        self._send(TRIAL_LOG)
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
        if self._objects is not None:  # all of it is there, and a cache is no place for every trial of a sweep
            shutil.rmtree(self._folder, ignore_errors=True)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory, a GPU's or the machine's, is used up."""
    # PyTorch's allocator of the CPU has no error of its own.
    full = isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    return full or isinstance(error, torch.OutOfMemoryError | MemoryError)


def _free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
