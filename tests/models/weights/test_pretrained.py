"""Weights with our own names: what arrives, what stays random, what the report says, and what is refused."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glosstune.models import LoadReport, build_model, load_pretrained, write_weights
from glosstune.models.recogniser import Recogniser
from glosstune.spaces.errors import CheckpointError, SettingError

State = dict[str, Tensor]
Save = Callable[[State], Path]


def small(kind: str = "teacher", classes: int = 9, norm: str = "group", width: float = 0.25) -> Recogniser:
    """A model that weights are loaded into."""
    return build_model(kind, classes, width=width, norm=norm)


@cache
def _weights(kind: str, classes: int, norm: str, width: float) -> State:
    return build_model(kind, classes, width=width, norm=norm, seed=1).state_dict()


def weights(kind: str = "teacher", classes: int = 9, norm: str = "group", width: float = 0.25) -> State:
    """A state dict of other values than those of ``small``."""
    return dict(_weights(kind, classes, norm, width))


def copy(model: nn.Module) -> State:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def by_status(report: LoadReport, status: str) -> set[str]:
    return {entry.name for entry in report.entries if entry.status == status}


def is_accounted_for(report: LoadReport, model: nn.Module, file: State) -> bool:
    """Every tensor of the model stands in the report once, and every name of the file that is skipped once."""
    ours = [entry.name for entry in report.entries if entry.status != "skipped"]
    skipped = [entry.name for entry in report.entries if entry.status == "skipped"]
    return ours == list(model.state_dict()) and skipped == [name for name in file if name in set(skipped)]


# Our own weights and the user's


def test_a_teacher_of_another_vocabulary_gives_244_of_246_tensors(save: Save) -> None:
    other, teacher = build_model("teacher", 500, seed=1), build_model("teacher", 1232)
    report = load_pretrained(teacher, save(other.state_dict()))
    assert report.counts == {"taken": 244, "adapted": 0, "skipped": 2, "missing": 2}
    assert report.fresh == {"classifier.weight", "classifier.bias"} == by_status(report, "skipped")
    assert "500 classes in the file, 1232 here" in report.table()
    state = teacher.state_dict()
    assert all(
        torch.equal(tensor, state[name]) for name, tensor in other.state_dict().items() if name not in report.fresh
    )


def test_a_teacher_with_batch_norm_gives_409_of_411_entries(save: Save) -> None:
    report = load_pretrained(small(norm="batch"), save(weights(norm="batch", classes=5)))
    assert len(weights(norm="batch", classes=5)) == 411
    assert report.counts == {"taken": 409, "adapted": 0, "skipped": 2, "missing": 2}


@pytest.mark.parametrize("kind", ["teacher", "student"])
@pytest.mark.parametrize("norm", ["group", "batch"])
def test_weights_of_the_same_model_arrive_whole(save: Save, kind: str, norm: str) -> None:
    model, source = small(kind, norm=norm), weights(kind, norm=norm)
    report = load_pretrained(model, save(source))
    assert same(copy(model), source)
    assert report.counts["taken"] == len(source) and not report.fresh
    assert len(report.table().splitlines()) == 3


def test_running_statistics_do_not_enter_group_normalisation(save: Save) -> None:
    report = load_pretrained(small(), save(weights(norm="batch")))
    assert report.counts == {"taken": 246, "adapted": 0, "skipped": 165, "missing": 0}
    assert {entry.detail for entry in report.entries if entry.status == "skipped"} == {
        "running statistics: group normalisation has none"
    }
    assert len(report.table().splitlines()) == 5


@pytest.mark.parametrize(
    ("recorded", "vocabulary", "taken"),
    [
        (["A", "B"], ("A", "B"), True),
        (["A", "B"], ("A", "C"), False),
        (["A", "B"], ("B", "A"), False),
        (["A", "B"], None, True),
        (None, ("A", "B"), True),
    ],
)
def test_a_classifier_is_taken_only_for_the_same_glosses(
    tmp_path: Path, recorded: list[str] | None, vocabulary: tuple[str, ...] | None, taken: bool
) -> None:
    model, source = small("student", classes=3), weights("student", classes=3)
    write_weights(tmp_path / "a.safetensors", source, {"vocabulary": recorded} if recorded else {})
    report = load_pretrained(model, tmp_path / "a.safetensors", vocabulary=vocabulary)
    assert torch.equal(model.classifier.weight, source["classifier.weight"]) == taken
    assert report.fresh == (set() if taken else {"classifier.weight", "classifier.bias"})


@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_a_file_of_the_backbone_alone_is_fine(tmp_path: Path, kind: str) -> None:
    model, source = small(kind), weights(kind)
    backbone = {name: t for name, t in source.items() if not name.startswith(("lstm.", "classifier."))}
    write_weights(tmp_path / "a.safetensors", backbone, {})
    report = load_pretrained(model, tmp_path / "a.safetensors")
    assert by_status(report, "taken") == set(backbone)
    assert report.fresh == by_status(report, "missing") == set(model.state_dict()) - set(backbone)
    assert len(report.fresh) == 10


def renamed(state: State, names: Callable[[str], str]) -> State:
    """The same with other names within the fusion."""
    return {names(name) if name.startswith("modality_fusion.") else name: t for name, t in state.items()}


def test_other_names_within_the_fusion_are_matched_by_shape_and_order(save: Save) -> None:
    model = small()
    state = renamed(weights(), lambda name: name.replace("projections.", "proj_").replace("norm_in", "ln1"))
    report = load_pretrained(model, save(state))
    assert same(copy(model), weights())
    assert len(by_status(report, "adapted")) == 16
    details = {entry.name: entry.detail for entry in report.entries}
    assert details["modality_fusion.norm_in.bias"] == "from modality_fusion.ln1.bias: by shape and order"
    assert details["modality_fusion.norm_out.bias"] == "by shape and order"


def test_a_fusion_of_another_structure_is_skipped_with_the_reason(save: Save) -> None:
    state = renamed(weights(), lambda name: name.replace(".projections.", "."))
    del state["modality_fusion.pose.bias"]
    model = small()
    report = load_pretrained(model, save(state))
    reasons = {entry.name: entry.detail for entry in report.entries if entry.status == "skipped"}
    assert reasons["modality_fusion.pose.weight"] == "other names than the model's, and not its shapes in its order"
    assert {name for name in report.fresh if "projections" in name} == {
        name for name in model.state_dict() if "projections" in name
    }


def test_a_file_without_order_is_not_matched_by_order(tmp_path: Path) -> None:
    state = renamed(weights(), lambda name: name.replace("modality_fusion.", "modality_fusion.x."))
    write_weights(tmp_path / "a.safetensors", state, {})
    report = load_pretrained(small(), tmp_path / "a.safetensors")
    assert all(name in report.fresh for name in weights() if name.startswith("modality_fusion."))


def test_a_convolution_bias_and_normalisation_are_one_unit(save: Save) -> None:
    state = weights()
    state["mixed_4b.branch1.0.weight"] = torch.ones(3, 3, 1)
    del state["mixed_4c.branch2.0.weight"], state["mixed_4d.branch2.0.bias"], state["mixed_4e.branch2.1.weight"]
    state["lstm.weight_ih_l0"] = torch.ones(2, 2)
    model = small()
    report = load_pretrained(model, save(state))
    entries = ("0.weight", "0.bias", "1.weight", "1.bias")
    skipped = {f"{place}.{entry}" for place in ("mixed_4b.branch1", "mixed_4c.branch2") for entry in entries}
    assert report.fresh == skipped | {name for name in state if name.startswith("lstm.")}
    # What is not there at all changes nothing: no bias, no scale.
    assert by_status(report, "adapted") == {"mixed_4d.branch2.0.bias", "mixed_4e.branch2.1.weight"}
    assert not model.state_dict()["mixed_4d.branch2.0.bias"].any()
    assert (model.state_dict()["mixed_4e.branch2.1.weight"] == 1).all()
    assert is_accounted_for(report, model, state)


def test_half_precision_is_loaded_and_frozen_layers_too(save: Save) -> None:
    model = small()
    model.requires_grad_(False)
    load_pretrained(model, save({name: tensor.half() for name, tensor in weights().items()}))
    expected = weights()["lstm.weight_hh_l0"].half().float()
    assert torch.equal(model.lstm.weight_hh_l0, expected) and model.lstm.weight_hh_l0.dtype == torch.float32


def test_what_was_recorded_and_differs_is_listed(tmp_path: Path) -> None:
    recorded = {
        "model": {"norm": "batch", "time_stride": 16, "width": 0.25},
        "corpus": {"layout": ["face", "pose"], "noise_floor": 0.05, "gains": {"pose": 0.2, "face": 1.0}, "old": 1},
        "vocabulary": ["A", "B"],
    }
    expected = {
        "model": {"norm": "group", "time_stride": 4, "width": 0.25, "kind": "teacher"},
        "corpus": {"layout": "default", "noise_floor": 0.05, "gains": {"pose": 1, "face": 1, "hands": 1}},
        "vocabulary": ("B", "C", "D"),
    }
    write_weights(tmp_path / "a.safetensors", weights(), recorded)
    report = load_pretrained(small(), tmp_path / "a.safetensors")
    assert report.recorded == recorded
    assert report.differences(expected) == (
        "model.norm: 'batch' in the file, 'group' here",
        "model.time_stride: 16 in the file, 4 here",
        "corpus.layout: ['face', 'pose'] in the file, 'default' here",
        "corpus.gains.pose: 0.2 in the file, 1 here",
        "vocabulary: 2 glosses in the file, 3 here, 1 of them in both",
    )
    assert report.differences({}) == report.differences(recorded) == ()


# What is refused


@pytest.mark.parametrize(
    ("file", "model", "message"),
    [
        ({"layer1.w": torch.ones(2)}, {}, r"none of its 1 names is known: they are like 'layer1\.w', ours like"),
        (
            {"classifier.bias": torch.ones(3)},
            {},
            r"nothing in it fits the model: shape \(3,\) in the file, \(9,\) here",
        ),
        ({"kind": "student"}, {}, "weights for a student, and the model is a teacher: set model.kind=student"),
        ({}, {"kind": "student"}, "weights for a teacher, and the model is a student: set model.kind=teacher"),
        ({"Mixed_3b.b0.conv3d.weight": torch.ones(1)}, {"kind": "student"}, "weights for a teacher"),
        ({"width": 0.5}, {}, r"convolutions have other shapes.*mixed_5c\.branch4\.1\.0\.weight"),
        ({"width": 0.28}, {}, r"other shapes than the model's: mixed_5c"),
        ({"kind": "student", "width": 0.5}, {"kind": "student"}, "set model.width to that of the file"),
        ({}, {"norm": "batch"}, r"stem\.1\.running_mean: not in the file.*set model\.norm=group"),
        ({"kind": "student"}, {"kind": "student", "norm": "batch"}, r"shortcut\.project\.1\.running_mean: not in"),
    ],
)
def test_weights_that_do_not_fit_are_refused_and_change_nothing(
    save: Save, file: dict[str, Any], model: dict[str, Any], message: str
) -> None:
    """``file`` is a state dict, or else the arguments of ``weights``; ``model`` those of ``small``."""
    whole = any(isinstance(value, Tensor) for value in file.values())
    network = small(**model)
    before = copy(network)
    with pytest.raises(CheckpointError, match=rf"weights\.pt: .*{message}"):
        load_pretrained(network, save(file if whole else weights(**file)))
    assert same(copy(network), before)


@pytest.mark.parametrize("width", [0.28, 0.5])
def test_another_width_is_named_where_it_is_recorded(tmp_path: Path, width: float) -> None:
    write_weights(tmp_path / "a.safetensors", weights("student", width=width), {"model": {"width": width}})
    with pytest.raises(CheckpointError, match=rf"\(model\.width is {width} there and 0\.25 here\); set model\.width"):
        load_pretrained(small("student"), tmp_path / "a.safetensors")


def test_what_is_no_model_of_ours_is_a_mistake_in_the_code(save: Save) -> None:
    with pytest.raises(TypeError, match=r"Linear is no glosstune\.models\.Recogniser"):
        load_pretrained(nn.Linear(2, 2), save({"weight": torch.ones(2, 2)}))


def test_an_unknown_adaptation_is_refused_before_the_file_is_read() -> None:
    message = r"pretraining\.adapt: must be one of sum, mean, max, centre; got 'center'; did you mean 'centre'\?"
    with pytest.raises(SettingError, match=message) as raised:
        load_pretrained(small(), "nowhere.pt", "center")
    assert raised.value.key == "pretraining.adapt"
