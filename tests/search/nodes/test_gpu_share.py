"""Trials share a GPU as far as their memory and a GPU's sense of busyness allow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glosstune.search import load_sweep
from glosstune.search.nodes.gpu_share import MOST_TRIALS, gpu_share, needed_gb


@pytest.mark.parametrize(
    ("sweep", "overrides", "memory_gb", "share"),
    [
        ("teacher-own", ["corpus.root=/data"], 80.0, 0.25),
        ("teacher-own", ["corpus.root=/data"], 16.0, 0.25),
        ("student", [], 4.0, 1 / 3),
        ("teacher-own", ["corpus.root=/data", "training.batch_size=256"], 30.0, 0.5),
        ("teacher-own", ["corpus.root=/data", "training.batch_size=512"], 24.0, 1.0),
        ("student", [], 0.0, 1.0),
    ],
)
def test_the_packaged_sweeps_share_common_gpus(
    sweep: str, overrides: list[str], memory_gb: float, share: float
) -> None:
    assert gpu_share(load_sweep(sweep, overrides), 200, memory_gb) == share


@given(st.integers(1, 2000), st.floats(0.0, 200.0), st.integers(1, 512))
def test_trials_that_share_a_gpu_fit_into_it(frames: int, memory_gb: float, batch: int) -> None:
    sweep = load_sweep("student", [f"training.batch_size={batch}"])
    share = gpu_share(sweep, frames, memory_gb)
    trials = round(1 / share)
    assert 1 <= trials <= MOST_TRIALS
    assert trials == 1 or trials * needed_gb(sweep, frames) <= memory_gb


@pytest.mark.parametrize("batch", ["{choice: [8, 64]}", "{int: [8, 64]}", "64"])
def test_the_largest_trial_of_the_space_counts(batch: str) -> None:
    searched = load_sweep("student", [f"space.batch_size={batch}"])
    assert needed_gb(searched, 200) == needed_gb(load_sweep("student", ["training.batch_size=64"]), 200)
