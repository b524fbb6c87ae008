"""Hand a trained recogniser on as one file: weights, vocabulary, input conditioning, configuration and scores."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from glosstune.models import build_model, read_weights, write_weights
from glosstune.models.recogniser import Recogniser
from glosstune.models.weights.weights_record import is_plain
from glosstune.spaces.errors import CheckpointError, SettingError
from glosstune.trainables.batches.conditioning import Conditioning
from glosstune.trainables.batches.precision import autocast
from glosstune.trainables.corpora.vocabulary import Vocabulary
from glosstune.trainables.ctc.decoding import greedy_decode
from glosstune.trainables.export.checkpoints import check_named, read_checkpoint, recorded_settings
from glosstune.trainables.layouts.layout import Layout
from glosstune.trainables.settings import TrialSettings

# Beside the tensors of the model itself.
_SCALE, _OFFSET = "conditioning.scale", "conditioning.offset"


@dataclass(frozen=True)
class TrainedRecogniser:
    """A recogniser as it was trained, on the CPU and in evaluation mode.

    Attributes:
        model: (batch, time, feature) conditioned features to log-probabilities.
        conditioning: of its input; knows its layout.
        vocabulary: its classes.
        settings: of the trial that trained it.
        scores: what was recorded of it, such as ``wer``, a fraction, on dev.
        recorded: all that its file says of itself (see ``models.WeightsFile``).
    """

    model: Recogniser
    conditioning: Conditioning
    vocabulary: Vocabulary
    settings: TrialSettings
    scores: Mapping[str, object]
    recorded: Mapping[str, object]

    @torch.no_grad()
    def log_probs(self, utterances: Sequence[npt.NDArray[np.floating]]) -> tuple[Tensor, Tensor]:
        """Log-probabilities (time', batch, gloss) and the valid frames (batch,) of each.

        Args:
            utterances: (time, base or feature width of ``conditioning.layout``) each, as a packed corpus has them.

        Raises:
            ValueError: none, one of another width or without frames, or two widths.
        """
        if len({utterance.shape[-1] for utterance in utterances}) != 1:
            raise ValueError("expected one or more utterances, all of one width")
        for utterance in utterances:
            widths = (self.conditioning.layout.base_width, self.conditioning.layout.feature_width)
            if utterance.ndim != 2 or utterance.shape[1] not in widths or not len(utterance):
                raise ValueError(
                    f"an utterance of shape {utterance.shape}; expected (time, {widths[0]} or {widths[1]})"
                )
        frames = [torch.from_numpy(np.array(utterance, np.float32)) for utterance in utterances]
        lengths = torch.tensor([len(frame) for frame in frames])
        stored = torch.nn.utils.rnn.pad_sequence(frames, batch_first=True)  # (batch, time, width)
        valid = torch.arange(stored.shape[1]) < lengths[:, None]
        with autocast(torch.device("cpu"), self.settings.training.precision):
            result: tuple[Tensor, Tensor] = self.model(self.conditioning.features(stored, valid), lengths)
        return result

    def recognise(self, utterances: Sequence[npt.NDArray[np.floating]]) -> list[list[str]]:
        """The glosses of each utterance, by greedy decoding."""
        decoded = greedy_decode(*self.log_probs(utterances)) if utterances else []
        return [self.vocabulary.decode(classes) for classes in decoded]


def export_checkpoint(checkpoint: Path, out: Path, scores: Mapping[str, object]) -> None:
    """Write what a trial's checkpoint holds to a ``.safetensors`` file that ``load_recogniser`` reads.

    The file serves as ``pretrained`` of a sweep too.

    Raises:
        CheckpointError: the checkpoint cannot be read.
        FolderError: the file cannot be written.
    """
    state = read_checkpoint(checkpoint, torch.device("cpu"))
    settings = recorded_settings(checkpoint, state["settings"])
    try:
        conditioning = {_SCALE: state["conditioning"]["scale"], _OFFSET: state["conditioning"]["offset"]}
        tensors = {**state["model"], **conditioning}
        plain = all(isinstance(tensor, Tensor) for tensor in tensors.values()) and is_plain(state["taught_by"])
        words = [list(map(str, state[name])) for name in ("vocabulary", "recordings")]
        epoch, layout = int(state["epoch"]), list(state["layout"])
    except (TypeError, ValueError, LookupError) as error:
        raise CheckpointError(f"{checkpoint}: is no checkpoint of a trial ({error})") from error
    if not plain or not is_plain(layout):
        raise CheckpointError(f"{checkpoint}: is no checkpoint of a trial: it holds other things than those")
    alone = settings.model_copy(update=dict.fromkeys(("pretrained", "teacher", "teacher_kind")))
    recorded = {
        **settings.input_and_model(),
        "layout": layout,
        "vocabulary": words[0],
        "recordings": words[1],
        "settings": alone.model_dump(mode="json"),
        "teacher": state["taught_by"],
        "scores": {"epoch": epoch, **scores},
    }
    write_weights(out, tensors, recorded)


def load_recogniser(path: Path | str, kinds: Collection[str | None] = ()) -> TrainedRecogniser:
    """The recogniser that ``export_checkpoint`` has written; nothing in the file is executed.

    Args:
        kinds: models of one's own, ``package.module:Name``, whose code may run where the file names one of them.

    Raises:
        CheckpointError: the file cannot be read, is none of those, does not fit its own settings, or is of a model that
            is neither glosstune's nor among ``kinds``.
        SettingError: a model of one's own is not there.
    """
    path = Path(path)
    file = read_weights(path)
    tensors = dict(file.tensors)
    glosses, scores = file.recorded.get("vocabulary"), file.recorded.get("scores")
    if not {_SCALE, _OFFSET} <= set(tensors) or not isinstance(glosses, list) or not isinstance(scores, dict):
        raise CheckpointError(f"{path}: is no exported recogniser; write one with glosstune export")
    settings = recorded_settings(path, file.recorded.get("settings"))
    check_named(path, settings, kinds)
    vocabulary = Vocabulary(tuple(map(str, glosses)))
    scale, offset = tensors.pop(_SCALE), tensors.pop(_OFFSET)
    layout = _recorded_layout(path, file.recorded.get("layout"))
    try:
        model = build_model(
            vocabulary_size=len(vocabulary),
            modalities=layout.modalities,
            dropout=settings.tuned.dropout,
            **settings.model.model_dump(),
        )
        model.load_state_dict(tensors)
        if scale.shape != (layout.feature_width,) or offset.shape != (layout.feature_width,):
            raise ValueError(f"its conditioning has shapes {tuple(scale.shape)} and {tuple(offset.shape)}")
    except (RuntimeError, ValueError) as error:
        told = " ".join(str(error).split("\n\t")[:2]).strip()  # of a hundred tensors the first says it all
        raise CheckpointError(f"{path}: its tensors do not fit its settings ({told}); export it again") from error
    live = tuple(block for block in layout.blocks if scale[block.features].any())
    conditioning = Conditioning(scale, offset, layout, live)
    return TrainedRecogniser(model.eval(), conditioning, vocabulary, settings, scores, file.recorded)


def _recorded_layout(path: Path, recorded: object) -> Layout:
    try:
        if not isinstance(recorded, list):
            raise SettingError("is not there")
        return Layout.read(recorded)
    except SettingError as error:
        raise CheckpointError(
            f"{path}: says of no frame what it holds (layout: {error.rule}); export it again"
        ) from None
