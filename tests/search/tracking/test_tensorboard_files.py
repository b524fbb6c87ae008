"""TensorBoard's files hold every epoch of every trial once, whatever drivers come and go."""

import struct
from collections.abc import Iterator
from pathlib import Path

from replay import Tape, drive, learning, sweep
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import masked_crc32c

from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.search.scheduler.trial import TrialState
from glosstune.search.tracking.tensorboard_files import TensorBoardFiles


def _events(path: Path) -> Iterator[Event]:
    content = path.read_bytes()
    while content:
        (size,) = struct.unpack("<Q", content[:8])
        event = content[12 : 12 + size]
        sums = struct.unpack("<I", content[8:12]) + struct.unpack("<I", content[12 + size : 16 + size])
        assert sums == (masked_crc32c(content[:8]), masked_crc32c(event))
        yield Event.FromString(event)
        content = content[16 + size :]


def _shown(folder: Path, number: int) -> dict[int, dict[str, float]]:
    """Metrics by epoch; every file has to say which version it is of."""
    epochs: dict[int, dict[str, float]] = {}
    for path in sorted(folder.glob(f"tensorboard/{number:04d}/*tfevents*")):
        version, *events = _events(path)
        assert version.file_version == "brain.Event:2"
        for event in events:
            assert event.step not in epochs
            epochs[event.step] = {value.tag: value.simple_value for value in event.summary.value}
    return epochs


def _rounded(trial: TrialState) -> dict[int, dict[str, float]]:
    """A curve in the single precision of the files."""
    return {
        epoch: {name: struct.unpack("<f", struct.pack("<f", value))[0] for name, value in metrics.items()}
        for epoch, metrics in enumerate(trial.curve, start=1)
    }


def test_every_metric_of_every_epoch_is_written(tmp_path: Path) -> None:
    scheduler = Scheduler(sweep(), Tape().append)
    board = TensorBoardFiles(tmp_path, {})
    drive(scheduler, lambda configuration, epoch: {**learning(configuration, epoch), "perplexity": 3.0})
    for trial in scheduler.state.trials.values():
        board.show(trial)
    assert all(_shown(tmp_path, number) == _rounded(trial) for number, trial in scheduler.state.trials.items())


def test_another_driver_writes_what_the_first_one_has_not(tmp_path: Path) -> None:
    trial = TrialState(0, {}, "tpe", curve=[{"wer": 1.0}, {"wer": 0.5}])
    TensorBoardFiles(tmp_path, {}).show(trial)
    board = TensorBoardFiles(tmp_path, {0: trial})
    board.show(trial)
    trial.curve.append({"wer": 0.25})
    board.show(trial)
    assert _shown(tmp_path, 0) == {1: {"wer": 1.0}, 2: {"wer": 0.5}, 3: {"wer": 0.25}}


def test_what_was_not_finite_is_left_out(tmp_path: Path) -> None:
    TensorBoardFiles(tmp_path, {}).show(TrialState(0, {}, "tpe", curve=[{"wer": None, "dev_loss": 2.0}]))
    assert _shown(tmp_path, 0) == {1: {"dev_loss": 2.0}}
