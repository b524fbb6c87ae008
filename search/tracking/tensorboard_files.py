"""Every metric of every trial for TensorBoard, below ``tensorboard`` in the sweep's folder."""

import os
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import masked_crc32c

from glosstune.results.reading.names import TENSORBOARD, trial_name
from glosstune.search.scheduler.ranking import Metrics
from glosstune.search.scheduler.trial import TrialState


class TensorBoardFiles:
    """Writes what a trial has newly reported; what was there when it was opened it takes for written.

    No file stays open: the writers of tensorboardX keep two threads and three open files for each trial.
    """

    def __init__(self, folder: Path, trials: Mapping[int, TrialState]) -> None:
        self._folder = folder / TENSORBOARD
        self._written = {number: trial.epoch for number, trial in trials.items()}
        # Every driver has files of its own: behind what a crash has torn nothing can be read.
        self._name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}"

    def show(self, trial: TrialState, *, final: bool = False) -> None:
        """Bring one trial up to date."""
        first = self._written.get(trial.number, 0)
        if first == trial.epoch:
            return
        folder, now = self._folder / trial_name(trial.number), time.time()
        folder.mkdir(parents=True, exist_ok=True)
        events = [
            Event(wall_time=now, step=epoch, summary=_summary(metrics))
            for epoch, metrics in enumerate(trial.curve[first:], start=first + 1)
        ]
        with (folder / self._name).open("ab") as file:
            if file.tell() == 0:
                events.insert(0, Event(wall_time=now, file_version="brain.Event:2"))
            file.write(b"".join(_framed(event.SerializeToString()) for event in events))
        self._written[trial.number] = trial.epoch

    def close(self) -> None:
        """Nothing: every call leaves whole files."""


def _summary(metrics: Metrics) -> Summary:
    shown = {name: value for name, value in metrics.items() if value is not None}
    return Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in shown.items()])


def _framed(event: bytes) -> bytes:
    """An event as TensorFlow's files keep it: its length and itself, each with a checksum."""
    length = struct.pack("<Q", len(event))
    sums = (struct.pack("<I", masked_crc32c(part)) for part in (length, event))
    return length + next(sums) + event + next(sums)
