"""What a teacher says of a corpus: computed once for each of both, memory-mapped and shared by all trials of a node.

A store is a folder: ``log_probs.f16`` (frame, gloss), ``likeness.f16`` (frame by frame of each utterance),
``rows.npz`` and ``posteriors.json``. In half precision a log-probability of -8 to -16 is right to 0.004.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from glosstune.spaces.errors import CheckpointError, SettingError, quoted, shown
from glosstune.spaces.files.atomic import fill_once, reserve
from glosstune.trainables.batches.batching import EVALUATION_BATCH, collate, sorted_batches
from glosstune.trainables.batches.precision import autocast
from glosstune.trainables.corpora.opening import default_cache
from glosstune.trainables.corpora.provenance import check_unseen
from glosstune.trainables.corpora.store import PackedCorpus
from glosstune.trainables.export.exporting import TrainedRecogniser, load_recogniser
from glosstune.trainables.export.recognising import score
from glosstune.trainables.settings import CorpusSettings, Gains, TrialSettings

FORMAT = 1
COMPLETE = "posteriors.json"
_LOG_PROBS, _LIKENESS = "log_probs.f16", "likeness.f16"

Half = npt.NDArray[np.float16]
Mapped = np.memmap[Any, np.dtype[np.float16]]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Posteriors:
    """A teacher's output for every training utterance, read through the operating system's page cache.

    Attributes:
        classes: glosses and the blank.
        time_stride: of the teacher.
        wer: of the teacher on dev, a fraction.
        sha256: of the teacher's file.
    """

    folder: Path
    classes: int
    time_stride: int
    wer: float
    sha256: str
    mode: Literal["r", "r+"] = "r"

    @classmethod
    def open(cls, folder: Path) -> "Posteriors":
        """Open a store; CheckpointError if it is damaged, incomplete or of another format."""
        try:
            meta = json.loads((folder / COMPLETE).read_text(encoding="utf-8"))
            found = cls(folder, meta["classes"], meta["time_stride"], meta["wer"], meta["sha256"])
            frames = [count for _, count, _ in found._spans.values()]
            sizes = [sum(frames) * found.classes, sum(count**2 for count in frames)]
            written = [(folder / name).stat().st_size // 2 for name in (_LOG_PROBS, _LIKENESS)]
            damaged = meta["format"] != FORMAT or written != sizes
        except Exception as error:  # JSON and NumPy raise a different type for each kind of damage
            raise CheckpointError(f"{folder}: damaged posteriors of a teacher ({error}); remove this folder") from error
        if damaged:
            raise CheckpointError(f"{folder}: posteriors of a teacher, cut or of another version; remove this folder")
        return found

    @cached_property
    def _spans(self) -> dict[int, tuple[int, int, int]]:
        """First frame, number of frames and first likeness of each row."""
        with (self.folder / "rows.npz").open("rb") as file:
            arrays = np.load(file, allow_pickle=False)
            rows, frames = arrays["rows"], arrays["frames"]
        starts, squares = np.cumsum(frames) - frames, np.cumsum(frames**2) - frames**2
        return {int(r): (int(s), int(n), int(q)) for r, s, n, q in zip(rows, starts, frames, squares, strict=True)}

    @cached_property
    def _log_probs(self) -> Mapped:
        frames = sum(count for _, count, _ in self._spans.values())
        return np.memmap(self.folder / _LOG_PROBS, np.float16, self.mode, shape=(frames, self.classes))

    @cached_property
    def _likeness(self) -> Mapped:
        return np.memmap(self.folder / _LIKENESS, np.float16, self.mode)

    def flush(self) -> None:
        """Have what was written on disk; before, zeros would be read as a teacher that knows nothing."""
        for values in (self._log_probs, self._likeness):
            values.flush()

    @property
    def size_mb(self) -> float:
        """Of the store on disk."""
        return sum(file.stat().st_size for file in self.folder.iterdir()) / 2**20

    def log_probs(self, row: int) -> Half:
        """Log-probabilities (time', gloss) of one training utterance; a view into the mapped file."""
        start, frames, _ = self._spans[row]
        return self._log_probs[start : start + frames]

    def likeness(self, row: int) -> Half:
        """How alike its frames are to the teacher, (time', time'), -1 to 1 (see ``likeness``)."""
        _, frames, start = self._spans[row]
        return self._likeness[start : start + frames * frames].reshape(frames, frames)


def teacher_posteriors(
    settings: TrialSettings,
    corpus: PackedCorpus,
    teacher: TrainedRecogniser,
    sha256: str,
    say: Say = lambda line: None,
) -> Posteriors:
    """The posteriors of a teacher; made where these do not exist yet for its file and this corpus.

    Args:
        teacher: as ``open_teacher`` gives it.
        sha256: of its file.

    Raises:
        FolderError: the cache cannot be written.
    """
    whole = corpus
    if not corpus.whole:
        whole = PackedCorpus(corpus.folder, corpus.key, corpus.width, corpus.layout, corpus.scoring)
    # By the rule as well: what is kept says the teacher's WER.
    depends = {"format": FORMAT, "teacher": sha256, "corpus": whole.key, "scoring": whole.scoring}
    key = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:16]
    folder = (settings.corpus.cache or default_cache()) / f"posteriors-{key}"

    def fill(partial: Path) -> None:
        say(f"teacher: computing its posteriors for {len(whole.rows('train'))} training utterances, once")
        _write(partial, teacher, whole, sha256)
        teacher.model.to("cpu")  # whose caller may keep it

    fill_once(folder, COMPLETE, "a teacher's posteriors", fill)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # the trials of the sweep need the memory that this process holds
    return Posteriors.open(folder)


