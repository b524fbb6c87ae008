"""A sweep starts from weights that are made, checked and told before any trial."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glosstune.models import build_model
from glosstune.models.kinds import TEACHER
from glosstune.models.weights.weights_file import read_weights, write_weights
from glosstune.search import Sweep, load_sweep, with_weights
from glosstune.search.driver.weights import (
    check_input,
    pretrain_to,
    settle_gains,
    tell_start,
)
from glosstune.spaces import STRATEGIES, CheckpointError, FolderError, SettingError
from glosstune.spaces.start_points import strategy_points
from glosstune.trainables import TrainingSession, load_recogniser
from glosstune.trainables.batches.gains import corpus_gains
from glosstune.trainables.corpora import PackedCorpus, pack_corpus
from glosstune.trainables.settings import CorpusSettings, Gains
from glosstune.trainables.training.input_files import InputFile

TINY = ["model.width=0.25", "pretraining.steps=2", "pretraining.batch_size=8"]


def _sweep(corpus: CorpusSettings, *overrides: str) -> Sweep:
    embedded = [f"corpus.signers={list(corpus.signers or ())}", "corpus.sentences=24", f"corpus.cache={corpus.cache}"]
    return load_sweep(None, [*embedded, *TINY, *overrides])


def _tell(sweep: Sweep, corpus: PackedCorpus, say: Callable[[str], None]) -> dict[str, Any] | None:
    path = sweep.pretrained
    weights, file = (None, None) if path is None else (read_weights(path), InputFile.read(Path(path)))
    return tell_start(sweep, corpus, weights, file, say)


@pytest.fixture(scope="module")
def ready(small_settings: CorpusSettings, small_corpus: PackedCorpus) -> Sweep:
    return with_weights(_sweep(small_settings), small_corpus, lambda line: None)


def test_weights_are_made_once_for_a_sweep(
    ready: Sweep, small_settings: CorpusSettings, small_corpus: PackedCorpus
) -> None:
    lines: list[str] = []
    again = with_weights(_sweep(small_settings), small_corpus, lines.append)
    assert again.pretrained == ready.pretrained != "auto"
    assert lines == [f"pretrained weights: {ready.pretrained}"]
    assert with_weights(again, small_corpus, lines.append) is again


@given(seed=st.integers(0, 2**32))
@settings(max_examples=25)
def test_every_configuration_of_the_default_space_is_accepted_by_the_session(
    ready: Sweep, small_corpus: PackedCorpus, seed: int
) -> None:
    configuration = ready.space.sample(random.Random(seed))
    session = TrainingSession(ready.trial_settings(configuration), small_corpus)
    assert (session.load_report is None) == (configuration["strategy"] == "baseline")
    assert session.thaw_epochs["classifier"] == 0


def test_every_strategys_own_figures_in_the_default_space_are_accepted_by_the_session(
    ready: Sweep, small_corpus: PackedCorpus
) -> None:
    points = strategy_points(ready.space, TEACHER.depths)
    assert sorted(point["strategy"] for point in points) == sorted(STRATEGIES)
    for point in points:
        settings = ready.trial_settings(point)
        assert TrainingSession(settings, small_corpus).settings.tuned.strategy == point["strategy"]


def test_the_start_tells_what_arrived_and_what_trains_at_every_depth(ready: Sweep, small_corpus: PackedCorpus) -> None:
    lines: list[str] = []
    told = _tell(ready, small_corpus, lines.append)
    assert told is not None and "401 taken" in lines[0]
    assert len(told["sha256"]) == 64 and told["counts"]["taken"] == 401
    depths = [line.split()[:3] for line in lines if line.startswith("  ")]
    assert len(depths) == 1 + 2 + 4 + 4 + 1
    assert ["fine-tune", "until", "mixed_4f"] in depths and ["progressive", "in", "5"] in depths
    assert "(100.0%)" in next(line for line in lines if "full-finetune" in line)
    assert not any("random" in line for line in lines)


def test_stages_in_steps_are_told_as_they_are(ready: Sweep, small_settings: CorpusSettings) -> None:
    override = "space.unfreeze_stages={int: [1, 5], step: 2}"
    sweep = _sweep(small_settings, f"pretrained={ready.pretrained}", "space.strategy=progressive", override)
    lines: list[str] = []
    _tell(sweep, pack_corpus(sweep.corpus), lines.append)
    assert [line.split()[2] for line in lines if line.startswith("  progressive")] == ["1", "3", "5"]


def test_random_layers_and_another_input_are_told(ready: Sweep, small_corpus: PackedCorpus, tmp_path: Path) -> None:
    weights = read_weights(str(ready.pretrained))
    partial = {name: value for name, value in weights.tensors.items() if not name.startswith("stem")}
    recorded = {"model": {"time_stride": 2}, "corpus": {"noise_floor": 1.0}}
    write_weights(tmp_path / "partial.safetensors", partial, recorded)
    sweep = ready.model_copy(update={"pretrained": str(tmp_path / "partial.safetensors")})
    lines: list[str] = []
    _tell(sweep, small_corpus, lines.append)
    assert "made otherwise: model.time_stride: 2 in the file, 4 here" in lines
    assert "made otherwise: corpus.noise_floor: 1.0 in the file, 0.05 here" in lines
    assert lines[-1].startswith("stem: got no pretrained value for some parameters, which train at any depth")
    anyway = sweep.model_copy(update={"freezing": sweep.freezing.model_copy(update={"allow_random_frozen": True})})
    lines.clear()
    _tell(anyway, small_corpus, lines.append)
    assert not any(line.startswith("stem:") for line in lines)


def test_a_space_without_strategies_is_told_too(small_settings: CorpusSettings, small_corpus: PackedCorpus) -> None:
    lines: list[str] = []
    sweep = _sweep(small_settings, "pretrained=null", "space={dropout: {float: [0, 0.5]}}")
    assert _tell(sweep, small_corpus, lines.append) is None
    assert [line.split()[0] for line in lines] == ["trainable", "baseline"]


def test_weights_of_a_user_are_loaded_and_those_that_do_not_fit_refused(
    ready: Sweep, small_corpus: PackedCorpus, tmp_path: Path
) -> None:
    model = build_model("teacher", 1232, width=0.25, norm="batch", seed=3)
    torch.save({"state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}}, tmp_path / "best_i3d.pth")
    sweep = ready.model_copy(update={"pretrained": str(tmp_path / "best_i3d.pth")})
    told = _tell(sweep, small_corpus, lambda line: None)
    assert told is not None and told["counts"]["taken"] == 409
    torch.save({"encoder.weight": torch.ones(3)}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match=r"other\.pt"):
        _tell(ready.model_copy(update={"pretrained": str(tmp_path / "other.pt")}), small_corpus, print)


def test_pretraining_to_a_file_never_overwrites_one(small_settings: CorpusSettings, tmp_path: Path) -> None:
    lines: list[str] = []
    path = tmp_path / "new" / "teacher.safetensors"
    pretrain_to(path, _sweep(small_settings), lines.append)
    assert lines[-1].endswith(f"next: give pretrained={path} to a sweep on this corpus")
    made = path.read_bytes()
    with pytest.raises(FolderError, match="exists already"):
        pretrain_to(path, _sweep(small_settings), lines.append)
    assert path.read_bytes() == made
    (tmp_path / "file").touch()
    with pytest.raises(FolderError, match=r"cannot be made, because .*file is no folder"):
        pretrain_to(tmp_path / "file" / "teacher.safetensors", _sweep(small_settings), lines.append)
    with pytest.raises(SettingError, match=r"must end in \.safetensors"):
        pretrain_to(tmp_path / "teacher.pt", _sweep(small_settings), lines.append)


def test_an_input_that_is_searched_is_told_and_so_are_start_points_left_out(
    ready: Sweep, small_settings: CorpusSettings, small_corpus: PackedCorpus
) -> None:
    searched = ["space.gains.face={choice: [0, 0.5]}", "space.time_stride={choice: [4, 2]}", "search.samples=3"]
    searched.append("search.start_points=strategies")
    sweep = _sweep(small_settings, f"pretrained={ready.pretrained}", *searched)
    lines: list[str] = []
    _tell(sweep, small_corpus, lines.append)
    assert "made otherwise: corpus.gains.face: 0.0 in the file, searched here" in lines
    assert "made otherwise: model.time_stride: 4 in the file, searched here" in lines
    assert lines[-1] == "search.samples 3 leaves out the last 2 of 5 start points"


def test_a_damaged_file_in_the_cache_is_made_again(
    small_settings: CorpusSettings, small_corpus: PackedCorpus, tmp_path: Path
) -> None:
    sweep = _sweep(small_settings.model_copy(update={"cache": tmp_path}))
    path = Path(str(with_weights(sweep, small_corpus, print).pretrained))
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    assert with_weights(sweep, small_corpus, print).pretrained == str(path)
    assert path.read_bytes() == whole


def test_gains_are_estimated_taken_from_the_manifest_or_the_teachers(
    small_settings: CorpusSettings, small_corpus: PackedCorpus, exported_teacher: Path
) -> None:
    lines: list[str] = []
    auto = _sweep(small_settings, "corpus.gains={blocks: auto, face: 0.5}")
    settled = settle_gains(auto, small_corpus, lines.append)
    assert settled.corpus.gains == Gains(blocks=corpus_gains(small_corpus, 0.05), face=0.5)
    assert lines.pop().startswith("gains: auto, estimated from the training split: hands shape 1, ")
    assert settle_gains(settled, small_corpus, lines.append) is settled and not lines
    known = {"blocks": {"hands": {"shape": 0.7}}, "face": 0.5}
    assert settle_gains(auto, small_corpus, lines.append, known=known).corpus.gains == Gains.model_validate(known)
    assert lines.pop() == "gains: auto, as the sweep began: hands shape 0.7; times face 0.5"
    teacher = load_recogniser(exported_teacher)
    plain = _sweep(small_settings, "corpus.gains=auto")
    assert settle_gains(plain, small_corpus, lines.append, teacher=teacher).corpus.gains == Gains()
    assert lines.pop() == "gains: auto, the teacher's: all 1"


def test_gains_of_blocks_that_a_layout_does_not_have_are_refused(
    small_settings: CorpusSettings, small_corpus: PackedCorpus
) -> None:
    for part, channel in (("hand", "shape"), ("values_flow", "velocity")):
        sweep = _sweep(small_settings, f"corpus.gains={{blocks: {{{part}: {{{channel}: 1}}}}}}")
        rule = rf"corpus.gains.blocks.{part}.{channel}: must be a channel of a part .* has, pose: shape, velocity"
        with pytest.raises(SettingError, match=rule):
            check_input(sweep, small_corpus)
