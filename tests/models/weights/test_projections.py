"""Weights of another layout: all behind the projections arrives, what reads other values does not, and that is told."""

from collections.abc import Callable, Mapping
from pathlib import Path

import own_models
import pytest
import torch
from torch import Tensor

from glosstune.models import LoadReport, build_model, freeze_until, load_pretrained, read_weights, write_weights
from glosstune.models.freezing import first_trained
from glosstune.models.recogniser import Recogniser

Blocks = list[dict[str, object]]
Write = Callable[[Recogniser, Mapping[str, object]], Path]

KINDS = ("teacher", "student")
DEFAULT = {"pose": 99, "hands": 126, "face": 1404, "temporal": 4887}
MESH_478 = DEFAULT | {"face": 1434, "temporal": 4977}
HANDS = {"hands": 84, "temporal": 252}
VALUES = {"values_appearance": 512}


def small(kind: str, modalities: Mapping[str, int], seed: int = 0, **sizes: str) -> Recogniser:
    return build_model(kind, 9, width=0.25, modalities=modalities, seed=seed, **sizes)  # type: ignore[arg-type]  # norm


def copy(model: Recogniser) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def of_projections(model: Recogniser, *modalities: str) -> set[str]:
    """Names of the tensors that project some modalities, default all of the model's."""
    chosen = modalities or tuple(model.modalities)
    ends = tuple(f".projections.{name}.{entry}" for name in chosen for entry in ("weight", "bias"))
    return {name for name in model.state_dict() if name.endswith(ends)}


def check_arrived(report: LoadReport, model: Recogniser, before: Mapping[str, Tensor], source: Recogniser) -> None:
    """What arrived is as in the file, what is fresh as it was, and nothing else is there."""
    theirs = source.state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name] if name in report.fresh else theirs[name]), name


@pytest.fixture(params=["a.safetensors", "a.pt"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Write:
    """Write a model's weights as our own file, or as a checkpoint."""

    def write(model: Recogniser, recorded: Mapping[str, object]) -> Path:
        path = tmp_path / request.param
        if path.suffix == ".pt":
            torch.save({"model": model.state_dict(), **recorded}, path)
        else:
            write_weights(path, model.state_dict(), recorded)
        return path

    return write


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("theirs", "ours", "told"),
    [
        (DEFAULT, HANDS, "pose 99 | hands 126 | face 1404 | temporal 4887 in the file, hands 84 | temporal 252 here"),
        (DEFAULT, VALUES, "face 1404 | temporal 4887 in the file, values_appearance 512 here"),
        (VALUES, DEFAULT, "values_appearance 512 in the file, pose 99 | hands 126"),
        (HANDS, {"hands": 42, "temporal": 126}, "hands 84 | temporal 252 in the file, hands 42 | temporal 126 here"),
    ],
)
def test_all_behind_the_projections_arrives_from_another_layout(
    write: Write, kind: str, theirs: dict[str, int], ours: dict[str, int], told: str
) -> None:
    source, model = small(kind, theirs, seed=1), small(kind, ours)
    before = copy(model)
    report = load_pretrained(model, write(source, {}))
    assert report.fresh == of_projections(model)
    check_arrived(report, model, before, source)
    line = report.table().splitlines()[1]
    assert told in line and line == report.layout == report.to_mapping()["layout"]
    assert line.startswith("another layout: ") and line.endswith("; projections taken: none")
    reasons = {entry.name: entry.detail for entry in report.entries if ".projections." in entry.name}
    assert set(reasons.values()) <= {"of another layout", "skipped: of another layout"}
    assert {name for name in reasons if name not in model.state_dict()} == of_projections(source) - set(before)


@pytest.mark.parametrize("kind", KINDS)
def test_projections_of_modalities_that_are_the_same_are_taken(write: Write, kind: str) -> None:
    source, model = small(kind, DEFAULT, seed=1), small(kind, MESH_478)
    before = copy(model)
    report = load_pretrained(model, write(source, {}))
    assert report.fresh == of_projections(model, "face", "temporal")
    check_arrived(report, model, before, source)
    assert report.layout.endswith("face 1434 | temporal 4977 here; projections taken: pose, hands")


@pytest.mark.parametrize("kind", KINDS)
def test_a_projection_that_fills_other_channels_than_here_is_not_taken(write: Write, kind: str) -> None:
    # As many modalities, so as many channels each; but those of hands are the second here and the first there.
    theirs = {"hands": 84, "values_a": 5, "values_b": 6, "temporal": 252}
    ours = {"pose": 20, "hands": 84, "values_a": 5, "temporal": 312}
    source, model = small(kind, theirs, seed=1), small(kind, ours)
    report = load_pretrained(model, write(source, {}))
    assert "hands 84" in report.layout and report.layout.endswith("; projections taken: none")
    assert report.fresh == of_projections(model)


def block(part: str, points: int, dims: int) -> dict[str, object]:
    return {"block": part, "part": part, "points": points, "dims": dims}


HANDS_3D: Blocks = [block("hands", 42, 3), {"block": "appearance", "part": "values_appearance", "values": 8}]
HANDS_2D: Blocks = [block("hands", 63, 2), {"block": "appearance", "part": "values_appearance", "values": 8}]
AS_WIDE = {"hands": 126, "values_appearance": 8, "temporal": 378}


@pytest.mark.parametrize("kind", KINDS)
def test_as_many_values_of_another_meaning_are_not_taken_where_the_file_says_so(write: Write, kind: str) -> None:
    source, model = small(kind, AS_WIDE, seed=1), small(kind, AS_WIDE)
    before = copy(model)
    report = load_pretrained(model, write(source, {"layout": HANDS_3D}), layout=HANDS_2D)
    assert report.fresh == of_projections(model, "hands", "temporal")
    check_arrived(report, model, before, source)
    told = "another layout: as many values, but other blocks of hands; projections taken: values_appearance"
    assert report.layout == told


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("recorded", "layout"),
    [
        (HANDS_3D, HANDS_3D),
        (HANDS_3D, tuple(HANDS_3D)),
        (HANDS_3D, None),
        (None, HANDS_2D),
        ("default", HANDS_2D),
        ([{"block": "hands"}], HANDS_2D),
    ],
    ids=["the same", "the same in a tuple", "ours unknown", "theirs unknown", "theirs a name", "theirs of no parts"],
)
def test_the_same_layout_arrives_whole_and_so_does_one_that_nothing_speaks_against(
    write: Write, kind: str, recorded: object, layout: Blocks | None
) -> None:
    source, model = small(kind, AS_WIDE, seed=1), small(kind, AS_WIDE)
    path = write(source, {} if recorded is None else {"layout": recorded})
    report = load_pretrained(model, path, layout=layout)
    assert not report.fresh and report.layout == "" and report.counts["taken"] == len(source.state_dict())
    assert len(report.table().splitlines()) == 3


