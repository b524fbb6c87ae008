"""I3D's weights: what arrives from each naming, what it computes, and what is skipped for which reason."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from glosstune.models import LoadReport, build_model, load_pretrained
from glosstune.models.layers.masking import Frames
from glosstune.models.layers.temporal import ConvNorm
from glosstune.models.recogniser import Recogniser
from glosstune.models.teacher import INCEPTION_CHANNELS
from glosstune.models.weights.kernels import ADAPTATIONS
from glosstune.models.weights.namings import COMPILED, unwrapped
from glosstune.spaces.errors import CheckpointError

State = dict[str, Tensor]
Values = dict[tuple[str, str], State]
Loaded = dict[tuple[str, str], tuple[Recogniser, LoadReport]]
Save = Callable[[State], Path]

PLACES = ("branch1", "branch2_reduce", "branch2", "branch3_reduce", "branch3", "branch4.1")
NAMINGS = ("piergiaj", "bsl-1k", "hassony2", "tensorflow")

# What 192 inputs keep out of a teacher whose stem puts out 64.
MIXED_3B_INPUTS = {f"mixed_3b.{place}" for place in ("branch1", "branch2_reduce", "branch3_reduce", "branch4.1")}


def i3d_convolutions() -> dict[tuple[str, str], tuple[int, int, int]]:
    """Outputs, inputs and taps of I3D's 57 convolutions with normalisation; blocks by our name and place."""
    table = {("Conv3d_1a_7x7", ""): (64, 3, 7), ("Conv3d_2b_1x1", ""): (64, 64, 1), ("Conv3d_2c_3x3", ""): (192, 64, 3)}
    inputs = 192
    for block, (one, three_in, three, five_in, five, pooled) in INCEPTION_CHANNELS.items():
        shapes = (
            (one, inputs, 1),
            (three_in, inputs, 1),
            (three, three_in, 3),
            (five_in, inputs, 1),
            (five, five_in, 3),
            (pooled, inputs, 1),
        )
        table |= {(block, place): shape for place, shape in zip(PLACES, shapes, strict=True)}
        inputs = one + three + five + pooled
    return table


def i3d_values() -> Values:
    """Random kernels and statistics for each convolution; scales of 1, since TensorFlow's has none."""
    generator = torch.Generator().manual_seed(0)
    values = {}
    for place, (outputs, inputs, taps) in i3d_convolutions().items():
        values[place] = {
            "kernel": torch.randn(outputs, inputs, taps, taps, taps, generator=generator) / (inputs * taps**3) ** 0.5,
            "shift": torch.randn(outputs, generator=generator),
            "mean": torch.randn(outputs, generator=generator),
            "variance": torch.rand(outputs, generator=generator) + 0.5,
        }
    return values


def torch_names(values: Values, norm: str, places: tuple[str, ...], title: bool) -> State:
    """The state dict of piergiaj (``title``) or hassony2."""
    state: State = {}
    for (layer, place), value in values.items():
        name = layer.capitalize() if title else layer[0].lower() + layer[1:]
        name += f".{places[PLACES.index(place)]}" if place else ""
        state[f"{name}.conv3d.weight"] = value["kernel"]
        state[f"{name}.{norm}.weight"] = torch.ones(len(value["shift"]))
        state[f"{name}.{norm}.bias"] = value["shift"]
        state[f"{name}.{norm}.running_mean"] = value["mean"]
        state[f"{name}.{norm}.running_var"] = value["variance"]
        if title:  # hassony2's files are older than this counter
            state[f"{name}.{norm}.num_batches_tracked"] = torch.tensor(0)
    logits = "logits" if title else "conv3d_0c_1x1"
    return state | {f"{logits}.conv3d.weight": torch.ones(400, 1024, 1, 1, 1), f"{logits}.conv3d.bias": torch.ones(400)}


def piergiaj(values: Values) -> State:
    return torch_names(values, "bn", ("b0", "b1a", "b1b", "b2a", "b2b", "b3b"), True)


def hassony2(values: Values) -> State:
    places = ("branch_0", "branch_1.0", "branch_1.1", "branch_2.0", "branch_2.1", "branch_3.1")
    return torch_names(values, "batch3d", places, False)


