"""Read glosses out of CTC log-probabilities."""

from collections.abc import Sequence

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
    best = log_probs.argmax(dim=-1).T.cpu()  # (batch, time)
    return [collapse(row[:length].tolist()) for row, length in zip(best, lengths.tolist(), strict=True)]


def collapse(path: Sequence[int]) -> list[int]:
    """The classes that an alignment path stands for."""
    return [label for index, label in enumerate(path) if label != BLANK and (index == 0 or path[index - 1] != label)]


def blank_frames(log_probs: Tensor, lengths: Tensor) -> tuple[int, int]:
    """How many valid frames are blank at their best class, and how many are valid."""
    valid = torch.arange(log_probs.shape[0], device=log_probs.device)[:, None] < lengths.to(log_probs.device)
    blank = (log_probs.argmax(dim=-1) == BLANK) & valid
    return int(blank.sum()), int(valid.sum())
