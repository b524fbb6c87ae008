"""Models read the modalities of any layout: who gets how many channels, what stays as it was, and what is refused."""

import hashlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from glosstune.models import FEATURE_WIDTH, MODALITY_WIDTHS, build_model, verify_model
from glosstune.models.layers.modalities import ModalityProjections, share_channels
from glosstune.models.recogniser import MAX_WIDTH, Recogniser, scaled
from glosstune.models.student import LIGHT, PARTS
from glosstune.spaces.errors import CorpusError, SettingError

KINDS = ("teacher", "student")
HANDS = {"hands": 84, "temporal": 252}
VALUES = {"values_appearance": 512}
MIXED = {"pose": 50, "hands": 84, "values_appearance": 512, "temporal": 402}

STUDENT_WEIGHTS = [1 if name in LIGHT else 2 for name in MODALITY_WIDTHS]
weights = st.lists(st.integers(1, 5), min_size=1, max_size=12)
totals = st.integers(1, 64).map(lambda steps: 8 * steps)


def projections(model: Recogniser) -> ModalityProjections:
    (found,) = [module for module in model.modules() if isinstance(module, ModalityProjections)]
    return found


@given(totals, weights)
def test_channels_are_shared_out_whole_and_nobody_goes_without(total: int, weights: list[int]) -> None:
    if len(weights) > total:
        with pytest.raises(SettingError, match=rf"at most as many modalities .*, {total}; got {len(weights)}"):
            share_channels(total, weights)
        return
    shares = share_channels(total, weights)
    step = 8 if 8 * len(weights) <= total else 1
    assert sum(shares) == total and len(shares) == len(weights)
    assert all(share >= step and share % step == 0 for share in shares)
    assert shares == share_channels(total, tuple(weights))


@given(totals, weights)
def test_a_greater_weight_never_gets_less_and_of_equal_ones_the_first_gets_more(total: int, weights: list[int]) -> None:
    if len(weights) <= total:
        shares = share_channels(total, weights)
        step = 8 if 8 * len(weights) <= total else 1
        for place, (share, weight) in enumerate(zip(shares, weights, strict=True)):
            for later, other in zip(shares[place:], weights[place:], strict=True):
                assert (share - later) * (weight - other) >= 0
                assert weight != other or 0 <= share - later <= step


@given(st.integers(1, 32), st.permutations([1, 2, 2, 1, 2]))
def test_shares_follow_their_weights_wherever_these_stand(steps: int, weights: list[int]) -> None:
    shares = share_channels(8 * 8 * steps, weights)
    assert shares == [8 * steps * weight for weight in weights]


@given(st.floats(0, MAX_WIDTH, exclude_min=True))
def test_the_default_layout_gets_the_channels_it_always_had(width: float) -> None:
    parts = [scaled(part, width) for part in PARTS]
    assert share_channels(sum(parts), STUDENT_WEIGHTS) == parts
    assert share_channels(4 * scaled(64, width), [1] * 4) == [scaled(64, width)] * 4


@pytest.mark.parametrize(
    ("kind", "names", "parameters"),
    [("teacher", "4a6ff577ccd3bff6", 7_420_448), ("student", "fe8ef0f3ddb7f955", 1_764_128)],
)
def test_default_models_have_the_keys_shapes_and_order_they_always_had(kind: str, names: str, parameters: int) -> None:
    model = build_model(kind, 1232)
    state = model.state_dict()
    told = "\n".join(f"{name} {tuple(tensor.shape)}" for name, tensor in state.items())
    assert hashlib.sha256(told.encode()).hexdigest()[:16] == names
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert model.modalities == MODALITY_WIDTHS and model.feature_width == FEATURE_WIDTH


# Computed when the four modalities were all there was. To the bit on one machine; sums differ between machines.
BEFORE = [
    ("teacher", 0.25, 24094.733431104076, -198.21138393878937, (-2.0431156158447266, -2.155745029449463)),
    ("teacher", 1.0, 178753.59845653432, -198.2843462228775, (-2.060905933380127, -2.2652885913848877)),
    ("student", 0.25, 9284.755161377552, -198.37177324295044, (-1.8729689121246338, -2.4309303760528564)),
    ("student", 1.0, 59023.96147907246, -198.2196637392044, (-2.399916648864746, -2.4010703563690186)),
]