def tensorflow(values: Values, suffix: str = "") -> dict[str, np.ndarray]:
    """DeepMind's variables; ``suffix`` is empty, or ``:0`` as TensorFlow's own names end."""
    places = ("Branch_0/Conv3d_0a_1x1", "Branch_1/Conv3d_0a_1x1", "Branch_1/Conv3d_0b_3x3")
    places += ("Branch_2/Conv3d_0a_1x1", "Branch_2/Conv3d_0b_3x3", "Branch_3/Conv3d_0b_1x1")
    arrays = {}
    for (layer, place), value in values.items():
        name = f"RGB/inception_i3d/{layer.capitalize()}" + (f"/{places[PLACES.index(place)]}" if place else "")
        name = name.replace("Mixed_5b/Branch_2/Conv3d_0b_3x3", "Mixed_5b/Branch_2/Conv3d_0a_3x3")
        arrays[f"{name}/conv_3d/w{suffix}"] = value["kernel"].permute(2, 3, 4, 1, 0).numpy()
        entries = {"beta": "shift", "moving_mean": "mean", "moving_variance": "variance"}
        for entry, own in entries.items():
            arrays[f"{name}/batch_norm/{entry}{suffix}"] = value[own].view(1, 1, 1, 1, -1).numpy()
    logits = "RGB/inception_i3d/Logits/Conv3d_0c_1x1/conv_3d"
    classes = {"w": np.ones((1, 1, 1, 1024, 400), np.float32), "b": np.ones(400, np.float32)}
    return arrays | {f"{logits}/{entry}{suffix}": array for entry, array in classes.items()}


@pytest.fixture(scope="module")
def values() -> Values:
    return i3d_values()


