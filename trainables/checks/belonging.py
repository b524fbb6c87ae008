"""Whether transcripts belong to the signing that they stand beside: what glosses explain of it, own and others'."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from glosstune.trainables.ctc.alignment import uniform_cuts

_TIMES = 10
_COLUMNS = 256  # at most, spread over all; more would tell the same
_VARIES = 1e-12


def compare_transcripts(
    signing: Sequence[npt.NDArray[np.floating]], glosses: Sequence[Sequence[str]], seed: int
) -> dict[str, float]:
    """What the glosses of utterances, cut evenly, explain of the signing, and what transcripts of other utterances do.

    Others' are drawn ten times. Words that stand at the beginning of every sentence explain something there too, which
    is why single glosses are not exchanged.

    Args:
        signing: (time, value) each.

    Returns:
        ``explained``, ``by others`` in the mean and its ``deviation``, shares of the variance; ``utterances``, and
        ``segments``, as many as there are glosses.
    """
    if not signing:
        return {}
    columns = np.unique(np.linspace(0, signing[0].shape[1] - 1, _COLUMNS).round().astype(int))
    sums = [np.pad(np.cumsum(values[:, columns], axis=0, dtype=np.float64), ((1, 0), (0, 0))) for values in signing]
    generator = np.random.default_rng(seed)
    own = _of_segments(sums, glosses)
    others = [_of_segments(sums, [glosses[i] for i in generator.permutation(len(glosses))]) for _ in range(_TIMES)]
    return {
        "explained": own,
        "by others": float(np.mean(others)),
        "deviation": float(np.std(others)),
        "utterances": len(signing),
        "segments": sum(map(len, glosses)),
    }


def explained(segments: npt.NDArray[np.floating], labels: Sequence[str]) -> float:
    """Share of the variance of segments (segment, value) between glosses, mean over values that vary."""
    if len(segments) < 2:
        return 0.0
    total = segments.var(axis=0)
    _, places = np.unique(np.asarray(labels), return_inverse=True)
    counts = np.bincount(places)
    sums = np.add.reduceat(
        segments[np.argsort(places, kind="stable")], np.cumsum(counts) - counts, axis=0, dtype=np.float64
    )
    between = (counts[:, None] * (sums / counts[:, None] - segments.mean(axis=0)) ** 2).sum(axis=0) / len(segments)
    varies = total > _VARIES
    return float((between[varies] / total[varies]).mean()) if varies.any() else 0.0


def _of_segments(sums: Sequence[npt.NDArray[np.float64]], glosses: Sequence[Sequence[str]]) -> float:
    means, labels = [], []
    for total, own in zip(sums, glosses, strict=True):
        cuts = (uniform_cuts(len(own)) * (len(total) - 1)).round().astype(int).tolist()
        for gloss, (first, last) in zip(own, pairwise(cuts), strict=True):
            if last > first:  # a transcript of another utterance may be longer than this one
                means.append((total[last] - total[first]) / (last - first))
                labels.append(gloss)
    return explained(np.array(means), labels)
