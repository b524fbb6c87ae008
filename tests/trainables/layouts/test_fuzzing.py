"""Whatever layout somebody declares and whatever their files hold: it is refused in words, or it trains."""

import math
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from drawn_corpus import DrawnCorpus
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from random_layouts import block_lists

from glosstune.spaces.errors import GlosstuneError
from glosstune.trainables import TrainingSession, TrialSettings
from glosstune.trainables.checks.inspection import inspect_corpus
from glosstune.trainables.corpora import Recording, pack_corpus
from glosstune.trainables.layouts.blocks import BlockSpec
from glosstune.trainables.layouts.layout import FileLayout
from glosstune.trainables.settings import CorpusSettings

CASES = 150
SPLITS = ("train", "train", "train", "dev")
WORDS = (("A", "B"), ("B",), ("A",), ("B", "A"))
FAULTS = ("none", "none", "none", "zeros", "nan", "sparse", "still", "huge", "infinite", "wide", "half")


def _recordings(files: FileLayout, fault: str, generator: np.random.Generator) -> list[Recording]:
    """Four utterances, with something wrong in all of them, or in one."""
    recordings = []
    for place, (split, glosses) in enumerate(zip(SPLITS, WORDS, strict=True)):
        frames = int(generator.integers(8, 25))
        scale, shift = generator.choice([0.1, 1, 300]), generator.choice([0, 0.5])
        values = (generator.normal(size=(frames, files.width)) * scale + shift).astype(np.float32)
        if fault in ("zeros", "nan"):
            first, last = sorted(generator.integers(0, files.width + 1, 2))
            rows = slice(None) if generator.random() < 0.5 else slice(2, 6)
            values[rows, first:last] = 0 if fault == "zeros" else np.nan
        elif fault == "sparse":
            values[generator.random(values.shape) < 0.3] = generator.choice([0, np.nan])
        elif fault == "still":
            values[:] = generator.choice([0, 0.5, 1])
        elif fault in ("huge", "infinite") and place == 1:
            values[3, int(generator.integers(files.width))] = 1e30 if fault == "huge" else np.inf
        elif fault == "wide" and place == 1:
            values = np.concatenate([values, values], axis=1)
        recordings.append(
            Recording(values.astype("f2" if fault == "half" else "f4"), glosses, "s", split, key=f"u{place}")
        )
    return recordings


def _write(root: Path, recordings: list[Recording]) -> Path:
    """The files as PHOENIX-2014 has them, and beside them a table of the same."""
    root.mkdir()
    table = ["path,glosses,id,signer,split"]
    lines = {split: ["id|folder|signer|annotation"] for split in SPLITS}
    for each in recordings:
        np.save(root / f"{each.key}.npy", each.features)
        table.append(f"{each.key}.npy,{' '.join(each.glosses)},{each.key},{each.signer},{each.split}")
        lines[each.split].append(f"{each.key}|x|{each.signer}|{' '.join(each.glosses)}")
    for split, rows in lines.items():
        (root / f"{split}.corpus.csv").write_text("\n".join(rows), encoding="utf-8")
    (root / "table.csv").write_text("\n".join(table), encoding="utf-8")
    return root / "table.csv"


def _tried(spec: list[BlockSpec], case: dict[str, Any], root: Path) -> float | str:
    """The loss of a step, or why there was none."""
    generator = np.random.default_rng(case["seed"])
    recordings = _recordings(FileLayout.of(spec), case["fault"], generator)
    told = {"layout": spec, "not_seen": case["not_seen"], "cache": root / "cache"}
    if case["kind"] == "own":
        DrawnCorpus.recordings = recordings
        corpus = CorpusSettings.model_validate({"kind": "drawn_corpus:DrawnCorpus", **told})
    else:
        table = _write(root / "files", recordings)
        place = table if case["kind"] == "table" else table.parent
        corpus = CorpusSettings.model_validate({"kind": case["kind"], "root": place, **told})
    with suppress(GlosstuneError):
        inspect_corpus(corpus)
    model = {"kind": "teacher" if case["seed"] % 10 == 0 else "student", "width": 0.25}
    training = {"epochs": 1, "batch_size": 4, "augment": case["augment"]}
    try:
        packed = pack_corpus(corpus)
        trial = TrialSettings.model_validate({"corpus": corpus, "model": model, "training": training})
        session = TrainingSession(trial, packed, device=torch.device("cpu"))
    except GlosstuneError as refused:
        return str(refused)
    metrics = session.run_epoch()
    assert metrics["nonfinite_steps"] == 0 and math.isfinite(metrics["dev_loss"])
    return float(metrics["train_loss"])


@pytest.mark.slow
@given(
    spec=block_lists(words=False),
    case=st.fixed_dictionaries(
        {
            "seed": st.integers(0, 10_000),
            "fault": st.sampled_from(FAULTS),
            "not_seen": st.sampled_from(["zeros+nan", "zeros", "nan"]),
            "kind": st.sampled_from(["phoenix", "table", "own"]),
            "augment": st.sampled_from(
                ["none", "speed+clip-noise", "mirror+rotation+scale", "time-masks+part-dropout"]
            ),
        }
    ),
)
@settings(
    max_examples=CASES,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_any_layout_and_any_files_are_refused_in_words_or_train(spec: list[BlockSpec], case: dict[str, Any]) -> None:
    with TemporaryDirectory() as folder:
        found = _tried(spec, case, Path(folder))
    if isinstance(found, str):
        assert found and "\n" not in found
        # A sound file is refused only where a single point is all that there is to measure by.
        assert case["fault"] not in ("none", "half") or "which positions are measured from" in found
    else:
        assert math.isfinite(found)