@pytest.fixture(scope="module")
def i3d_files(values: Values, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A complete file for each naming, all with the same values."""
    folder = tmp_path_factory.mktemp("i3d")
    files = {name: folder / f"{name}.pt" for name in NAMINGS[:3]} | {"tensorflow": folder / "tensorflow.npz"}
    torch.save(piergiaj(values), files["piergiaj"])
    wrapped = {f"module.{name}": tensor for name, tensor in piergiaj(values).items()}
    torch.save({"state_dict": wrapped, "epoch": 30}, files["bsl-1k"])
    torch.save(hassony2(values), files["hassony2"])
    np.savez(files["tensorflow"], **tensorflow(values))  # type: ignore[arg-type]  # its stub takes the names for options
    return files


@pytest.fixture(scope="module")
def loaded(i3d_files: dict[str, Path]) -> Loaded:
    """The full-width teacher after each naming was loaded, with either normalisation."""
    result = {}
    for naming, norm in itertools.product(NAMINGS, ("group", "batch")):
        teacher = build_model("teacher", 9, norm=norm)
        result[naming, norm] = teacher, load_pretrained(teacher, i3d_files[naming])
    return result


def same(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def by_status(report: LoadReport, status: str) -> set[str]:
    return {entry.name for entry in report.entries if entry.status == status}


def is_accounted_for(report: LoadReport, model: nn.Module, file: State) -> bool:
    """Every tensor of the model stands in the report once, and every name of the file that is skipped once."""
    ours = [entry.name for entry in report.entries if entry.status != "skipped"]
    skipped = [entry.name for entry in report.entries if entry.status == "skipped"]
    return ours == list(model.state_dict()) and skipped == [name for name in file if name in set(skipped)]


@pytest.mark.parametrize("norm", ["group", "batch"])
@pytest.mark.parametrize("naming", NAMINGS)
def test_fifty_of_the_54_inception_convolutions_arrive(loaded: Loaded, naming: str, norm: str) -> None:
    teacher, report = loaded[naming, norm]
    blocks = {name for name, module in teacher.named_modules() if isinstance(module, ConvNorm) and name != "stem"}
    arrived = by_status(report, "taken") | by_status(report, "adapted")
    assert len(blocks) == 54
    assert {block for block in blocks if f"{block}.0.weight" in arrived} == blocks - MIXED_3B_INPUTS
    fresh = {name for name, _ in teacher.named_parameters() if name not in arrived}
    assert report.fresh == fresh
    whole = ("modality_fusion.", "stem.", "lstm.", "classifier.", *(f"{place}." for place in MIXED_3B_INPUTS))
    assert fresh == {name for name, _ in teacher.named_parameters() if name.startswith(whole)}


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_every_naming_gives_the_same_weights(loaded: Loaded, norm: str) -> None:
    states = [loaded[naming, norm][0].state_dict() for naming in NAMINGS]
    assert all(same(states[0], state) for state in states[1:])


@pytest.mark.parametrize(
    ("naming", "source"),
    [("piergiaj", "piergiaj"), ("bsl-1k", "piergiaj"), ("hassony2", "hassony2"), ("tensorflow", "TensorFlow")],
)
def test_the_report_says_whose_names_they_are(loaded: Loaded, naming: str, source: str) -> None:
    assert source in loaded[naming, "group"][1].source


def test_weights_are_those_of_the_file(values: Values, loaded: Loaded) -> None:
    state = loaded["piergiaj", "batch"][0].state_dict()
    for block, place in itertools.product(INCEPTION_CHANNELS, PLACES):
        name, value = f"{block}.{place}", values[block, place]
        if name in MIXED_3B_INPUTS:
            continue
        kernel = value["kernel"].sum((3, 4))
        expected = F.pad(kernel, (1, 1)) if place == "branch3" else kernel
        assert torch.equal(state[f"{name}.0.weight"], expected)
        assert not state[f"{name}.0.bias"].any()
        assert (state[f"{name}.1.weight"] == 1).all()
        assert torch.equal(state[f"{name}.1.bias"], value["shift"])
        assert torch.equal(state[f"{name}.1.running_mean"], value["mean"])
        assert torch.equal(state[f"{name}.1.running_var"], value["variance"])


def test_what_does_not_arrive_stays_as_it_was(loaded: Loaded) -> None:
    teacher, report = loaded["piergiaj", "batch"]
    before = build_model("teacher", 9, norm="batch").state_dict()
    for entry in report.entries:
        if entry.status == "missing":
            assert torch.equal(teacher.state_dict()[entry.name], before[entry.name])
    assert f"{min(MIXED_3B_INPUTS)}.1.running_mean" in by_status(report, "missing")


def test_reasons_are_given_for_all_that_is_skipped(values: Values, loaded: Loaded) -> None:
    teacher, report = loaded["piergiaj", "group"]
    assert is_accounted_for(report, teacher, piergiaj(values))
    reasons = {entry.name: entry.detail for entry in report.entries if entry.status == "skipped"}
    assert reasons["Conv3d_1a_7x7.conv3d.weight"] == "3 inputs in the file, 256 here"
    assert reasons["Mixed_3b.b0.conv3d.weight"] == reasons["Mixed_3b.b0.bn.bias"] == "192 inputs in the file, 64 here"
    assert reasons["Mixed_3b.b0.bn.running_mean"] == "192 inputs in the file, 64 here"
    assert reasons["Mixed_3c.b0.bn.running_mean"] == "running statistics: group normalisation has none"
    assert reasons["Conv3d_2c_3x3.bn.bias"] == "the teacher has no such convolution"
    assert reasons["logits.conv3d.weight"] == "classes of videos, not glosses"
    details = {entry.name: entry.detail for entry in report.entries}
    assert details["mixed_3c.branch1.0.weight"] == "from Mixed_3c.b0.conv3d.weight"
    assert details["mixed_3c.branch3.0.weight"] == "from Mixed_3c.b2b.conv3d.weight: sum over 3x3, 3 taps centred in 5"
    assert details["mixed_3c.branch3.0.bias"] == "not in the file: 0"
    assert details["mixed_3b.branch1.1.weight"] == "skipped: 192 inputs in the file, 64 here"


@pytest.mark.parametrize("naming", NAMINGS)
@pytest.mark.parametrize("norm", ["group", "batch"])
def test_the_table_is_short_and_tells_layers_and_reasons(loaded: Loaded, naming: str, norm: str) -> None:
    report = loaded[naming, norm][1]
    lines = report.table().splitlines()
    assert len(lines) <= 25 and max(map(len, lines)) <= 150
    for word in ("stem", "3 inputs in the file", "mixed_3b", "192 inputs", "mixed_3c to mixed_5c", "classes of videos"):
        assert word in report.table()
    assert f"{report.counts['taken']} taken" in lines[0]


@pytest.mark.parametrize(
    ("prefix", "suffix"),
    [("RGB/inception_i3d/", ":0"), ("module/RGB/inception_i3d/", ""), ("inception_i3d/", ""), ("", ":0")],
)
def test_tensorflow_names_are_known_however_they_are_exported(
    values: Values, tmp_path: Path, prefix: str, suffix: str
) -> None:
    only = {place: value for place, value in values.items() if place[0] in ("mixed_4b", "mixed_5b")}
    arrays = {name.replace("RGB/inception_i3d/", prefix): array for name, array in tensorflow(only, suffix).items()}
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]  # its stub takes the names for options
    report = load_pretrained(build_model("teacher", 9, norm="batch"), tmp_path / "a.npz")
    arrived = by_status(report, "taken") | by_status(report, "adapted")
    assert arrived and {name.partition(".")[0] for name in arrived} == {"mixed_4b", "mixed_5b"}
    assert len(arrived) == 12 * 7


def test_of_two_streams_the_one_that_saw_colours_is_taken(values: Values, tmp_path: Path) -> None:
    rgb = tensorflow({place: value for place, value in values.items() if place[0] == "mixed_4b"})
    flow = {name.replace("RGB/", "Flow/"): -array for name, array in rgb.items()}
    np.savez(tmp_path / "a.npz", **(flow | rgb))  # type: ignore[arg-type]  # its stub takes the names for options
    teacher = build_model("teacher", 9)
    report = load_pretrained(teacher, tmp_path / "a.npz")
    assert torch.equal(teacher.state_dict()["mixed_4b.branch1.1.bias"], values["mixed_4b", "branch1"]["shift"])
    assert "Flow/inception_i3d/Mixed_4b/Branch_0/Conv3d_0a_1x1/conv_3d/w" in by_status(report, "skipped")


def inception_3d(x: Tensor, state: State, block: str) -> Tensor:
    """I3D's own block on (batch, channel, time, height, width), replicating at the edges of space."""

    def unit(x: Tensor, name: str) -> Tensor:
        kernel = state[f"{block}.{name}.conv3d.weight"]
        margin = kernel.shape[2] // 2
        x = F.pad(F.pad(x, (margin,) * 4 + (0, 0), mode="replicate"), (0, 0, 0, 0, margin, margin))
        norm = [state[f"{block}.{name}.bn.{entry}"] for entry in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(F.conv3d(x, kernel), *norm, training=False, eps=1e-3).relu()

    pooled = F.max_pool3d(F.pad(x, (1, 1, 1, 1, 1, 1)), 3, 1)
    branches = unit(x, "b0"), unit(unit(x, "b1a"), "b1b"), unit(unit(x, "b2a"), "b2b"), unit(pooled, "b3b")
    return torch.cat(branches, 1)


@torch.no_grad()
def test_a_loaded_block_computes_what_i3d_does_on_input_that_is_constant_in_space(
    values: Values, loaded: Loaded
) -> None:
    teacher, _ = loaded["piergiaj", "batch"]
    block = teacher.eval().get_submodule("mixed_3c")
    x = torch.rand(2, 6, 256, generator=torch.Generator().manual_seed(1))
    ours = block(x, Frames.of(torch.tensor([6, 6]), 6, x.device))
    image = x.transpose(1, 2)[..., None, None].expand(-1, -1, -1, 2, 2)
    theirs = inception_3d(image, piergiaj(values), "Mixed_3c")[..., 0, 0].transpose(1, 2)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("adapt", ADAPTATIONS)
def test_the_adaptation_is_chosen_by_name(values: Values, save: Save, adapt: str) -> None:
    only = {place: value for place, value in values.items() if place[0] == "mixed_4b"}
    teacher = build_model("teacher", 9)
    load_pretrained(teacher, save(piergiaj(only)), adapt)
    expected = ADAPTATIONS[adapt](values["mixed_4b", "branch2"]["kernel"])
    assert torch.equal(teacher.state_dict()["mixed_4b.branch2.0.weight"], expected)


def test_the_report_is_plain_data_with_everything(loaded: Loaded) -> None:
    report = loaded["hassony2", "group"][1]
    data = json.loads(json.dumps(report.to_mapping()))
    assert data["counts"] == report.counts and data["fresh"] == sorted(report.fresh)
    assert len(data["entries"]) == len(report.entries) == sum(report.counts.values())
    assert data["entries"][0] == {
        "name": "modality_fusion.projections.pose.weight",
        "status": "missing",
        "detail": "not in the file",
    }
    assert data["path"].endswith("hassony2.pt") and data["recorded"] == {}


def test_i3d_does_not_fit_a_narrow_teacher(i3d_files: dict[str, Path]) -> None:
    with pytest.raises(CheckpointError, match=r"55 of its 55 convolutions .*model\.width is 1 there and 0\.25 here"):
        load_pretrained(build_model("teacher", 9, width=0.25), i3d_files["piergiaj"])


def test_i3d_without_running_statistics_does_not_enter_batch_normalisation(values: Values, save: Save) -> None:
    only = piergiaj({place: value for place, value in values.items() if place[0] == "mixed_4b"})
    state = {name: tensor for name, tensor in only.items() if "running" not in name}
    with pytest.raises(CheckpointError, match=r"mixed_4b\.branch1\.1\.running_mean: not in the file"):
        load_pretrained(build_model("teacher", 9, norm="batch"), save(state))
    assert load_pretrained(build_model("teacher", 9), save(state)).counts["skipped"] == 6 + 2


def _compiled(name: str) -> str:
    block, _, rest = name.partition(".")
    return f"{block}.{COMPILED}{rest}" if block.startswith("Mixed") else name


BESIDE = {"criterion.weight": torch.ones(12), "n_averaged": torch.tensor(3)}


@pytest.mark.parametrize(
    ("wrap", "removed"),
    [
        (lambda name: f"model.{name}", "'model.'"),
        (lambda name: f"module.basenet.{name}", "'module.basenet.'"),
        (lambda name: f"backbone.{name}", "'backbone.'"),
        (_compiled, "'_orig_mod.'"),
        (lambda name: f"module.{COMPILED}{name}", "'_orig_mod.' and 'module.'"),
    ],
    ids=["lightning", "pyvideoresearch", "mmaction", "compiled blocks", "compiled, parallel"],
)
def test_whatever_stands_around_names_is_removed_and_told(
    values: Values, loaded: Loaded, tmp_path: Path, wrap: Callable[[str], str], removed: str
) -> None:
    tensors = {wrap(name): tensor for name, tensor in piergiaj(values).items()}
    torch.save({"state_dict": {**tensors, **BESIDE}}, tmp_path / "a.ckpt")
    teacher = build_model("teacher", 9, norm="batch")
    report = load_pretrained(teacher, tmp_path / "a.ckpt")
    plain, expected = loaded["piergiaj", "batch"]
    assert report.source == f"{expected.source}, without {removed} in names"
    assert {name: report.counts[name] for name in ("taken", "adapted", "missing")} == {
        name: expected.counts[name] for name in ("taken", "adapted", "missing")
    }
    assert same(teacher.state_dict(), plain.state_dict())
    assert {entry.name for entry in report.entries if entry.status == "skipped"} >= BESIDE.keys()


def test_our_own_averaged_weights_arrive_whole(tmp_path: Path) -> None:
    trained = build_model("student", 9, width=0.25, seed=1)
    averaged = AveragedModel(trained)
    torch.save({"model": averaged.state_dict()}, tmp_path / "swa.pt")
    student = build_model("student", 9, width=0.25)
    report = load_pretrained(student, tmp_path / "swa.pt")
    assert same(student.state_dict(), trained.state_dict())
    assert report.source == "glosstune's own names, without 'module.' in names"
    assert report.counts["skipped"] == 1  # how many were averaged


def test_weights_of_the_other_network_are_told_behind_a_prefix_too(tmp_path: Path) -> None:
    state = build_model("teacher", 9, width=0.25).state_dict()
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="holds weights for a teacher, and the model is a student"):
        load_pretrained(build_model("student", 9, width=0.25), tmp_path / "a.pt")


@given(st.dictionaries(st.text("ab._", min_size=1, max_size=9), st.just(torch.ones(1)), max_size=6))
def test_removing_what_stands_around_names_loses_no_tensor(tensors: dict[str, Tensor]) -> None:
    found, _ = unwrapped(tensors, {"a.b": torch.ones(1)})
    assert len(found) == len(tensors)