def open_teacher(settings: TrialSettings, corpus: PackedCorpus) -> TrainedRecogniser:
    """The recogniser in ``settings.teacher``.

    Raises:
        CheckpointError: the file is none; else see ``check_teacher``.
    """
    assert settings.teacher is not None
    teacher = load_recogniser(settings.teacher, {settings.model.kind, settings.teacher_kind})
    check_teacher(teacher, settings, corpus)
    return teacher


def check_teacher(teacher: TrainedRecogniser, settings: TrialSettings, corpus: PackedCorpus) -> None:
    """Require that the recogniser in ``settings.teacher`` reads the input and writes the glosses of a trial.

    Raises:
        CheckpointError: it writes other glosses, or has learned from recordings that this corpus holds out.
        SettingError: it was trained on input of another layout or conditioning.
    """
    path = settings.teacher
    assert path is not None
    theirs, ours = teacher.vocabulary.glosses, corpus.vocabulary.glosses
    if theirs != ours:
        only = [f"{gloss!r} only {'there' if gloss in theirs else 'here'}" for gloss in sorted({*theirs} ^ {*ours})]
        told = ", ".join(only[:3]) + (", …" if len(only) > 3 else "") if only else "the same in another order"
        raise CheckpointError(
            f"{path}: writes {len(theirs)} glosses, this corpus has {len(ours)} ({told}); "
            "train the teacher on this corpus, or set corpus to the teacher's"
        )
    if teacher.conditioning.layout != corpus.layout:
        rule = f"must be that of {path.name}, because both read the same input; got {shown(settings.corpus.layout)}"
        there = teacher.conditioning.layout.described
        raise SettingError(f"{rule}; the teacher's frames are {there}", key="corpus.layout")
    ours_read = with_gains_of(teacher, settings.corpus)
    for name in ("noise_floor", "gains"):
        there, here = (each.model_dump(mode="json")[name] for each in (teacher.settings.corpus, ours_read))
        if there != here:
            rule = f"must be what {path.name} was trained with, because both read the same input; got {shown(here)}"
            mend = quoted(f"corpus.{name}={_as_yaml(there)}")
            raise SettingError(f"{rule}; set {mend}", key=f"corpus.{name}")
    check_unseen(path, teacher.recorded, corpus)


def with_gains_of(teacher: TrainedRecogniser, settings: CorpusSettings) -> CorpusSettings:
    """The settings with the teacher's gains where theirs are to be estimated: both read the same input."""
    if settings.gains != Gains(blocks="auto"):
        return settings
    return settings.model_copy(update={"gains": teacher.settings.corpus.gains})


def _as_yaml(value: object) -> str:
    """As an override takes it."""
    return json.dumps(value).replace('"', "")


def likeness(encoded: Tensor, lengths: Tensor) -> Tensor:
    """How alike the frames of each utterance are: cosines of what they have beyond their mean.

    Source: similarity-preserving distillation (Tung and Mori 2019), between frames instead of images and centred as
    in Kornblith et al. 2019; networks of any width compare.

    Args:
        encoded: (batch, time, channel).
        lengths: (batch,) valid frames, on the CPU.

    Returns:
        (batch, time, time), 0 in padded frames.
    """
    valid = (torch.arange(encoded.shape[1]) < lengths[:, None]).to(encoded.device, non_blocking=True).unsqueeze(-1)
    x = encoded.float() * valid
    x = (x - x.sum(1, keepdim=True) / valid.sum(1, keepdim=True)) * valid
    x = F.normalize(x, dim=-1, eps=1e-6)
    return x @ x.transpose(1, 2)


@torch.no_grad()
def _write(folder: Path, teacher: TrainedRecogniser, corpus: PackedCorpus, sha256: str) -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    teacher = replace(teacher, model=teacher.model.to(device), conditioning=teacher.conditioning.to(device))
    classes, stride = len(teacher.vocabulary), teacher.model.time_stride
    train = corpus.rows("train")
    frames = np.array([-(-corpus.length(row) // stride) for row in train])
    np.savez(folder / "rows.npz", rows=np.array(train), frames=frames)
    for name, size in ((_LOG_PROBS, frames.sum() * classes), (_LIKENESS, (frames**2).sum())):
        reserve(folder / name, 2 * int(size))
    written = Posteriors(folder, classes, stride, 0.0, sha256, mode="r+")
    for rows in sorted_batches(train, [corpus.length(row) for row in train], EVALUATION_BATCH):
        batch = collate(corpus, rows, teacher.conditioning)
        with autocast(device, teacher.settings.training.precision):
            log_probs, encoded, lengths = teacher.model.forward_from(
                teacher.model.layer_names[0], batch.state, batch.lengths
            )
        alike, said = likeness(encoded, lengths).half().cpu().numpy(), log_probs.half().cpu().numpy()
        for slot, (row, length) in enumerate(zip(rows, lengths.tolist(), strict=True)):
            written.log_probs(row)[:] = said[:length, slot]
            written.likeness(row)[:] = alike[slot, :length, :length]
    written.flush()
    meta = {
        "format": FORMAT,
        "sha256": sha256,
        "corpus": corpus.key,
        "classes": classes,
        "time_stride": stride,
        "wer": score(teacher, corpus).wer,
    }
    (folder / COMPLETE).write_text(json.dumps(meta, indent=1), encoding="utf-8")
