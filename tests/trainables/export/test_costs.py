"""What a recogniser costs is what its exported file holds and what compare-models measures."""

from pathlib import Path

import pytest

from glosstune.results.reading.objectives import COSTS
from glosstune.trainables import TrainingSession, TrialSettings, export_checkpoint
from glosstune.trainables.corpora import PackedCorpus
from glosstune.trainables.export import costs as module
from glosstune.trainables.export.comparing import Speed
from glosstune.trainables.export.costs import measure_costs
from glosstune.trainables.export.exporting import TrainedRecogniser, load_recogniser
from glosstune.trainables.settings import CorpusSettings


@pytest.fixture(scope="module")
def exported(
    small_settings: CorpusSettings, small_corpus: PackedCorpus, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrainedRecogniser, Path]:
    model = {"width": 0.1, "norm": "batch"}
    settings = TrialSettings.model_validate({"corpus": small_settings.model_dump(), "model": model})
    out = tmp_path_factory.mktemp("exported") / "student.safetensors"
    TrainingSession(settings, small_corpus).save(out.with_suffix(".pt"))
    export_checkpoint(out.with_suffix(".pt"), out, {})
    return load_recogniser(out), out


def test_size_and_parameters_are_those_of_the_exported_file(
    exported: tuple[TrainedRecogniser, Path], small_corpus: PackedCorpus
) -> None:
    recogniser, path = exported
    costs = measure_costs(recogniser, small_corpus, ["wer", "parameters"])
    assert set(costs) == {"parameters", "size_mb"}
    assert costs["parameters"] == sum(each.numel() for each in recogniser.model.parameters())
    # Beside the weights a file has its vocabulary, settings and conditioning.
    assert 4 * costs["parameters"] < costs["size_mb"] * 1e6 < path.stat().st_size < costs["size_mb"] * 1e6 + 100_000


def test_time_is_measured_where_it_is_an_objective_and_rounded_to_two_digits(
    exported: tuple[TrainedRecogniser, Path], small_corpus: PackedCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def timed(recognisers: object, corpus: object, rows: object, batch_size: int, rounds: int) -> list[Speed]:
        asked.append(batch_size)
        return [Speed(batch_size, 98_765.4, 12.345, (12.0, 13.0))]

    monkeypatch.setattr(module, "time_in_turn", timed)
    costs = measure_costs(exported[0], small_corpus, ["wer", *COSTS])
    assert set(costs) == set(COSTS) and asked == [1, 16]
    assert (costs["latency_ms"], costs["dev_frames_per_s"]) == (12.0, 99_000.0)


def test_time_is_measured_for_real(exported: tuple[TrainedRecogniser, Path], small_corpus: PackedCorpus) -> None:
    costs = measure_costs(exported[0], small_corpus, ["wer", "latency_ms", "dev_frames_per_s"])
    assert costs["latency_ms"] > 0 and costs["dev_frames_per_s"] > 0