@pytest.mark.parametrize(("kind", "width", "sizes", "total", "first"), BEFORE)
@torch.no_grad()
def test_default_models_start_from_the_values_and_give_the_scores_they_always_did(
    kind: str, width: float, sizes: float, total: float, first: tuple[float, float]
) -> None:
    model = build_model(kind, 9, width=width, seed=3).eval()
    assert sum(float(each.double().abs().sum()) for each in model.state_dict().values()) == pytest.approx(sizes, 1e-9)
    x = torch.randn(2, 40, FEATURE_WIDTH, generator=torch.Generator().manual_seed(5))
    scores, _ = model(x, torch.tensor([40, 31]))
    assert float(scores[:, 0].double().sum()) == pytest.approx(total, 1e-5)
    assert scores[3, 1, :2].tolist() == pytest.approx(first, 1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("modalities", [HANDS, VALUES, MIXED], ids=["hands", "values", "mixed"])
def test_behind_the_projections_every_layout_has_the_same_shapes(kind: str, modalities: dict[str, int]) -> None:
    ours, default = build_model(kind, 9, width=0.5, modalities=modalities), build_model(kind, 9, width=0.5)
    shapes, others = ({n: t.shape for n, t in each.state_dict().items()} for each in (ours, default))
    assert {n: shape for n, shape in shapes.items() if ".projections." not in n} == {
        n: shape for n, shape in others.items() if ".projections." not in n
    }
    assert {name: each.weight.shape[1] for name, each in projections(ours).items()} == modalities  # type: ignore[union-attr,index]  # a Linear's
    assert list(projections(ours)) == list(modalities) == list(ours.modalities)


def test_the_student_gives_hands_values_and_temporal_about_twice_what_pose_gets() -> None:
    model = build_model("student", 9, width=2.0, modalities={"pose": 4, "hands": 4, "values_a": 4, "temporal": 4})
    assert [each.weight.shape[0] for each in projections(model).values()] == [56, 112, 112, 104]  # type: ignore[union-attr,index]  # a Linear's


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("modalities", [HANDS, VALUES, MIXED], ids=["hands", "values", "mixed"])
def test_a_model_of_any_modalities_passes_every_check(kind: str, modalities: dict[str, int]) -> None:
    model = build_model(kind, 9, width=0.25, modalities=modalities)
    checks = verify_model(model, 9)
    assert len(checks) == 8
    assert [check for check in checks if not check.passed] == []


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_each_modality_is_read_from_its_own_place(kind: str, features: Tensor) -> None:
    model = build_model(kind, 9, width=0.25, modalities=MIXED).eval()
    x, lengths = features[:, :, : model.feature_width].clone(), torch.tensor([48, 41, 35])
    before, _ = model(x, lengths)
    for first, width, name in ((0, 50, "pose"), (50, 84, "hands"), (134, 512, "values_appearance")):
        projection = projections(model)[name].weight
        assert isinstance(projection, Tensor)
        kept = projection.clone()
        projection.zero_()
        changed = x.clone()
        changed[:, :, first : first + width] = 3.0
        assert torch.equal(model(x, lengths)[0], model(changed, lengths)[0])
        projection.copy_(kept)
        assert not torch.equal(model(changed, lengths)[0], before)


def test_features_of_another_layout_are_refused_with_the_models_own() -> None:
    model = build_model("student", 9, width=0.25, modalities=HANDS)
    with pytest.raises(CorpusError, match=r"must be \(batch, time, 336\), a frame being hands 84 \| temporal 252$"):
        model(torch.zeros(1, 5, FEATURE_WIDTH), torch.tensor([5]))


@pytest.mark.parametrize(
    ("modalities", "rule"),
    [
        ({}, "must have one modality at least"),
        ({"": 3}, "no modality can be called ''"),
        ({"left.hand": 3}, "no modality can be called 'left.hand': that is no name of a module; rename the block"),
        ({"items": 3}, "no modality can be called 'items'"),
        ({"training": 3}, "no modality can be called 'training'"),
        ({"hands": 0}, "needs one value a frame at least; got 0 for hands"),
        ({"hands": 1.5}, "needs one value a frame at least; got 1.5 for hands"),
        ({f"values_{n}": 1 for n in range(49)}, "at most as many modalities as .*, 48; got 49; join blocks, or raise"),
    ],
)
def test_modalities_that_no_model_can_have_are_refused(modalities: dict[str, int], rule: str) -> None:
    with pytest.raises(SettingError, match=rf"^corpus\.layout: .*{rule}"):
        build_model("student", 9, width=0.25, modalities=modalities)


@given(st.sampled_from([*sorted(dir(torch.nn.ModuleDict())), "inputs", "modalities", "width", "norm", "values_keys"]))
def test_any_name_is_refused_in_a_line_or_makes_a_module(name: str) -> None:
    try:
        model = build_model("student", 3, width=0.1, modalities={name: 3})
    except SettingError as refused:
        assert refused.key == "corpus.layout" and "\n" not in str(refused)
    else:
        assert list(projections(model)) == [name]
