"""Weights that sessions start from."""

from pathlib import Path

import pytest

from glosstune.models import build_model
from glosstune.models.weights.weights_file import write_weights
from glosstune.trainables.corpora import PackedCorpus


@pytest.fixture(scope="module")
def weights(small_corpus: PackedCorpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file such as pretraining leaves: all layers before the LSTM of a teacher."""
    path = tmp_path_factory.mktemp("weights") / "teacher.safetensors"
    model = build_model("teacher", 9, width=0.25, norm="batch", seed=7)
    head = ("lstm.", "classifier.")
    write_weights(path, {name: value for name, value in model.state_dict().items() if not name.startswith(head)}, {})
    return path
