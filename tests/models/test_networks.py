"""Structure, names and sizes of teacher and student, and what they put out."""

import pytest
import torch
from torch import Tensor

from glosstune.models import FEATURE_WIDTH, MODALITY_WIDTHS, I3DTeacher, MobileNetV3Student, build_model
from glosstune.models.layers.masking import Frames
from glosstune.models.recogniser import TIME_STRIDES
from glosstune.spaces.errors import CorpusError, SettingError

PHOENIX = 1232


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(scope="module")
def teacher() -> I3DTeacher:
    return I3DTeacher(PHOENIX)


@pytest.fixture(scope="module")
def student() -> MobileNetV3Student:
    return MobileNetV3Student(PHOENIX)


def test_features_are_the_four_modalities() -> None:
    assert MODALITY_WIDTHS == {"pose": 99, "hands": 126, "face": 1404, "temporal": 4887}
    assert FEATURE_WIDTH == 6516


def test_teacher_has_the_users_size(teacher: I3DTeacher) -> None:
    assert count(teacher) == 7_420_448
    assert len(teacher.state_dict()) == 246


@pytest.mark.parametrize(
    ("layer", "size"),
    [
        ("modality_fusion", 681_472),
        ("stem", 114_880),
        ("mixed_3b", 53_840),
        ("mixed_3c", 181_120),
        ("mixed_4f", 481_280),
        ("mixed_5b", 656_384),
        ("mixed_5c", 881_360),
    ],
)
def test_teacher_layer_has_the_users_size(teacher: I3DTeacher, layer: str, size: int) -> None:
    assert count(teacher.get_submodule(layer)) == size


def test_teacher_head_has_the_users_size(teacher: I3DTeacher) -> None:
    assert count(teacher.lstm) + count(teacher.classifier) == 3_257_552


def test_only_the_classifier_depends_on_the_vocabulary(teacher: I3DTeacher) -> None:
    other = I3DTeacher(500).state_dict()
    taken = {name for name, value in teacher.state_dict().items() if other[name].shape == value.shape}
    assert len(taken) == 244
    assert set(other) - taken == {"classifier.weight", "classifier.bias"}


def test_teacher_with_batch_norm_has_the_entries_of_running_statistics() -> None:
    teacher = I3DTeacher(9, width=0.25, norm="batch")
    assert len(teacher.state_dict()) == 411
    statistics = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
    assert set(teacher.get_submodule("stem.1").state_dict()) == statistics


def test_teacher_has_the_names_of_the_users_checkpoints(teacher: I3DTeacher) -> None:
    names = set(teacher.state_dict())
    branches = ("branch1", "branch2_reduce", "branch2", "branch3_reduce", "branch3", "branch4.1")
    for place in ["stem", *(f"{block}.{branch}" for block in teacher.layer_names[2:-2] for branch in branches)]:
        for entry in ("0.weight", "0.bias", "1.weight", "1.bias"):
            names.remove(f"{place}.{entry}")
    prefixes = {name.partition(".")[0] for name in names}
    assert prefixes == {"modality_fusion", "lstm", "classifier"}
    assert teacher.state_dict()["mixed_3b.branch3.0.weight"].shape == (32, 16, 5)


def test_student_is_at_least_four_times_smaller(teacher: I3DTeacher, student: MobileNetV3Student) -> None:
    assert count(teacher) >= 4 * count(student)
    assert count(student) <= 1_850_000


@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_layer_names_are_the_top_level_modules_in_order(kind: str) -> None:
    model = build_model(kind, 9, width=0.25)
    assert model.layer_names == tuple(name for name, _ in model.named_children())


