import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from glosstune.search import load_sweep
from glosstune.search.driver import timing
from glosstune.search.driver.excerpt import Excerpt, pack_excerpt
from glosstune.search.driver.timing import Cost, Stage, between, epoch_batches, list_stages, mean_epoch_s, padded_frames
from glosstune.trainables import TrialSettings
from glosstune.trainables.settings import CorpusSettings

CPU = torch.device("cpu")


def stage(depth: int, **settings: object) -> Stage:
    return Stage(TrialSettings.model_validate(settings), f"layer {depth}", depth, 1.0, 0, "")


@given(st.lists(st.floats(0.01, 10), min_size=3, max_size=12), st.data())
def test_a_depth_that_was_not_timed_lies_between_its_neighbours(layers_s: list[float], data: st.DataObject) -> None:
    timed = data.draw(st.sets(st.integers(1, len(layers_s) - 1)))
    dearest_first = [0, *sorted(timed)]
    costs = {("", depth): Cost(100.0 - place, 10.0) for place, depth in enumerate(dearest_first)}
    found = [between(stage(depth), costs, layers_s) for depth in range(len(layers_s))]
    assert all(found[depth] == costs["", depth] for depth in dearest_first)
    seconds = [cost.epoch_s for cost in found]
    assert all(0 < later <= earlier * (1 + 1e-9) for earlier, later in pairwise(seconds))


def test_frozen_layers_that_run_at_every_step_are_not_counted_as_free() -> None:
    costs, layers_s = {("", 0): Cost(90.0, 10.0)}, [1.0, 1.0, 1.0]
    assert between(stage(1), costs, layers_s).epoch_s == pytest.approx(100 * 2 / 3)
    assert between(stage(1, training={"augment": "speed"}), costs, layers_s).epoch_s == 100
    assert between(stage(1, activation_cache=False), costs, layers_s).epoch_s == 100


def test_what_nothing_alike_was_timed_of_costs_as_much_as_anything_did() -> None:
    other = Stage(TrialSettings(), "layer 2", 2, 1.0, 0, "another model")
    assert between(other, {("", 0): Cost(9.0, 1.0), ("", 2): Cost(2.0, 1.0)}, [1.0] * 3).epoch_s == 10


@given(st.lists(st.integers(1, 300), min_size=1, max_size=200), st.integers(1, 32), st.integers(0, 99))
def test_batches_of_an_epoch_hold_every_length_once(lengths: list[int], batch_size: int, epoch: int) -> None:
    batches = epoch_batches(lengths, batch_size, 0, epoch)
    assert sorted(length for batch in batches for length in batch) == sorted(lengths)
    assert len(batches) == math.ceil(len(lengths) / batch_size)
    assert sum(lengths) <= padded_frames(batches) <= len(lengths) * (max(lengths) + 15)


@pytest.fixture(scope="module")
def overrides(small_settings: CorpusSettings) -> list[str]:
    return [
        f"corpus.signers={list(small_settings.signers or ())}",
        "corpus.sentences=24",
        f"corpus.cache={small_settings.cache}",
        "model.width=0.25",
        "training.batch_size=4",
    ]


@pytest.fixture
def excerpt(small_settings: CorpusSettings, tmp_path: Path) -> Excerpt:
    return pack_excerpt(small_settings, {"train": 4, "dev": 2}, tmp_path / "excerpt", lambda line: None)


def test_stages_of_a_trial_are_all_its_epochs_and_what_trains_alike_is_timed_once(
    overrides: list[str], excerpt: Excerpt
) -> None:
    sweep = load_sweep("teacher", [*overrides, "training.epochs=7"]).model_copy(update={"pretrained": None})
    trials = list_stages(sweep, excerpt, CPU)
    assert {name for name, _ in trials} == {
        "baseline",
        "feature-extraction",
        "fine-tune",
        "progressive",
        "full-finetune",
    }
    assert all(sum(stage.share for stage in trial) == pytest.approx(1) for _, trial in trials)
    keys = {name: [stage.key for stage in trial] for name, trial in trials if name in ("baseline", "full-finetune")}
    assert keys["baseline"] == keys["full-finetune"] and keys["baseline"][0][1] == 0
    for name, trial in trials:
        if name == "progressive":
            assert [stage.depth for stage in trial] == sorted({stage.depth for stage in trial}, reverse=True)


@pytest.mark.parametrize(("positions", "augment"), [(True, "hand-gaps+place+proportions"), (False, "none")])
def test_auto_is_what_it_comes_to_on_this_corpus(
    overrides: list[str], excerpt: Excerpt, positions: bool, augment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Excerpt, "has_positions", positions)
    sweep = load_sweep("teacher", [*overrides, "pretrained=null", "space.strategy=baseline", "training.augment=auto"])
    ((_, stages),) = list_stages(sweep, excerpt, CPU)
    assert {stage.settings.training.augment for stage in stages} == {augment}


@pytest.mark.slow
def test_every_strategy_is_timed_and_nothing_of_it_stays(
    overrides: list[str], small_settings: CorpusSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = small_settings.cache
    assert cache is not None
    before = {*cache.iterdir(), *cache.glob("activations/*")}
    monkeypatch.setattr(timing, "PATIENCE_S", math.inf)
    said: list[str] = []
    seconds = mean_epoch_s(load_sweep("teacher", overrides), said.append, device=CPU)
    assert 0 < seconds < math.inf
    count = sum(line.startswith("[") for line in said)
    assert said[1].startswith(f"[1/{count}] training from modality_fusion on: ")
    assert said[2].startswith(f"[2/{count}] training from lstm on: ")
    assert [line.split()[0] for line in said[count + 1 : count + 6]] == list(timing.STRATEGIES)
    # The corpus itself may have been packed; weights, posteriors and activations of a plan are no sweep's.
    assert {*cache.iterdir(), *cache.glob("activations/*")} - before <= {cache / "activations", *cache.glob("fingers*")}


def test_without_time_only_the_dearest_is_timed(overrides: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "PATIENCE_S", 0.0)
    said: list[str] = []
    assert mean_epoch_s(load_sweep("teacher", overrides), said.append, device=CPU) > 0
    assert sum(line.startswith("[") for line in said) == 1
    assert any("not timed, but counted by what their layers take" in line for line in said)


def test_a_student_that_is_distilled_is_timed_with_its_teacher(
    overrides: list[str], exported_teacher: Path, small_settings: CorpusSettings
) -> None:
    said: list[str] = []
    kept = [*(small_settings.cache or Path()).glob("posteriors-*")]  # of other tests
    sweep = load_sweep("distil", [*overrides, f"teacher={exported_teacher}", "corpus.gains={}"])
    assert mean_epoch_s(sweep, said.append, device=CPU) > 0
    assert [*(small_settings.cache or Path()).glob("posteriors-*")] == kept
