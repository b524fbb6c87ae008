"""Find the network that is to be verified: glosstune's own, a trained one in a file, or somebody else's."""

import importlib
import inspect
import sys
import tempfile
from pathlib import Path

from torch import nn

from glosstune.models import FEATURE_WIDTH, Check, build_model, verify_model
from glosstune.models.building import KINDS
from glosstune.spaces.errors import CheckpointError, SettingError
from glosstune.trainables import TrainedRecogniser, export_checkpoint, load_recogniser


def verify_target(
    target: str, vocabulary_size: int, *, width: float = 1.0, time_stride: int = 4, norm: str = "group"
) -> tuple[Check, ...]:
    """Check ``teacher`` or ``student``, or the recogniser in an exported file or a trial's checkpoint.

    Raises:
        SettingError: neither a kind of model nor a file, or a size that a model cannot have.
        CheckpointError: the file cannot be read as a recogniser.
    """
    if target in KINDS:
        model = build_model(target, vocabulary_size, width=width, time_stride=time_stride, norm=norm)
        return verify_model(model, vocabulary_size)
    path = Path(target).expanduser()
    if not path.is_file():
        raise SettingError(f"{target}: neither {' nor '.join(KINDS)}, and no such file", key="TARGET")
    recogniser = _read(path)
    return verify_model(recogniser.model, len(recogniser.vocabulary))


def verify_foreign(factory: str, vocabulary_size: int, width: int = FEATURE_WIDTH) -> tuple[Check, ...]:
    """Check somebody else's model; ``models.verification`` says what it has to take and give.

    Args:
        factory: ``package.module:name`` of what makes it: called with the vocabulary size if it takes an argument.
        width: features a frame that it reads.

    Raises:
        SettingError: there is no such thing, it fails, or makes no torch module.
    """
    module, colon, name = factory.partition(":")
    key = "--model"
    if not colon or not module or not name:
        raise SettingError(f"must be package.module:factory; got {factory!r}", key=key)
    sys.path.insert(0, str(Path.cwd()))  # where the user's own code lies
    try:
        make = getattr(importlib.import_module(module), name)
    except Exception as error:  # importing runs somebody else's code
        raise SettingError(f"{factory} cannot be imported ({type(error).__name__}: {error})", key=key) from error
    finally:
        sys.path.remove(str(Path.cwd()))
    try:
        needed = [p for p in inspect.signature(make).parameters.values() if p.kind not in (p.VAR_KEYWORD,)]
        model = make(vocabulary_size) if needed else make()
    except Exception as error:
        raise SettingError(f"{factory} makes no model ({type(error).__name__}: {error})", key=key) from error
    if not isinstance(model, nn.Module):
        raise SettingError(f"{factory} makes a {type(model).__name__}, which is no torch module", key=key)
    return verify_model(model, vocabulary_size, width=width)


def _read(path: Path) -> TrainedRecogniser:
    if path.suffix == ".safetensors":
        return load_recogniser(path)
    if path.suffix != ".pt":
        raise CheckpointError(f"{path}: expected an exported .safetensors file or a trial's .pt checkpoint")
    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder) / "recogniser.safetensors"
        export_checkpoint(path, exported, {})
        return load_recogniser(exported)
