"""A model of one's own is taken where it is what freezing and training need, and told what it lacks."""

from itertools import pairwise
from pathlib import Path

import own_models
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from glosstune.models import (
    Architecture,
    build_model,
    freeze_until,
    load_pretrained,
    progressive_stages,
    verify_model,
    write_weights,
)
from glosstune.models.freezing import first_trained
from glosstune.models.kinds import architecture_of, check_kind
from glosstune.models.recogniser import Recogniser
from glosstune.spaces.errors import CheckpointError, SettingError

OWN = "own_models:Tiny"
NAMES = [f"layer_{number}" for number in range(12)]


@st.composite
def architectures(draw: st.DrawFn) -> Architecture:
    """Of two to twelve layers in any contiguous groups."""
    layers = NAMES[: draw(st.integers(2, len(NAMES)))]
    cuts = sorted(draw(st.sets(st.integers(1, len(layers) - 1), min_size=1)))
    edges = [0, *cuts, len(layers)]
    groups = tuple(tuple(layers[first:last]) for first, last in pairwise(edges))
    return Architecture(groups, dict.fromkeys(("last", "middle"), layers[0]))


@given(architectures())
def test_a_model_has_as_many_stages_as_groups_from_its_head_to_its_input(architecture: Architecture) -> None:
    class Layered(Recogniser):
        def __init__(self) -> None:
            super().__init__(2, 1.0, 1, "group", 0.0)

    Layered.architecture = architecture
    model, most = Layered(), len(architecture.groups)
    for n in range(1, most + 1):
        stages = progressive_stages(model, n)
        assert len(stages) == n
        assert all(stage == architecture.layers[-len(stage) :] for stage in stages)
        assert all(len(stage) < len(later) for stage, later in pairwise(stages))
        assert n == 1 or stages[0] == architecture.head
        assert (stages[-1] == architecture.layers) == (n == most)
    with pytest.raises(SettingError, match=f"from 1 to {most}; got {most + 1}"):
        progressive_stages(model, most + 1)


@pytest.mark.parametrize(
    ("groups", "depths", "shortcuts", "rule"),
    [
        ((("a", "b"),), {"last": "a", "middle": "a"}, (), "at least two groups"),
        ((("a",), (), ("b",)), {"last": "a", "middle": "a"}, (), "at least two groups of layers"),
        ((("a",), ("a", "b")), {"last": "a", "middle": "a"}, (), "names each layer once; got a, a, b"),
        ((("a",), ("b",)), {"last": "a"}, (), "depths of an Architecture are last, middle; got last"),
        ((("a",), ("b",)), {"last": "a", "middle": "c"}, (), "c: no layer of the Architecture"),
        ((("a",), ("b",)), {"last": "a", "middle": "a"}, ("d",), "d: no layer of the Architecture"),
        ((("a",), ("b",)), {"last": "a", "middle": "a"}, ("b",), "b: no layer of the Architecture, or a shortcut"),
        (("a", ("b",)), {"last": "a", "middle": "a"}, (), "are tuples of names"),
    ],
)
def test_an_architecture_that_contradicts_itself_is_refused(
    groups: tuple[tuple[str, ...], ...], depths: dict[str, str], shortcuts: tuple[str, ...], rule: str
) -> None:
    with pytest.raises(ValueError, match=rule):
        Architecture(groups, depths, shortcuts)


def test_a_model_of_ones_own_passes_every_check() -> None:
    model = build_model(OWN, 7, width=0.5, time_stride=2)
    assert architecture_of(OWN) == model.architecture == own_models.Tiny.architecture
    assert [check.name for check in verify_model(model, 7) if not check.passed] == []
    same = build_model(OWN, 7, width=0.5, time_stride=2)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), same.parameters(), strict=True))


@pytest.mark.parametrize("layer", own_models.Tiny.architecture.layers)
def test_a_model_of_ones_own_is_frozen_until_any_of_its_layers(layer: str) -> None:
    model = build_model(OWN, 7)
    freeze_until(model, layer)
    assert first_trained(model) == layer
    trains = {name.partition(".")[0] for name, each in model.named_parameters() if each.requires_grad}
    assert trains == set(model.layer_names[model.layer_names.index(layer) :])


