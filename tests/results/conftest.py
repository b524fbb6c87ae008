"""Sweeps as they lie on the disk."""

from pathlib import Path

import pandas as pd
import pytest
from sweep_folder import SweepFolder


@pytest.fixture
def sweep(tmp_path: Path) -> SweepFolder:
    """A sweep that has just begun."""
    return SweepFolder(tmp_path / "demo")


@pytest.fixture
def weighed(tmp_path: Path) -> SweepFolder:
    """Eight trials of a sweep that weighed WER against parameters; 4, 1 and 0 are its front."""
    sweep = SweepFolder(tmp_path / "weighed", objectives=["wer", "parameters"])
    reached = [(0.2, 9e4), (0.3, 4e4), (0.35, 5e4), (1.0, 1e3), (0.5, 2e4), (0.3, 4e4), (0.9, 3e4), (0.1, None)]
    for trial, (wer, parameters) in enumerate(reached):
        sweep.start(trial, width=(trial + 1) / 10, strategy="baseline")
        costs = None if parameters is None else {"parameters": parameters, "size_mb": 4 * parameters / 1e6}
        sweep.report(trial, 1, costs=costs, wer=1.0, dev_loss=2.0 + wer)
        sweep.report(trial, 2, wer=wer, dev_loss=1.0 + wer)
        sweep.end(trial, "finished", "all epochs")
    return sweep


@pytest.fixture
def four_trials(sweep: SweepFolder) -> SweepFolder:
    """Four trials: finished, stopped, failed and running."""
    sweep.start(0, strategy="baseline", learning_rate=1e-3, warmup_epochs=2, discriminative=True)
    sweep.start(1, strategy="progressive", learning_rate=3e-4, unfreeze_stages=4)
    for epoch in range(1, 7):
        wer = (1.0, 0.9, 0.6, 0.28, 0.31, 0.29)[epoch - 1]
        size = 100 if epoch < 4 else 200
        sweep.report(0, epoch, wer=wer, train_loss=4.0 / epoch, epoch_s=2.5, trainable_params=size, nonfinite_steps=0)
        if epoch < 3:
            sweep.report(1, epoch, wer=1.0, train_loss=3.7, epoch_s=1.5, loss_below_floor=-0.02)
    sweep.end(0, "finished", "all epochs")
    sweep.end(1, "stopped", "below the best third at rung 2")
    sweep.start(2, strategy="baseline", learning_rate=5e-3)
    sweep.end(2, "failed", "out of memory", error="tried to allocate 2 GiB")
    sweep.start(3, strategy="baseline", learning_rate=2e-3)
    sweep.report(3, 1, wer=0.97)
    sweep.add_file(0, "best.pt")
    sweep.add_file(0, "last.pt")
    sweep.add_file(1, "last.pt")
    return sweep


@pytest.fixture
def searched(sweep: SweepFolder) -> SweepFolder:
    """Six trials of two strategies that came to a rung, one of which goes on, with the best one's hypotheses."""
    sweep.settle("space: {learning_rate: {float: [1e-5, 1e-1], log: true}}\nresources: {cpu: 1, gpu: 0.5}\n")
    for trial, (rate, wer) in enumerate(
        [(1e-3, 0.5), (1e-5, 0.9), (1e-2, 0.4), (1e-4, 0.7), (3e-3, 0.2), (5e-2, 0.95)]
    ):
        depth = (
            {"strategy": "progressive", "unfreeze_stages": 2 + trial // 2} if trial % 2 else {"strategy": "baseline"}
        )
        sweep.start(trial, learning_rate=rate, **depth)
        for epoch in (1, 2, 3):
            metrics = {"train_loss": wer * 4 / epoch, "dev_loss": wer * 4, "epoch_s": 9.0}
            sweep.report(trial, epoch, second=40 * trial + 10 * epoch, wer=1 - (1 - wer) * epoch / 3, **metrics)
        if trial != 4:
            sweep.append(
                event="end", trial=trial, status="stopped", rule="halving", reason="halving: <b>6th</b></script>"
            )
    sweep.end(4, "finished", "all epochs")
    pd.DataFrame({"key": ["a"], "reference": ["A B C"], "hypothesis": ["A X"]}).to_parquet(
        sweep.add_file(4, "hypotheses.parquet")
    )
    sweep.add_file(4, "best.pt")
    return sweep