@pytest.mark.parametrize("kind", ["teacher", "student"])
@pytest.mark.parametrize("time_stride", TIME_STRIDES)
@torch.no_grad()
def test_output_is_log_probabilities_for_ctc(kind: str, time_stride: int, features: Tensor, lengths: Tensor) -> None:
    model = build_model(kind, 9, width=0.25, time_stride=time_stride)
    log_probs, out_lengths = model(features, lengths)
    assert log_probs.shape == (-(-features.shape[1] // time_stride), len(lengths), 9)
    assert out_lengths.tolist() == model.output_lengths(lengths).tolist()
    assert out_lengths.tolist() == [-(-length // time_stride) for length in lengths.tolist()]
    assert out_lengths.dtype == torch.int64
    assert log_probs.dtype == torch.float32 and (log_probs <= 0).all()
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(log_probs.shape[:2]))


@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_autocast_keeps_probabilities_in_single_precision(kind: str, features: Tensor, lengths: Tensor) -> None:
    model = build_model(kind, 9, width=0.25, dropout=0.0)
    with torch.autocast("cpu", torch.bfloat16):
        log_probs, _ = model(features, lengths)
    log_probs.mean().backward()
    assert log_probs.dtype == torch.float32
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(log_probs.shape[:2]))
    exact, _ = model(features, lengths)
    assert (log_probs - exact).abs().max() < 0.1


@pytest.mark.parametrize("kind", ["teacher", "student"])
@pytest.mark.parametrize("width", [0.25, 0.3, 0.5, 0.75, 1.5])
@torch.no_grad()
def test_width_multiplies_every_size(kind: str, width: float, features: Tensor) -> None:
    model = build_model(kind, 9, width=width)
    log_probs, _ = model(features[:1, :8], torch.tensor([8]))
    assert log_probs.isfinite().all()
    full = build_model(kind, 9)
    for (name, scaled), reference in zip(model.named_parameters(), full.parameters(), strict=True):
        # Sizes are multiples of 8, so small ones cannot follow the multiplier exactly.
        inner = [size for size in reference.shape if size >= 256 and size not in MODALITY_WIDTHS.values()]
        ours = [size for size, old in zip(scaled.shape, reference.shape, strict=True) if old in inner]
        assert ours == pytest.approx([size * width for size in inner], rel=0.25), name


@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_a_seed_gives_the_same_weights_and_leaves_the_global_state(kind: str) -> None:
    before = torch.get_rng_state()
    one, same, other = (build_model(kind, 9, width=0.25, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(before, torch.get_rng_state())
    for a, b in zip(one.state_dict().values(), same.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(one.classifier.weight, other.classifier.weight)


@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_dropout_acts_in_training_only(kind: str, features: Tensor, lengths: Tensor) -> None:
    model = build_model(kind, 9, width=0.25, dropout=0.5)
    assert not torch.equal(model(features, lengths)[0], model(features, lengths)[0])
    model.eval()
    assert torch.equal(model(features, lengths)[0], model(features, lengths)[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "techer"}, "model.kind: must be 'teacher' or 'student', or package.module:Name of .*; got 'techer'"),
        ({"norm": "bach"}, r"model.norm: must be one of group, batch; got 'bach'; did you mean 'batch'\?"),
        ({"time_stride": 3}, "model.time_stride: must be one of 1, 2, 4, 8, 16; got 3"),
        ({"width": 0.0}, "model.width: must be above 0 .*got 0.0"),
        ({"dropout": 1.0}, "dropout: must be at least 0 and below 1; got 1.0"),
        ({"vocabulary_size": 1}, "vocabulary_size: must count the blank .*got 1"),
    ],
)
def test_a_wrong_argument_is_named_with_its_rule(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        build_model(**{"kind": "student", "vocabulary_size": 9, **arguments})  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    ("shape", "lengths", "message"),
    [
        ((2, 5, 1629), torch.tensor([5, 5]), r"must be \(batch, time, 6516\).*pose 99 \| hands 126"),
        ((2, 5, FEATURE_WIDTH), torch.tensor([5, 6]), r"\[5, 6\]: must lie in 1\.\.5"),
        ((2, 5, FEATURE_WIDTH), torch.tensor([0, 5]), r"\[0, 5\]: must lie in 1\.\.5"),
        ((2, 5, FEATURE_WIDTH), torch.tensor([5.0, 5.0]), "must be int64"),
        ((2, 5, FEATURE_WIDTH), torch.tensor([5]), r"of shape \(2,\)"),
    ],
)
def test_wrong_features_are_refused(shape: tuple[int, ...], lengths: Tensor, message: str) -> None:
    model = build_model("student", 9, width=0.25)
    with pytest.raises(CorpusError, match=message):
        model(torch.zeros(shape), lengths)


@torch.no_grad()
def test_what_changes_over_time_survives_the_teachers_depth(features: Tensor, lengths: Tensor) -> None:
    # Torch's own initialisation leaves 0.5 at this width and 0.37 at full width, and training waits on the plateau.
    model = build_model("teacher", 9, width=0.25)
    x, frames = model.encode(features, Frames.of(lengths, features.shape[1], features.device))
    real = torch.cat([x[row, :length] for row, length in enumerate(frames.lengths.tolist())])
    assert real.var(0).mean() / real.square().mean() > 0.6
