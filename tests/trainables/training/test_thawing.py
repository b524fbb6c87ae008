"""Which layer trains from which epoch, and how its rate rises when it thaws."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glosstune.models import build_model, progressive_stages
from glosstune.models.recogniser import Recogniser
from glosstune.spaces import SettingError
from glosstune.trainables.settings import TrainingSettings, TrialSettings
from glosstune.trainables.training.optimiser import build_optimiser, discriminative_factors, set_learning_rate
from glosstune.trainables.training.schedule import thaw_factor
from glosstune.trainables.training.thawing import thaw_epochs, thaw_for

TEACHER = build_model("teacher", 9, width=0.25)
STUDENT = build_model("student", 9, width=0.25)


def _settings(epochs: int = 50, kind: str = "teacher", **tuned: object) -> TrialSettings:
    return TrialSettings.model_validate({"model": {"kind": kind}, "training": {"epochs": epochs}, "tuned": tuned})


def test_progressive_thaws_at_the_users_epochs() -> None:
    first = thaw_epochs(TEACHER, _settings(strategy="progressive"))
    # Stages of the user: 0-12, 13-25, 26-37, 38-50 of 50 epochs; ours end after 12, 25, 37 and 50.
    assert {layer: first.get(layer) for layer in ("lstm", "mixed_5b", "mixed_4b", "stem", "modality_fusion")} == {
        "lstm": 0,
        "mixed_5b": 12,
        "mixed_4b": 25,
        "stem": 37,
        "modality_fusion": None,
    }


@given(st.integers(1, 60), st.integers(1, 5))
def test_every_stage_ends_after_its_share_of_the_epochs(epochs: int, stages: int) -> None:
    first = thaw_epochs(TEACHER, _settings(epochs, strategy="progressive", unfreeze_stages=stages))
    plan = progressive_stages(TEACHER, stages)
    for epoch in range(epochs):
        stage = next(k for k in range(1, stages + 1) if epoch < k * epochs // stages)
        trains = {layer for layer, start in first.items() if start <= epoch}
        assert trains == set(plan[stage - 1])


@pytest.mark.parametrize(
    ("model", "tuned", "layer"),
    [
        (TEACHER, {"strategy": "baseline"}, "modality_fusion"),
        (TEACHER, {"strategy": "full-finetune"}, "modality_fusion"),
        (TEACHER, {"strategy": "feature-extraction"}, "mixed_5c"),
        (TEACHER, {"strategy": "fine-tune", "freeze_until": "mixed_3b"}, "mixed_3b"),
        (STUDENT, {"strategy": "feature-extraction"}, "last"),
        (STUDENT, {"strategy": "fine-tune"}, "block_8"),
    ],
)
def test_other_strategies_train_from_their_layer_on_from_the_first_epoch(
    model: Recogniser, tuned: dict[str, object], layer: str
) -> None:
    first = thaw_epochs(model, _settings(kind="teacher" if model is TEACHER else "student", **tuned))
    names = model.layer_names
    assert first == dict.fromkeys(names[names.index(layer) :], 0)


def test_a_layer_that_does_not_exist_lists_those_that_do() -> None:
    with pytest.raises(SettingError, match="freeze_until: must be a layer of the model; got 'mixed_9z'"):
        thaw_epochs(TEACHER, _settings(strategy="fine-tune", freeze_until="mixed_9z"))


def test_fresh_parameters_train_at_any_depth_and_only_they() -> None:
    fresh = {"stem.0.weight", "modality_fusion.norm_in.bias"}
    first = thaw_epochs(TEACHER, _settings(strategy="feature-extraction"))
    thaw_for(TEACHER.train(), 0, first, fresh)
    trains = {name for name, parameter in TEACHER.named_parameters() if parameter.requires_grad}
    tail = TEACHER.layer_names[TEACHER.layer_names.index("mixed_5c") :]
    assert trains == fresh | {name for name, _ in TEACHER.named_parameters() if name.partition(".")[0] in tail}
    assert TEACHER.get_submodule("stem.0").training and not TEACHER.get_submodule("stem.1").training
    assert not TEACHER.get_submodule("mixed_4b").training


@given(st.floats(0, 60), st.integers(0, 50), st.integers(0, 10))
def test_a_thawed_layer_warms_up_again_and_others_do_not(progress: float, thawed: int, warmup: int) -> None:
    factor = thaw_factor(progress, thawed, warmup)
    assert 0 <= factor <= 1
    if thawed == 0 or warmup == 0 or progress >= thawed + warmup:
        assert factor == 1
    assert thaw_factor(12.5, 12, 2) == 0.25


def test_discriminative_rates_fall_towards_the_input() -> None:
    factors = discriminative_factors(TEACHER, 0.5)
    assert [factors[layer] for layer in ("classifier", "lstm", "mixed_5b", "mixed_4c", "stem", "modality_fusion")] == [
        1,
        1,
        0.5,
        0.25,
        0.125,
        0.0625,
    ]
    optimiser = build_optimiser(TEACHER, TrainingSettings(lr_scale="fan_in"), 1e-3, factors)
    set_learning_rate(optimiser, 1e-3, {"stem": 0.1})
    rates = {(group["layer"], group["scale"]): group["lr"] for group in optimiser.param_groups}
    assert rates["lstm", 1.0] == 1e-3
    assert rates["stem", 0.125] == pytest.approx(1e-3 * 0.125 * 0.1)
    grouped = sum(len(group["params"]) for group in optimiser.param_groups)
    assert grouped == len(list(TEACHER.parameters()))
