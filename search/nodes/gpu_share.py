"""How much of a GPU and of memory a trial takes where the sweep does not say: what was measured of models."""

from collections.abc import Iterator

from glosstune.models.kinds import architecture_of
from glosstune.search.config.sweep import Sweep
from glosstune.spaces import Choice, Float, Int
from glosstune.spaces.files.machine import usable_memory

_MEASURED_FRAMES = 16 * 200  # that a model's peak_gb is of
# CUDA's own, of every process, and what lies between two peaks in fragments.
_CONTEXT_GB, _RESERVE = 0.6, 1.5
# More of them than four take turns anyway: at four a GPU is busy, and every one wants a CPU core.
MOST_TRIALS = 4
# Estimated from the packaged teacher and student on Linux without a GPU, two trials at a time: each took 1.1 to 1.3 GB,
# with its share of what both map (Pss), and all around them, the driver and what Ray starts, 0.8 to 1.2 GB.
_TRIAL_BYTES, _AROUND_BYTES = 1_200_000_000, 1_200_000_000


def needed_gb(sweep: Sweep, frames: int) -> float:
    """GB that the largest trial of a sweep takes on a GPU.

    Args:
        frames: of the longest training utterance.
    """
    batch = max(_values(sweep, "batch_size", sweep.training.batch_size))
    width = max(_values(sweep, "width", sweep.model.width))
    peak = architecture_of(sweep.model.kind).peak_gb * max(width, 0.25) * batch * frames / _MEASURED_FRAMES
    return _CONTEXT_GB + _RESERVE * peak


def gpu_share(sweep: Sweep, frames: int, memory_gb: float) -> float:
    """The share of a GPU of ``memory_gb`` for one trial, 1/n; 1 where it takes more than half of it."""
    return 1 / max(1, min(MOST_TRIALS, int(memory_gb / needed_gb(sweep, frames))))


def fit_in_memory() -> int:
    """Trials at a time that this machine has memory for, by an estimate.

    One at least: a sweep that may fail is told when it does.
    """
    return max(1, (usable_memory() - _AROUND_BYTES) // _TRIAL_BYTES)


def _values(sweep: Sweep, name: str, constant: float) -> Iterator[float]:
    """What a parameter may be at most, in each of its definitions, or the constant."""
    yield from () if name in sweep.space else (constant,)
    for definition in sweep.space.get(name, ()):
        if isinstance(definition, Float | Int):
            yield float(definition.high)
        elif isinstance(definition, Choice):
            yield from (float(option) for option in definition.options if isinstance(option, int | float))
        else:
            yield float(str(definition.value))
