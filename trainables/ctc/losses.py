"""CTC loss that counts what it cannot align, and the floor that a model blind to its input reaches."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from glosstune.trainables.corpora.vocabulary import BLANK


@dataclass(frozen=True)
class CTCLoss:
    """Loss of one batch.

    Attributes:
        mean: nats a gloss, averaged over the feasible utterances; 0 where there is none.
        feasible: (batch,) bool; an utterance with more glosses than output frames has no alignment.
        squares: sum over the feasible utterances of the squared loss, for the spread between utterances.
    """

    mean: Tensor
    feasible: Tensor
    squares: Tensor

    def detached(self, share: float) -> "CTCLoss":
        """Without its graph, ``mean`` as this share of a larger one."""
        return CTCLoss(self.mean.detach() * share, self.feasible, self.squares)


def sum_losses(parts: Sequence[CTCLoss]) -> CTCLoss:
    """The loss of a batch from its parts, whose means are their shares of the whole one's."""
    if len(parts) == 1:
        return parts[0]
    mean, squares = (torch.stack([getattr(part, name) for part in parts]).sum() for name in ("mean", "squares"))
    return CTCLoss(mean, torch.cat([part.feasible for part in parts]), squares)


def shares_of_parts(
    targets: Sequence[Sequence[Sequence[int]]], frames: Sequence[Sequence[int]]
) -> list[tuple[float, float]]:
    """What the means of a batch's parts count in that of the whole: of CTC by what can be aligned, then by frames.

    Args:
        targets: of each part, the classes of each utterance.
        frames: of each part, the output frames of each utterance.
    """
    usable = [
        sum(frames_needed(target) <= count for target, count in zip(*part, strict=True))
        for part in zip(targets, frames, strict=True)
    ]
    total = sum(map(sum, frames))
    return [(own / max(1, sum(usable)), sum(counts) / total) for own, counts in zip(usable, frames, strict=True)]


def frames_needed(glosses: Sequence[object]) -> int:
    """Output frames that CTC needs at least: one a gloss, and a blank between equal neighbours."""
    return len(glosses) + sum(a == b for a, b in pairwise(glosses))


def ctc_loss(log_probs: Tensor, lengths: Tensor, targets: Sequence[Sequence[int]]) -> CTCLoss:
    """Connectionist temporal classification, normalised by the glosses of each utterance.

    Source: Graves et al. 2006; in float32 whatever the model's precision.

    Args:
        log_probs: (time, batch, gloss), log-softmax.
        lengths: (batch,) valid output frames.
        targets: classes of each utterance, without blanks, none empty.
    """
    needed = torch.tensor([frames_needed(target) for target in targets])
    feasible = (needed <= lengths.cpu()).to(log_probs.device, non_blocking=True)
    sizes = torch.tensor([len(target) for target in targets])
    flat = torch.tensor([label for target in targets for label in target])
    losses = F.ctc_loss(
        log_probs.float(),
        flat.to(log_probs.device, non_blocking=True),
        lengths.cpu(),
        sizes,
        blank=BLANK,
        reduction="none",
        zero_infinity=True,
    )
    per_gloss = losses / sizes.to(losses.device, non_blocking=True) * feasible
    return CTCLoss(per_gloss.sum() / feasible.sum().clamp_min(1), feasible, per_gloss.detach().square().sum())


def ctc_floor(lengths: Sequence[int], targets: Sequence[Sequence[int]], *, sample: int = 512, steps: int = 30) -> float:
    """The best CTC loss that one fixed distribution over glosses reaches for every frame of every utterance.

    A model whose training loss stays here has learned nothing from its input, whatever its WER.
    Found by L-BFGS on the distribution's logits, from a low and a high share of blanks: a start where
    both explain the data equally well can be a saddle.

    Args:
        lengths: output frames of each utterance (after the model's time stride).
        targets: classes of each utterance; infeasible ones are left out.
        sample: at most this many utterances, evenly spaced, so that it takes seconds on any corpus;
            a larger corpus gets an estimate.

    Returns:
        nats a gloss, comparable with ``ctc_loss``; 0 where no utterance is feasible.
    """
    usable = [
        (length, list(target))
        for length, target in zip(lengths, targets, strict=True)
        if frames_needed(target) <= length
    ]
    if not usable:
        return 0.0
    step = max(1.0, len(usable) / sample)
    usable = [usable[int(index * step)] for index in range(min(sample, len(usable)))]
    # Glosses outside the sample would only receive probability 0: leave them out of the optimisation.
    present = sorted({label for _, target in usable for label in target})
    index = {label: position + 1 for position, label in enumerate(present)}
    frames = torch.tensor([length for length, _ in usable])
    sizes = torch.tensor([len(target) for _, target in usable])
    flat = torch.tensor([index[label] for _, target in usable for label in target])
    counts = torch.bincount(flat, minlength=len(present) + 1).double()
    shares = counts / counts.sum()

    def loss(logits: Tensor) -> Tensor:
        log_probs = logits.log_softmax(0).expand(int(frames.max()), len(usable), -1)
        return (F.ctc_loss(log_probs, flat, frames, sizes, blank=BLANK, reduction="none") / sizes).mean()

    def minimum(blank_share: float) -> float:
        start = torch.cat([torch.tensor([blank_share]).double(), shares[1:] * (1 - blank_share)])
        logits = start.log().requires_grad_()
        # Until a step gains a millionth of a nat.
        optimiser = torch.optim.LBFGS(
            [logits], max_iter=steps, tolerance_grad=1e-4, tolerance_change=1e-6, line_search_fn="strong_wolfe"
        )

        def closure() -> Tensor:
            optimiser.zero_grad()
            value = loss(logits)
            value.backward()  # type: ignore[no-untyped-call]  # torch has no annotation for it
            return value.detach()

        optimiser.step(closure)  # type: ignore[no-untyped-call]  # nor for this
        return float(loss(logits.detach()))

    return min(minimum(0.2), minimum(0.8))
