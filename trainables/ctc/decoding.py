"""Read glosses out of CTC log-probabilities."""

import math
from itertools import pairwise

import torch
from torch import Tensor

from glosstune.trainables.corpora.vocabulary import BLANK


def greedy_decode(log_probs: Tensor, lengths: Tensor) -> list[list[int]]:
    """Best class of each valid frame, repeats merged, blanks removed.

    Source: Graves et al. 2006, best path decoding.

    Args:
        log_probs: (time, batch, gloss).
        lengths: (batch,) valid frames; what lies behind them is not read.

    Returns:
        classes of each utterance, without blanks.
    """
    best = log_probs.argmax(dim=-1).T  # (batch, time)
    kept = (best != BLANK) & (torch.arange(best.shape[1]) < lengths[:, None]).to(best.device)
    kept[:, 1:] &= best[:, 1:] != best[:, :-1]
    classes = best[kept].tolist()
    ends = kept.sum(1).cumsum(0).tolist()
    return [classes[start:end] for start, end in pairwise([0, *ends])]


def beam_decode(log_probs: Tensor, lengths: Tensor, beam: int = 10, least: float = -12.0) -> list[list[int]]:
    """The most probable output of each utterance, summed over its alignment paths, by prefix beam search.

    Source: Hannun et al. 2014, without a language model. With a beam as wide as there are prefixes it is exact.

    Args:
        log_probs: (time, batch, gloss).
        lengths: (batch,) valid frames; what lies behind them is not read.
        beam: prefixes that are kept after each frame.
        least: classes below this log-probability do not begin or extend a prefix in a frame.

    Returns:
        classes of each utterance, without blanks.
    """
    frames = log_probs.detach().float().cpu()
    return [_search(frames[:length, place], beam, least) for place, length in enumerate(lengths.tolist())]


def _search(frames: Tensor, beam: int, least: float) -> list[int]:
    """Prefix beam search over one utterance (time, gloss)."""
    # Log-probabilities of all paths so far that give a prefix: those that end in a blank, and those that do not.
    beams: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -math.inf)}
    for frame in frames:
        likely = [BLANK, *(label for label in torch.nonzero(frame >= least).flatten().tolist() if label != BLANK)]
        scores = frame.tolist()
        ends: dict[tuple[int, ...], list[float]] = {}
        for prefix, (blank, label_end) in beams.items():
            whole = _add(blank, label_end)
            for label in likely:
                if label == BLANK:
                    _extend(ends, prefix, 0, whole + scores[label])
                elif prefix and label == prefix[-1]:
                    _extend(ends, prefix, 1, label_end + scores[label])
                    _extend(ends, (*prefix, label), 1, blank + scores[label])
                else:
                    _extend(ends, (*prefix, label), 1, whole + scores[label])
        best = sorted(ends.items(), key=lambda item: _add(*item[1]), reverse=True)[:beam]
        beams = {prefix: (both[0], both[1]) for prefix, both in best}
    return list(max(beams.items(), key=lambda item: _add(*item[1]))[0])


def _extend(ends: dict[tuple[int, ...], list[float]], prefix: tuple[int, ...], which: int, score: float) -> None:
    both = ends.setdefault(prefix, [-math.inf, -math.inf])
    both[which] = _add(both[which], score)


def _add(one: float, other: float) -> float:
    """log(exp(one) + exp(other))"""
    high, low = max(one, other), min(one, other)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))


def blank_frames(log_probs: Tensor, lengths: Tensor) -> tuple[int, int]:
    """How many valid frames are blank at their best class, and how many are valid."""
    valid = torch.arange(log_probs.shape[0], device=log_probs.device)[:, None] < lengths.to(log_probs.device)
    blank = (log_probs.argmax(dim=-1) == BLANK) & valid
    return int(blank.sum()), int(valid.sum())
