"""Which layers train, and that frozen ones stay exactly as they are."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from glosstune.models import build_model, freeze_until, progressive_stages, thaw, trainable_parameters
from glosstune.models.kinds import KINDS
from glosstune.models.recogniser import Recogniser
from glosstune.spaces.errors import SettingError

LAYERS = {kind: known.architecture.layers for kind, known in KINDS.items()}
MODELS = {kind: build_model(kind, 9, width=0.25) for kind in LAYERS}
every_model = pytest.mark.parametrize("kind", LAYERS)
any_layer = st.sampled_from([(kind, layer) for kind, layers in LAYERS.items() for layer in layers])


@pytest.fixture(scope="module")
def phoenix_teacher() -> Recogniser:
    return build_model("teacher", 1232)


@pytest.mark.parametrize(("layer", "size"), [("mixed_5c", 4_138_912), ("mixed_4f", 5_276_576), ("mixed_3b", 6_624_096)])
def test_freezing_the_teacher_leaves_the_users_figures(phoenix_teacher: Recogniser, layer: str, size: int) -> None:
    freeze_until(phoenix_teacher, layer)
    assert trainable_parameters(phoenix_teacher) == size


def test_stages_of_the_teacher_have_the_users_figures(phoenix_teacher: Recogniser) -> None:
    sizes = []
    for layers in progressive_stages(phoenix_teacher, 4):
        thaw(phoenix_teacher, layers)
        sizes.append(trainable_parameters(phoenix_teacher))
    assert sizes == [3_257_552, 4_795_296, 6_389_136, 6_738_976]


def test_five_stages_end_with_the_whole_teacher(phoenix_teacher: Recogniser) -> None:
    assert progressive_stages(phoenix_teacher, 5)[:4] == progressive_stages(phoenix_teacher, 4)
    thaw(phoenix_teacher, progressive_stages(phoenix_teacher, 5)[-1])
    assert trainable_parameters(phoenix_teacher) == 7_420_448


@given(st.sampled_from(list(LAYERS)), st.integers(1, 5))
def test_stages_only_ever_add_layers_towards_the_input(kind: str, n: int) -> None:
    model = MODELS[kind]
    stages = progressive_stages(model, n)
    assert len(stages) == n
    for stage, following in pairwise(stages):
        assert set(stage) < set(following)
        assert following[-len(stage) :] == stage
    assert all(list(stage) == [name for name in LAYERS[kind] if name in stage] for stage in stages)
    assert stages[-1] == (LAYERS[kind] if n == 5 else progressive_stages(model, 4)[-1])
    assert n == 1 or stages[0] == ("lstm", "classifier")
    assert n == 5 or LAYERS[kind][0] not in stages[-1]


@pytest.mark.parametrize("n", [0, 6, -1])
def test_a_number_of_stages_out_of_range_is_refused(n: int) -> None:
    with pytest.raises(SettingError, match=f"unfreeze_stages: must be a number of stages from 1 to 5; got {n}"):
        progressive_stages(MODELS["student"], n)


@given(any_layer)
def test_freezing_until_a_layer_freezes_just_what_is_before_it(choice: tuple[str, str]) -> None:
    kind, layer = choice
    model = MODELS[kind]
    freeze_until(model, layer)
    depth = LAYERS[kind].index(layer)
    for position, name in enumerate(LAYERS[kind]):
        assert all(p.requires_grad == (position >= depth) for p in model.get_submodule(name).parameters())


def test_an_unknown_layer_lists_the_models_own() -> None:
    with pytest.raises(SettingError, match=r"got 'mixed_4g'; did you mean 'mixed_4f'\?") as caught:
        freeze_until(MODELS["teacher"], "mixed_4g")
    assert f"its layers are {', '.join(LAYERS['teacher'])}" in str(caught.value)
    with pytest.raises(SettingError, match="block_11"):
        thaw(MODELS["student"], ["classifier", "mixed_4f"])


def test_another_module_has_no_layers_to_freeze() -> None:
    with pytest.raises(TypeError, match="Linear"):
        freeze_until(nn.Linear(1, 1), "lstm")


@every_model
def test_frozen_modules_stay_in_eval_mode_through_train(kind: str) -> None:
    model = build_model(kind, 9, width=0.25, norm="batch")
    freeze_until(model, LAYERS[kind][6])
    for training in (True, False, True):
        model.train(training)
        for name in LAYERS[kind]:
            expected = training and name in LAYERS[kind][6:]
            assert all(module.training == expected for module in model.get_submodule(name).modules())
    thaw(model, LAYERS[kind])
    assert all(module.training for module in model.modules())


@every_model
def test_freezing_in_eval_mode_stays_in_eval_mode(kind: str) -> None:
    model = build_model(kind, 9, width=0.25).eval()
    freeze_until(model, "lstm")
    assert not any(module.training for module in model.modules())


@every_model
@pytest.mark.parametrize("depth", [0, 3, -4, -2, -1])
def test_gradients_reach_all_that_trains_and_nothing_frozen(
    kind: str, depth: int, features: Tensor, lengths: Tensor
) -> None:
    layer = LAYERS[kind][depth]
    model = build_model(kind, 9, width=0.25, norm="batch", dropout=0.5)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model(features, lengths)[0].square().mean().backward()
    freeze_until(model, layer)
    model.load_state_dict(before)
    log_probs, _ = model(features, lengths)
    log_probs[:, :, 0].mean().backward()
    frozen = LAYERS[kind][: LAYERS[kind].index(layer)]
    for name, parameter in model.named_parameters():
        if name.partition(".")[0] in frozen:
            assert parameter.grad is None, name
        else:
            assert parameter.grad is not None, name
            # A bias before batch normalisation cancels out, as does the keys' bias in attention.
            assert parameter.grad.any() or name.endswith("bias"), name
    for name, value in model.state_dict().items():
        if name.partition(".")[0] in frozen:
            assert torch.equal(value, before[name]), name


@every_model
def test_a_frozen_prefix_is_a_pure_function_of_its_input(kind: str, features: Tensor, lengths: Tensor) -> None:
    model = build_model(kind, 9, width=0.25, norm="batch", dropout=0.5)
    freeze_until(model, "classifier")
    read = []
    model.classifier.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    model.dropout = 0.0  # only what is before the classifier's own dropout is frozen
    model(features, lengths)
    model.dropout = 0.5
    model.classifier.requires_grad_(False)
    model.train()
    model(features, lengths)
    assert torch.equal(read[0], read[1])
