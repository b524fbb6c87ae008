"""The files that trials begin from, as they were when the sweep began, on whatever machine a trial runs."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from glosstune.spaces.errors import CheckpointError
from glosstune.spaces.files.atomic import file_hash, write_whole
from glosstune.trainables.corpora.opening import default_cache
from glosstune.trainables.settings import TrialSettings


@dataclass(frozen=True)
class InputFile:
    """A file's content.

    Attributes:
        content: (bytes,), an array, which all trials of a node read from shared memory.
    """

    sha256: str
    content: npt.NDArray[np.uint8]

    @classmethod
    def read(cls, path: Path) -> "InputFile":
        """The file as it is now; CheckpointError if it cannot be read."""
        try:
            content = np.fromfile(path, np.uint8)
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read ({error.strerror}); give a file that is there") from error
        return cls(hashlib.sha256(content.data).hexdigest(), content)


def with_inputs(settings: TrialSettings, inputs: Mapping[str, InputFile]) -> TrialSettings:
    """Settings that name files of the given content: their own, or copies where those are missing or others.

    Args:
        inputs: by ``pretrained`` and ``teacher``.
    """
    places = {key: _place(getattr(settings, key), file, settings) for key, file in inputs.items()}
    return settings.model_copy(update={key: path for key, path in places.items() if path is not None})


def _place(path: Path | None, file: InputFile, settings: TrialSettings) -> Path | None:
    if path is None or _holds(path, file):
        return path
    cache = settings.corpus.cache or default_cache()
    copy = cache / "inputs" / f"{file.sha256}{path.suffix}"
    if not _holds(copy, file):
        write_whole(copy, file.content.tofile)
    return copy


def _holds(path: Path, file: InputFile) -> bool:
    try:
        return file_hash(path) == file.sha256
    except CheckpointError:
        return False
