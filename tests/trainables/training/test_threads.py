"""Threads of a trial for as long as something runs in its place."""

import pytest
import torch

from glosstune.trainables.training.threads import trial_threads


@pytest.mark.parametrize(("cpus", "threads"), [(0, 1), (0.5, 1), (2, 2)])
def test_threads_are_those_of_a_trial_and_then_as_many_as_before(cpus: float, threads: int) -> None:
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="stopped"), trial_threads(cpus):
        assert torch.get_num_threads() == threads
        raise RuntimeError("stopped")
    assert torch.get_num_threads() == before
