"""Weights that layers can be frozen with."""

from pathlib import Path

import pytest
from frozen_trials import LAYERS

from glosstune.models import build_model, write_weights
from glosstune.trainables.corpora import PackedCorpus


@pytest.fixture(scope="module")
def weights(small_corpus: PackedCorpus, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files such as pretraining leaves: all layers before the LSTM."""
    found = {}
    for kind in LAYERS:
        model = build_model(kind, 9, width=0.25, norm="batch", seed=7)
        kept = {name: value for name, value in model.state_dict().items() if not name.startswith(("lstm", "class"))}
        found[kind] = tmp_path_factory.mktemp("weights") / f"{kind}.safetensors"
        write_weights(found[kind], kept, {})
    return found