def test_the_same_blocks_in_another_order_share_what_stands_in_the_same_place(write: Write) -> None:
    blocks: Blocks = [{"part": "values_a", "values": 8}, {"part": "values_b", "values": 8}]
    source, model = (small("student", {"values_a": 8, "values_b": 8}, seed=seed) for seed in (1, 0))
    report = load_pretrained(model, write(source, {"layout": blocks}), layout=blocks[::-1])
    assert report.layout.startswith("another layout: the same blocks in another order; ")


def test_a_checkpoint_keeps_its_layout(tmp_path: Path) -> None:
    torch.save({"model": small("student", HANDS).state_dict(), "layout": HANDS_3D}, tmp_path / "a.pt")
    assert read_weights(tmp_path / "a.pt").recorded == {"layout": HANDS_3D}


@pytest.mark.parametrize("kind", KINDS)
def test_fresh_projections_train_though_their_layer_is_frozen(write: Write, kind: str) -> None:
    source, model = small(kind, DEFAULT, seed=1), small(kind, MESH_478)
    report = load_pretrained(model, write(source, {}))
    freeze_until(model, model.layer_names[-2], fresh=report.fresh)
    trains = {name for name, each in model.named_parameters() if each.requires_grad}
    before_head = {name for name in trains if name.partition(".")[0] in model.architecture.body}
    assert before_head == report.fresh == of_projections(model, "face", "temporal")
    assert first_trained(model) == model.layer_names[0]


@pytest.mark.parametrize("kind", KINDS)
def test_other_glosses_and_another_layout_are_both_told(write: Write, kind: str) -> None:
    source, model = small(kind, DEFAULT, seed=1), small(kind, HANDS)
    path = write(source, {"vocabulary": list("abcdefgh")})
    report = load_pretrained(model, path, vocabulary=list("hgfedcba"))
    assert report.fresh == of_projections(model) | {"classifier.weight", "classifier.bias"}


@pytest.mark.parametrize("kind", KINDS)
def test_statistics_of_batch_normalisation_arrive_from_another_layout(write: Write, kind: str) -> None:
    source, model = small(kind, DEFAULT, seed=1, norm="batch"), small(kind, VALUES, norm="batch")
    before = copy(model)
    report = load_pretrained(model, write(source, {}))
    assert report.fresh == of_projections(model)
    check_arrived(report, model, before, source)


def test_projections_of_as_many_values_are_not_matched_by_their_order(write: Write) -> None:
    source, model = small("teacher", HANDS, seed=1), small("teacher", {"values_a": 84, "values_b": 252})
    report = load_pretrained(model, write(source, {}))
    assert report.fresh == of_projections(model)
    assert report.layout.startswith("another layout: hands 84 | temporal 252 in the file, values_a 84 | values_b 252")


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_lost_a_projection_is_of_no_other_layout(write: Write, kind: str, tmp_path: Path) -> None:
    source, model = small(kind, DEFAULT, seed=1), small(kind, DEFAULT)
    lost = of_projections(model, "pose")
    rest = {name: tensor for name, tensor in source.state_dict().items() if name not in lost}
    write_weights(tmp_path / "rest.safetensors", rest, {})
    report = load_pretrained(model, tmp_path / "rest.safetensors")
    assert report.fresh == lost and report.layout == ""
    assert {entry.detail for entry in report.entries if entry.name in lost} == {"not in the file"}


def test_the_first_layer_of_ones_own_model_is_taken_of_the_same_layout_alone(write: Write) -> None:
    source, model = (build_model("own_models:AnyLayout", 9, modalities=AS_WIDE, seed=seed) for seed in (1, 0))
    assert isinstance(model, own_models.AnyLayout)
    same = load_pretrained(model, write(source, {"layout": HANDS_3D}), layout=HANDS_3D)
    assert not same.fresh
    other = load_pretrained(model, write(source, {"layout": HANDS_3D}), layout=HANDS_2D)
    assert other.fresh == {"project.linear.weight", "project.linear.bias"}
    assert other.layout.endswith("nothing of project is taken")
