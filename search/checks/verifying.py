"""Find the network that is to be verified: glosstune's own, a trained one in a file, or somebody else's."""

import inspect
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

from torch import nn

from glosstune.models import Check, build_model, verify_model
from glosstune.models.kinds import KINDS
from glosstune.spaces.errors import CheckpointError, SettingError, told
from glosstune.spaces.parts import is_own, load_part
from glosstune.trainables import TrainedRecogniser, export_checkpoint, load_recogniser
from glosstune.trainables.layouts.blocks import BlockSpec
from glosstune.trainables.layouts.layout import FileLayout


def verify_target(
    target: str,
    vocabulary_size: int,
    *,
    width: float = 1.0,
    time_stride: int = 4,
    norm: str = "group",
    layout: str | Sequence[BlockSpec] = "default",
    kinds: Collection[str] = (),
) -> tuple[Check, ...]:
    """Check a kind of model, or the recogniser in an exported file or a trial's checkpoint.

    Args:
        layout: of the frames that a kind reads, as ``corpus.layout`` says it.
        kinds: models of one's own that a file may be of (see ``load_recogniser``).

    Raises:
        SettingError: neither a kind of model nor a file, or a size that a model cannot have.
        CheckpointError: the file cannot be read as a recogniser.
    """
    path = Path(target).expanduser()
    if target in KINDS or (is_own(target) and not path.exists()):
        modalities = FileLayout.of(layout).layout.modalities
        model = build_model(
            target, vocabulary_size, modalities=modalities, width=width, time_stride=time_stride, norm=norm
        )
        return verify_model(model, vocabulary_size)
    if not path.is_file():
        rule = f"{target}: neither {' nor '.join(KINDS)} nor package.module:Name, and no such file"
        raise SettingError(rule, key="TARGET")
    recogniser = _read(path, kinds)
    return verify_model(recogniser.model, len(recogniser.vocabulary))


def verify_foreign(factory: str, vocabulary_size: int, width: int | None = None) -> tuple[Check, ...]:
    """Check somebody else's model; ``models.verification`` says what it has to take and give.

    Args:
        factory: ``package.module:name`` of what makes it: called with the vocabulary size if it takes an argument.
        width: features a frame that it reads; default those of the default layout.

    Raises:
        SettingError: there is no such thing, it fails, or makes no torch module.
    """
    key = "--model"
    make = load_part(factory, key)
    try:
        needed = [p for p in inspect.signature(make).parameters.values() if p.kind not in (p.VAR_KEYWORD,)]
        model = make(vocabulary_size) if needed else make()
    except (Exception, SystemExit) as error:
        raise SettingError(f"{factory} makes no model ({told(error)})", key=key) from error
    if not isinstance(model, nn.Module):
        raise SettingError(f"{factory} makes a {type(model).__name__}, which is no torch module", key=key)
    return verify_model(model, vocabulary_size, width=width)


def _read(path: Path, kinds: Collection[str]) -> TrainedRecogniser:
    if path.suffix == ".safetensors":
        return load_recogniser(path, kinds)
    if path.suffix != ".pt":
        raise CheckpointError(f"{path}: expected an exported .safetensors file or a trial's .pt checkpoint")
    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder) / "recogniser.safetensors"
        export_checkpoint(path, exported, {})
        return load_recogniser(exported, kinds)
