"""A student is taught frame by frame, by what the teacher really said, over real frames only."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from glosstune.models import read_weights, write_weights
from glosstune.trainables import TrainingSession, TrialSettings, export_checkpoint, load_recogniser
from glosstune.trainables.corpora import PackedCorpus
from glosstune.trainables.corpora.vocabulary import BLANK
from glosstune.trainables.distillation.distillation import Distillation, frame_divergence, taught_by
from glosstune.trainables.distillation.posteriors import likeness, open_teacher
from glosstune.trainables.settings import CorpusSettings, DistillationSettings

STRIDES = st.sampled_from([1, 2, 4, 8, 16])


def _settings(corpus: CorpusSettings, teacher: Path | None, **sections: dict[str, object]) -> TrialSettings:
    defaults: dict[str, dict[str, object]] = {
        "model": {"width": 0.25},
        "training": {"epochs": 3, "batch_size": 8, "precision": "fp32"},
        "tuned": {"learning_rate": 2e-3, "dropout": 0.1},
    }
    merged = {name: {**defaults.get(name, {}), **sections.get(name, {})} for name in {*defaults, *sections}}
    return TrialSettings.model_validate({**merged, "corpus": corpus, "teacher": teacher})


@st.composite
def _played(draw: st.DrawFn) -> tuple[np.ndarray, int, int, int, int]:
    frames, teacher_stride, student_stride = draw(st.integers(1, 90)), draw(STRIDES), draw(STRIDES)
    played = max(1, round(frames * draw(st.floats(0.7, 1.4))))
    seed = draw(st.integers(0, 2**32 - 1))
    blank = np.log(np.random.default_rng(seed).uniform(1e-3, 1, size=-(-frames // teacher_stride)))
    return blank, frames, teacher_stride, played, student_stride


@given(_played())
def test_every_frame_of_the_student_is_taught_in_order(case: tuple[np.ndarray, int, int, int, int]) -> None:
    blank, _, _, played, stride = case
    index = taught_by(*case)
    assert index.shape == (-(-played // stride),)
    assert (np.diff(index) >= 0).all()
    assert index.min() >= 0 and index.max() < len(blank)


@given(_played())
def test_the_least_blank_of_the_frames_within_one_teaches_it(case: tuple[np.ndarray, int, int, int, int]) -> None:
    blank, frames, teacher_stride, played, stride = case
    index = taught_by(*case)
    edges = [min(place * teacher_stride, frames) for place in range(len(blank) + 1)]
    centres = [Fraction((first + last) * played, 2 * frames) for first, last in pairwise(edges)]
    for place, chosen in enumerate(index):
        start, end = place * stride, min((place + 1) * stride, played)
        inside = [k for k, centre in enumerate(centres) if start <= centre < end]
        if inside:
            assert blank[chosen] == blank[inside].min()
        else:
            apart = [abs(centre - Fraction(start + end, 2)) for centre in centres]
            assert apart[chosen] == min(apart)


@given(st.integers(1, 90), STRIDES, st.floats(1.0, 1.3))
def test_each_frame_teaches_itself_where_strides_and_speed_are_the_same(frames: int, stride: int, speed: float) -> None:
    blank = np.linspace(-1, 0, -(-frames // stride))
    assert taught_by(blank, frames, stride, frames, stride).tolist() == list(range(len(blank)))
    # A coarser student loses no gloss to an average: the frame that writes one is among its teachers.
    blank[:] = 0
    blank[len(blank) // 2] = -5
    coarse = taught_by(blank, frames, stride, frames, 4 * stride)
    assert len(blank) // 2 in coarse


def test_the_divergence_is_that_of_the_softened_distributions_over_real_frames() -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(6, 2, 5, generator=generator).log_softmax(-1) for _ in range(2))
    valid = torch.tensor([[True, True]] * 4 + [[True, False]] * 2)
    settings = DistillationSettings(temperature=2.5)
    found = frame_divergence(student, teacher, valid, settings)
    soft, ours = ((each / 2.5).log_softmax(-1) for each in (teacher, student))
    expected = torch.nn.functional.kl_div(ours[valid], soft[valid], log_target=True, reduction="sum") / valid.sum()
    torch.testing.assert_close(found, 2.5**2 * expected)
    torch.testing.assert_close(frame_divergence(teacher, teacher, valid, settings), torch.tensor(0.0))
    padded = torch.where(valid.unsqueeze(-1), student, student.flip(-1))
    torch.testing.assert_close(frame_divergence(padded, teacher, valid, settings), found)


def test_frames_in_which_the_teacher_writes_nothing_count_by_their_weight() -> None:
    teacher = torch.full((2, 1, 3), -4.0)
    teacher[0, 0, BLANK] = teacher[1, 0, 1] = 0.0
    teacher, student = teacher.log_softmax(-1), torch.zeros(2, 1, 3).log_softmax(-1)
    valid = torch.ones(2, 1, dtype=torch.bool)
    only_second = torch.tensor([[False], [True]])
    without = frame_divergence(student, teacher, valid, DistillationSettings(blank_weight=0.0))
    torch.testing.assert_close(without, frame_divergence(student, teacher, only_second, DistillationSettings()))
    blanks_alone = frame_divergence(student, teacher, ~only_second, DistillationSettings(blank_weight=0.0))
    assert blanks_alone == 0


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9))
def test_likeness_is_a_cosine_that_sees_no_padding(seed: int, first: int, second: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    encoded = torch.randn(2, max(first, second) + 2, 6, generator=generator)
    alike = likeness(encoded, torch.tensor([first, second]))
    assert alike.abs().max() <= 1 + 1e-5
    torch.testing.assert_close(alike, alike.transpose(1, 2))
    assert (alike[0, first:] == 0).all() and (alike[1, :, second:] == 0).all()
    alone = likeness(encoded[:1, :first], torch.tensor([first]))
    torch.testing.assert_close(alike[:1, :first, :first], alone, atol=1e-5, rtol=1e-4)


def test_a_lesson_does_not_depend_on_the_batch_it_is_taught_in(
    small_settings: CorpusSettings, small_corpus: PackedCorpus, exported_teacher: Path
) -> None:
    settings = _settings(small_settings, exported_teacher, distillation={"feature_weight": 1.0})
    lesson = Distillation.of(settings, small_corpus, open_teacher(settings, small_corpus))
    rows = small_corpus.rows("train")[:2]
    played = torch.tensor([small_corpus.length(row) for row in rows])
    lengths, classes = -(-played // 4), len(small_corpus.vocabulary)
    generator = torch.Generator().manual_seed(1)
    log_probs = torch.randn(int(lengths.max()), 2, classes, generator=generator).log_softmax(-1)
    encoded = torch.randn(2, len(log_probs), 8, generator=generator)
    together, divergence = lesson.loss(rows, played, log_probs, encoded, lengths)
    weighted, apart, alpha = torch.zeros(()), torch.zeros(()), settings.distillation.alpha
    for slot, row in enumerate(rows):
        own = slice(slot, slot + 1)
        frames = int(lengths[slot])
        alone = lesson.loss([row], played[own], log_probs[:frames, own], encoded[own, :frames], lengths[own])
        weighted += alone[1] * frames
        apart += (alone[0] - alpha * alone[1]) * frames**2
        theirs = torch.from_numpy(lesson.posteriors.likeness(row).astype(np.float32))
        expected = (likeness(encoded[own, :frames], lengths[own])[0] - theirs).square().mean()
        torch.testing.assert_close(alone[0] - alpha * alone[1], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(weighted / lengths.sum(), divergence)
    torch.testing.assert_close(together - alpha * divergence, apart / (lengths**2).sum(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("blank_weight", [1.0, 0.3])
@pytest.mark.parametrize("speed", [1.0, 1.2])
def test_gradients_of_a_lesson_are_those_of_finite_differences(
    small_settings: CorpusSettings,
    small_corpus: PackedCorpus,
    exported_teacher: Path,
    monkeypatch: pytest.MonkeyPatch,
    speed: float,
    blank_weight: float,
) -> None:
    taught = {"feature_weight": 1.0, "temperature": 2.0, "blank_weight": blank_weight}
    settings = _settings(small_settings, exported_teacher, distillation=taught)
    lesson = Distillation.of(settings, small_corpus, open_teacher(settings, small_corpus))
    rows = small_corpus.rows("train")[:3]
    played = torch.tensor([round(speed * small_corpus.length(row)) for row in rows])
    lengths, classes = -(-played // 4), len(small_corpus.vocabulary)
    drawn = torch.Generator().manual_seed(1)
    logits, encoded = (
        torch.randn(shape, generator=drawn, dtype=torch.float64, requires_grad=True)
        for shape in ((int(lengths.max()), 3, classes), (3, int(lengths.max()), 8))
    )
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)  # what is computed in single precision

    def loss(logits: torch.Tensor, encoded: torch.Tensor) -> torch.Tensor:
        return lesson.loss(rows, played, logits.log_softmax(-1), encoded, lengths)[0]

    assert torch.autograd.gradcheck(loss, (logits, encoded), fast_mode=True)


@pytest.mark.parametrize("time_stride", [2, 4, 8])
def test_a_student_comes_closer_to_its_teacher(
    small_settings: CorpusSettings, small_corpus: PackedCorpus, exported_teacher: Path, time_stride: int
) -> None:
    settings = _settings(small_settings, exported_teacher, model={"time_stride": time_stride})
    session = TrainingSession(settings, small_corpus)
    losses = [session.run_epoch()["distillation_loss"] for _ in range(3)]
    assert 0 < losses[-1] < losses[0]


@pytest.mark.usefixtures("on_cpu")
def test_a_teacher_that_counts_nothing_changes_nothing(
    small_settings: CorpusSettings, small_corpus: PackedCorpus, exported_teacher: Path
) -> None:
    alone = TrainingSession(_settings(small_settings, None), small_corpus)
    unheard = TrainingSession(_settings(small_settings, exported_teacher, distillation={"alpha": 0.0}), small_corpus)
    heard = TrainingSession(_settings(small_settings, exported_teacher, distillation={"alpha": 1.0}), small_corpus)
    losses = [session.run_epoch()["train_loss"] for session in (alone, unheard, heard)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0] != pytest.approx(losses[2], rel=1e-4)


def test_a_student_keeps_its_teachers_input_and_what_it_has_learned_from(
    small_settings: CorpusSettings, small_corpus: PackedCorpus, exported_teacher: Path, tmp_path: Path
) -> None:
    file, taught_on = read_weights(exported_teacher), tmp_path / "teacher.safetensors"
    tensors = {name: value * 1.5 if name == "conditioning.scale" else value for name, value in file.tensors.items()}
    recordings = file.recorded["recordings"]
    assert isinstance(recordings, list)
    write_weights(taught_on, tensors, {**file.recorded, "recordings": [*recordings, "seen by the teacher"]})
    session = TrainingSession(_settings(small_settings, taught_on), small_corpus)
    session.run_epoch()
    session.save(tmp_path / "best.pt")
    export_checkpoint(tmp_path / "best.pt", tmp_path / "student.safetensors", {})
    student = load_recogniser(tmp_path / "student.safetensors")
    torch.testing.assert_close(student.conditioning.scale, tensors["conditioning.scale"])
    assert set(recordings) | {"seen by the teacher"} == set(student.recorded["recordings"])  # type: ignore[call-overload]  # a list
    taught_on.unlink()  # the teacher need not be there any more
    again = TrainingSession.of_checkpoint(tmp_path / "best.pt", small_corpus)
    assert again.score("dev").equals(session.score("dev"))
