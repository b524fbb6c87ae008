"""The torch threads that a trial has, for as long as something runs in its place."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def trial_threads(cpus: float) -> Iterator[None]:
    """As many torch threads as a trial of so many CPUs has; afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, int(cpus)))
    try:
        yield
    finally:
        torch.set_num_threads(before)
