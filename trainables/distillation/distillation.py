"""What a student learns from a teacher beside the transcripts: what it says of each frame, and how alike frames are.

Source: Hinton et al. 2015, on the frames of a CTC model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from glosstune.spaces.files.atomic import file_hash
from glosstune.trainables.corpora.store import PackedCorpus
from glosstune.trainables.corpora.vocabulary import BLANK
from glosstune.trainables.distillation.posteriors import Posteriors, likeness, teacher_posteriors
from glosstune.trainables.export.exporting import TrainedRecogniser
from glosstune.trainables.settings import DistillationSettings, TrialSettings

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Distillation:
    """The teaching of one trial.

    Attributes:
        frames: of each row of the corpus, as the teacher saw it.
        time_stride: of the student.
    """

    settings: DistillationSettings
    posteriors: Posteriors
    frames: Sequence[int]
    time_stride: int

    @classmethod
    def of(cls, settings: TrialSettings, corpus: PackedCorpus, teacher: TrainedRecogniser) -> "Distillation":
        """From a trial's settings and the teacher that they name; errors as ``teacher_posteriors``."""
        assert settings.teacher is not None
        posteriors = teacher_posteriors(settings, corpus, teacher, file_hash(settings.teacher))
        return cls(settings.distillation, posteriors, corpus.table["frames"].tolist(), settings.model.time_stride)

    @property
    def recorded(self) -> dict[str, object]:
        """What is known of the file that teaches: its hash, and its WER on dev, a fraction."""
        return {"sha256": self.posteriors.sha256, "wer": self.posteriors.wer}

    def loss(
        self, rows: Sequence[int], played: Tensor, log_probs: Tensor, encoded: Tensor, lengths: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What is added to the CTC loss, which counts ``1 - alpha``, for a batch.

        Args:
            rows: of the utterances in the corpus.
            played: (batch,) frames that the student was given of each: augmentation may change the speed.
            log_probs: (time', batch, gloss) of the student.
            encoded: (batch, time', channel), what its LSTM reads.
            lengths: (batch,) its valid output frames.

        Returns:
            the weighted loss, and the divergence ``temperature**2 * KL`` in nats a frame by itself.
        """
        # What teaches each frame; padded frames keep a uniform distribution and count nothing.
        said = np.zeros(log_probs.shape, np.float16)
        alike = np.zeros((len(rows), *[log_probs.shape[0] if self.settings.feature_weight else 0] * 2), np.float16)
        for slot, (row, count) in enumerate(zip(rows, played.tolist(), strict=True)):
            theirs = self.posteriors.log_probs(row)
            own = self.frames[row]
            index = taught_by(theirs[:, BLANK], own, self.posteriors.time_stride, count, self.time_stride)
            said[: len(index), slot] = theirs[index]
            if self.settings.feature_weight:
                alike[slot, : len(index), : len(index)] = self.posteriors.likeness(row)[np.ix_(index, index)]
        device = log_probs.device
        valid = (torch.arange(len(log_probs)).unsqueeze(1) < lengths).to(device, non_blocking=True)  # (time', batch)
        teacher = torch.from_numpy(said).to(device, non_blocking=True).float()
        divergence = frame_divergence(log_probs, teacher, valid, self.settings)
        loss = self.settings.alpha * divergence
        if self.settings.feature_weight:
            pairs = valid.T.unsqueeze(1) & valid.T.unsqueeze(2)
            difference = (
                likeness(encoded, lengths) - torch.from_numpy(alike).to(device, non_blocking=True).float()
            ).square()
            loss = loss + self.settings.feature_weight * (difference * pairs).sum() / pairs.sum()
        return loss, divergence.detach()


def frame_divergence(log_probs: Tensor, teacher: Tensor, valid: Tensor, settings: DistillationSettings) -> Tensor:
    """``temperature**2 * KL(teacher || student)``, nats a frame, averaged over valid frames by their weight.

    Args:
        log_probs, teacher: (time, batch, gloss) log-probabilities.
        valid: bool (time, batch).
    """
    theirs, ours = ((each.float() / settings.temperature).log_softmax(-1) for each in (teacher, log_probs))
    divergence = (theirs.exp() * (theirs - ours)).sum(-1)
    weights = torch.where(teacher.argmax(-1) == BLANK, settings.blank_weight, 1.0) * valid
    return settings.temperature**2 * (divergence * weights).sum() / weights.sum().clamp_min(1e-6)


def taught_by(
    blank: npt.NDArray[np.floating], frames: int, teacher_stride: int, played: int, student_stride: int
) -> Indices:
    """Which output frame of the teacher teaches each output frame of the student.

    An output frame stands at the centre of the input frames that it covers, relative to the utterance, which the
    student may see at another speed. Of the teacher's frames whose centres lie within a student's frame that with
    the least blank teaches it, since an average would leave half of every gloss; if there is none, the nearest.

    Args:
        blank: (teacher's time',) log-probability of the blank.
        frames: that the teacher was given.
        played: frames that the student is given.

    Returns:
        (student's time',), rising.
    """
    count = -(-played // student_stride)
    if frames == played and teacher_stride == student_stride:
        return np.arange(count)
    theirs, ours = _centres(len(blank), teacher_stride, frames), _centres(count, student_stride, played)
    # Both in halves of input frames; multiplied out, so that no rounding moves a frame across an edge.
    index: Indices = np.abs(theirs[:, None] * played - ours * frames).argmin(axis=0)
    owner = theirs * played // (2 * frames * student_stride)
    least_blank_last = np.argsort(-blank, kind="stable")
    index[owner[least_blank_last]] = least_blank_last  # of several for one frame NumPy keeps the last
    return index


def _centres(count: int, stride: int, frames: int) -> Indices:
    starts = np.arange(count) * stride
    return starts + np.minimum(starts + stride, frames)