@pytest.mark.parametrize(
    "kind", ["techer", "Teacher", "", "own_models", "own_models:", ":Tiny", "../own:Net", "own:a/b"]
)
def test_a_kind_that_is_neither_ours_nor_spelled_like_ones_own_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match=r"must be 'teacher' or 'student', or package\.module:Name of one of your own"):
        check_kind(kind)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("Missing", "cannot be imported .*has no attribute 'Missing'"),
        ("Unsaid", "lacks architecture; see docs/extending.md"),
        ("Said", "its architecture is 'project, conv', no glosstune.models.Architecture"),
        ("Bare", "is no subclass of glosstune.models.Recogniser"),
        ("Fewer", "names project, beside, stem, block_1, glosses; its modules are project, beside, block_1, glosses"),
        ("Strideless", "its layer block_1 lacks a whole number stride"),
        ("Slower", "the strides of its layers make 8, and model.time_stride is 4; make them the same"),
        ("Narrow", r"does not take \(vocabulary_size, \*, width, time_stride, norm, dropout\)"),
        ("Failing", r"cannot be made \(RuntimeError: no such table\)"),
    ],
)
def test_a_model_that_lacks_something_is_told_what(name: str, rule: str) -> None:
    with pytest.raises(SettingError, match=f"^model.kind: own_models:{name}:? .*{rule}") as refused:
        build_model(f"own_models:{name}", 7)
    assert "\n" not in str(refused.value)


def test_an_argument_out_of_range_is_told_as_for_ours() -> None:
    with pytest.raises(SettingError, match=r"model\.width: must be above 0"):
        build_model(OWN, 7, width=-1.0)


HANDS = {"hands": 84, "temporal": 252}


@pytest.mark.parametrize("name", ["AnyLayout", "OnTop"])
def test_a_model_of_ones_own_that_takes_modalities_reads_any_layout(name: str) -> None:
    model = build_model(f"own_models:{name}", 7, width=0.25, modalities=HANDS)
    assert model.modalities == HANDS and model.feature_width == 336
    assert [check for check in verify_model(model, 7) if not check.passed] == []
    assert build_model(f"own_models:{name}", 7, width=0.25).feature_width == 6516


@pytest.mark.parametrize("name", ["Tiny", "Fewer"])
def test_one_that_does_not_reads_the_default_layout_alone_and_is_told_what_to_add(name: str) -> None:
    rule = r"reads the default layout alone, and a frame is hands 84 \| temporal 252 here; let its __init__ take modal"
    with pytest.raises(SettingError, match=f"^model.kind: own_models:{name} {rule}"):
        build_model(f"own_models:{name}", 7, modalities=HANDS)


def test_one_that_takes_modalities_and_forgets_them_is_told_so() -> None:
    with pytest.raises(
        SettingError, match=r"^model.kind: own_models:Forgetful takes modalities and does not hand them"
    ):
        build_model("own_models:Forgetful", 7, modalities=HANDS)
    assert build_model("own_models:Forgetful", 7).feature_width == 6516


def test_weights_of_ones_own_model_are_loaded_by_its_own_names(tmp_path: Path) -> None:
    # Though two of its layers are called like the student's and one like the teacher's.
    source = build_model(OWN, 7, seed=1)
    write_weights(tmp_path / "own.safetensors", source.state_dict(), {"vocabulary": list("abcdef")})
    model = build_model(OWN, 7)
    report = load_pretrained(model, tmp_path / "own.safetensors", vocabulary=list("abcdef"))
    assert report.counts == {"taken": len(model.state_dict()), "adapted": 0, "skipped": 0, "missing": 0}
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), source.parameters(), strict=True))
    others = load_pretrained(build_model(OWN, 7), tmp_path / "own.safetensors", vocabulary=list("ghijkl"))
    assert others.fresh == {"glosses.weight", "glosses.bias"}


def test_weights_of_a_network_that_shares_no_layer_are_refused(tmp_path: Path) -> None:
    write_weights(tmp_path / "teacher.safetensors", build_model("teacher", 7, width=0.25).state_dict(), {})
    with pytest.raises(CheckpointError, match="holds weights for a teacher, and the model is a Tiny"):
        load_pretrained(build_model(OWN, 7, width=0.25), tmp_path / "teacher.safetensors")
