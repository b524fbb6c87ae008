"""Where in time the glosses of a sentence lie: evenly, or on the best path of a CTC model."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from glosstune.trainables.corpora.vocabulary import BLANK

Cuts = npt.NDArray[np.float64]  # (gloss + 1,): where each gloss begins and ends, as fractions of the sentence


def uniform_cuts(glosses: int) -> Cuts:
    """Every gloss takes an equal share of the time (Koller et al. 2017 start so)."""
    return np.linspace(0.0, 1.0, glosses + 1)


def ctc_spans(log_probs: npt.NDArray[np.float32], target: Sequence[int]) -> list[tuple[int, int]] | None:
    """First and last frame of each gloss on the most probable CTC path that spells the target (Viterbi).

    Args:
        log_probs: (time, class) of one utterance, its valid frames only.
        target: classes without blanks.

    Returns:
        None where there are too few frames for the target, or the model rules every path out.
    """
    states = np.full(2 * len(target) + 1, BLANK)
    states[1::2] = target
    # A path may jump over the blank between two different glosses.
    jumps = np.zeros(len(states), dtype=np.bool_)
    jumps[3::2] = states[3::2] != states[1:-2:2]
    score = np.full(len(states), -np.inf)
    score[:2] = log_probs[0, states[:2]]
    steps = np.zeros((len(log_probs), len(states)), dtype=np.int64)  # states that the best path came from, backwards
    for time in range(1, len(log_probs)):
        stay, one, two = score, np.full_like(score, -np.inf), np.full_like(score, -np.inf)
        one[1:] = score[:-1]
        two[2:] = np.where(jumps[2:], score[:-2], -np.inf)
        choices = np.stack((stay, one, two))
        steps[time] = choices.argmax(0)
        score = choices.max(0) + log_probs[time, states]
    state = len(states) - 1 if score[-1] >= score[-2] else len(states) - 2
    if not np.isfinite(score[state]):
        return None
    path = np.empty(len(log_probs), dtype=np.int64)
    for time in range(len(log_probs) - 1, -1, -1):
        path[time] = state
        state -= steps[time, state]
    found = [np.flatnonzero(path == 2 * place + 1) for place in range(len(target))]
    return [(int(frames[0]), int(frames[-1])) for frames in found]


def aligned_cuts(spans: Sequence[tuple[int, int]], frames: int) -> Cuts:
    """Cuts halfway between the frames where CTC writes neighbouring glosses: it writes one frame of a sign, not all."""
    borders = [(last + 1 + first) / 2 for (_, last), (first, _) in pairwise(spans)]
    return np.array([0.0, *(border / frames for border in borders), 1.0])


def frame_labels(cuts: Cuts, target: Sequence[int], frames: int) -> npt.NDArray[np.int64]:
    """The class of each output frame (frame,): that of the gloss in whose share its middle lies."""
    middles = (np.arange(frames) + 0.5) / frames
    return np.asarray(target, dtype=np.int64)[np.searchsorted(cuts[1:-1], middles, side="right")]
