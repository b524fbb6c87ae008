"""Exported recognisers are compared on the same dev utterances, and each is what its trial was."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from glosstune.models import read_weights, write_weights
from glosstune.spaces.errors import CheckpointError, CorpusError, FolderError, SettingError
from glosstune.trainables import TrainingSession, TrialSettings, export_checkpoint, word_error_rate
from glosstune.trainables.corpora import PackedCorpus, pack_corpus
from glosstune.trainables.export import comparing
from glosstune.trainables.export.comparing import (
    Candidate,
    MeasuredModel,
    ModelComparison,
    compare_models,
    mark_beaten,
    spread_rows,
    time_in_turn,
)
from glosstune.trainables.layouts.layout import FileLayout
from glosstune.trainables.settings import CorpusSettings

SessionAndFile = tuple[TrainingSession, Path]


def _export(settings: CorpusSettings, corpus: PackedCorpus, kind: str, out: Path) -> SessionAndFile:
    """A model after one epoch, which never writes a blank: its glosses are wrong, but there are some."""
    trial = TrialSettings.model_validate(
        {"corpus": settings.model_dump(), "model": {"kind": kind, "width": 0.25}, "training": {"epochs": 1}}
    )
    session = TrainingSession(trial, corpus, device=torch.device("cpu"))
    session.run_epoch()
    with torch.no_grad():
        session.model.classifier.bias[0] -= 20
    session.save(out.with_suffix(".pt"))
    export_checkpoint(out.with_suffix(".pt"), out, {"wer": session.best_wer})
    return session, out


@pytest.fixture(scope="module")
def teacher(
    small_settings: CorpusSettings, small_corpus: PackedCorpus, tmp_path_factory: pytest.TempPathFactory
) -> SessionAndFile:
    gains = small_settings.gains.model_copy(update={"face": 0.0, "velocity": 0.1})
    settings = small_settings.model_copy(update={"gains": gains})
    return _export(settings, small_corpus, "teacher", tmp_path_factory.mktemp("teacher") / "teacher.safetensors")


@pytest.fixture(scope="module")
def student(
    small_settings: CorpusSettings, small_corpus: PackedCorpus, tmp_path_factory: pytest.TempPathFactory
) -> SessionAndFile:
    path = tmp_path_factory.mktemp("student") / "student.safetensors"
    return _export(small_settings, small_corpus, "student", path)


@pytest.fixture(scope="module")
def comparison(teacher: SessionAndFile, student: SessionAndFile, small_settings: CorpusSettings) -> ModelComparison:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparing, "TIMED_UTTERANCES", 2)
        return compare_models(
            [Candidate.read(path) for _, path in (teacher, student)],
            small_settings,
            rounds=1,
            device=torch.device("cpu"),
        )


@pytest.fixture
def both(teacher: SessionAndFile, student: SessionAndFile) -> list[Candidate]:
    return [Candidate.read(teacher[1]), Candidate.read(student[1])]


def test_each_has_the_errors_and_sizes_of_its_trial(
    teacher: SessionAndFile, student: SessionAndFile, comparison: ModelComparison
) -> None:
    for (session, path), model in zip((teacher, student), comparison.models, strict=True):
        written = session.score("dev")
        references, hypotheses = ([text.split() for text in written[name]] for name in ("reference", "hypothesis"))
        assert any(hypotheses), "blanks alone would tell nothing"
        assert model.rates == word_error_rate(references, hypotheses)
        assert comparison.dev_glosses == sum(map(len, references))
        assert model.parameters == sum(parameter.numel() for parameter in session.model.parameters())
        assert model.file_bytes == path.stat().st_size
        assert model.kind == session.settings.model.kind and model.width == 0.25
        assert model.precision in ("fp32", "bf16")
    first, second = comparison.models
    assert first.parameter_ratio == first.byte_ratio == 1
    assert second.parameter_ratio == first.parameters / second.parameters
    assert second.byte_ratio == first.file_bytes / second.file_bytes
    assert comparison.rounds == 1 and comparison.threads == torch.get_num_threads()


def test_the_worse_teacher_is_warned_of_with_both_figures(comparison: ModelComparison) -> None:
    worse = comparison.models[0]
    better = replace(comparison.models[1], rates=replace(worse.rates, wer=worse.rates.wer - 0.01))
    (warning,) = replace(comparison, models=(worse, better)).warnings
    for told in (worse.file, better.file, f"{worse.rates.wer:.1%}", f"{better.rates.wer:.1%}"):
        assert told in warning
    assert replace(comparison, models=(better, worse)).warnings == ()
    assert replace(comparison, models=(better, better)).warnings == ()


def test_a_model_is_beaten_by_those_that_are_better_in_something_and_worse_in_nothing(
    comparison: ModelComparison,
) -> None:
    one = comparison.models[0]

    def model(file: str, wer: float, parameters: int) -> MeasuredModel:
        rates = replace(one.rates, wer=wer)
        return replace(one, file=file, rates=rates, parameters=parameters, file_bytes=4 * parameters)

    models = [
        model("a", 0.1, 900),
        model("b", 0.2, 300),
        model("c", 0.2, 400),
        model("d", 0.3, 300),
        model("e", 0.2, 300),
    ]
    marked = mark_beaten(models)
    assert {each.file: each.beaten_by for each in marked} == {
        "a": (),
        "b": (),
        "c": ("b", "e"),
        "d": ("b", "e"),
        "e": (),
    }


def test_no_frame_but_those_of_dev_is_read(
    both: list[Candidate], small_settings: CorpusSettings, small_corpus: PackedCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: set[int] = set()
    frames = PackedCorpus.frames

    def spy(corpus: PackedCorpus, row: int) -> npt.NDArray[np.float16]:
        read.add(row)
        return frames(corpus, row)

    monkeypatch.setattr(PackedCorpus, "frames", spy)
    monkeypatch.setattr(comparing, "TIMED_UTTERANCES", 2)
    compare_models(both[1:], small_settings, rounds=1)
    assert read == set(small_corpus.rows("dev"))


def test_models_take_turns_on_the_same_batches(both: list[Candidate], small_corpus: PackedCorpus) -> None:
    seen: list[tuple[int, tuple[int, ...]]] = []
    rows = spread_rows(small_corpus, 5)
    for place, candidate in enumerate(both):
        candidate.recogniser.model.register_forward_hook(
            lambda model, given, result, place=place: seen.append((place, tuple(given[1].tolist())))
        )
    speeds = time_in_turn([candidate.recogniser for candidate in both], small_corpus, rows, batch_size=3, rounds=2)
    assert [place for place, _ in seen] == [0, 0, 1, 1] * 3  # two batches, two rounds after one to warm up
    assert seen[:2] * 6 == [(0, lengths) for _, lengths in seen]
    assert sorted(length for _, lengths in seen[:2] for length in lengths) == [small_corpus.length(row) for row in rows]
    for speed in speeds:
        first, third = speed.utterance_ms_quartiles
        assert 0 < first <= speed.utterance_ms_median <= third
        assert speed.batch_size == 3 and speed.frames_per_s > 0


class _Lengths:
    """A corpus of dev utterances of these lengths."""

    def __init__(self, lengths: list[int]) -> None:
        self.length = lengths.__getitem__

        def rows(split: str) -> list[int]:
            assert split == "dev"
            return list(range(len(lengths)))

        self.rows = rows


@given(st.lists(st.integers(1, 300), min_size=1, max_size=80), st.integers(2, 40))
def test_timed_utterances_span_all_lengths_and_repeat_only_where_dev_has_too_few(
    lengths: list[int], count: int
) -> None:
    rows = spread_rows(_Lengths(lengths), count)  # type: ignore[arg-type]  # what it needs of a corpus
    chosen = [lengths[row] for row in rows]
    assert len(rows) == count and chosen == sorted(chosen)
    assert chosen[0] == min(lengths) and chosen[-1] == max(lengths)
    assert len(set(rows)) == min(count, len(lengths))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kind", "phoenix"),
        ("split", "unseen-clips"),
        ("fold", 2),
        ("signers", ("ase", "gsg")),
        ("split_seed", 3),
        ("sentences", 25),
        ("not_seen", "nan"),
        ("hands", "followed"),
        ("frame_step", 2),
        ("layout", "base"),
    ],
)
def test_a_file_of_another_corpus_is_refused_with_what_differs(
    both: list[Candidate], small_settings: CorpusSettings, key: str, value: object
) -> None:
    teacher, student = both
    trial = student.recogniser.settings
    corpus = trial.corpus.model_copy(update={key: value})
    other = replace(
        student, recogniser=replace(student.recogniser, settings=trial.model_copy(update={"corpus": corpus}))
    )
    with pytest.raises(
        SettingError, match=rf"corpus\.{key} is .* but .*not the same dev utterances; compare"
    ) as refused:
        compare_models([teacher, other], small_settings)
    assert str(teacher.path) in str(refused.value) and str(student.path) in str(refused.value)
    if key != "layout":  # which a corpus that was moved may have changed
        with pytest.raises(SettingError, match=rf"the corpus to compare on: corpus\.{key} is"):
            compare_models(both, corpus)


def test_a_model_of_another_layout_is_refused_though_as_many_values_are_packed(
    both: list[Candidate], small_settings: CorpusSettings
) -> None:
    teacher, student = both
    conditioning = replace(teacher.recogniser.conditioning, layout=FileLayout.of("face-first-543").layout)
    assert conditioning.layout == student.recogniser.conditioning.layout  # files may have another order of blocks
    other = FileLayout.of([{"block": "net", "values": 1629}]).layout
    strange = replace(teacher.recogniser, conditioning=replace(conditioning, layout=other))
    with pytest.raises(SettingError, match=r"corpus\.layout: must hold what .*teacher.* reads, .*block: net"):
        compare_models([student, replace(teacher, recogniser=strange)], small_settings)


def test_another_vocabulary_is_refused(
    both: list[Candidate], student: SessionAndFile, small_settings: CorpusSettings, tmp_path: Path
) -> None:
    file = read_weights(student[1])
    glosses = file.recorded["vocabulary"]
    assert isinstance(glosses, list)
    write_weights(tmp_path / "other.safetensors", file.tensors, {**file.recorded, "vocabulary": ["?", *glosses[1:]]})
    other = Candidate.read(tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match=r"writes other glosses than .*: 1 only in .*, 1 only in") as refused:
        compare_models([both[0], other], small_settings)
    assert str(both[0].path) in str(refused.value) and str(other.path) in str(refused.value)
    with pytest.raises(CheckpointError, match=r"other\.safetensors: writes other glosses than the corpus in"):
        compare_models([other, other], small_settings)


def test_a_model_that_has_seen_what_dev_holds_out_is_refused(small_settings: CorpusSettings, tmp_path: Path) -> None:
    settings = small_settings.model_copy(update={"split": "unseen-clips"})
    corpus = pack_corpus(settings)
    _, path = _export(settings, corpus, "student", tmp_path / "honest.safetensors")
    file = read_weights(path)
    held_out = {source for sources in corpus.table["sources"].iloc[corpus.rows("dev")] for source in sources}
    seen = hashlib.sha256(min(held_out).encode()).hexdigest()[:16]
    recordings = file.recorded["recordings"]
    assert isinstance(recordings, list)
    cheat = tmp_path / "cheat.safetensors"
    write_weights(cheat, file.tensors, {**file.recorded, "recordings": [*recordings, seen]})
    with pytest.raises(CheckpointError, match=r"cheat\.safetensors: learned from 1 of the \d+ recordings"):
        compare_models([Candidate.read(path), Candidate.read(cheat)], settings)


def test_a_corpus_that_is_not_there_is_named_with_the_file_and_the_way_out(
    both: list[Candidate], small_settings: CorpusSettings, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        FolderError, match=r"teacher\.safetensors: .*cannot write the packed corpus .*corpus\.cache=FOLDER"
    ):
        compare_models(both, small_settings.model_copy(update={"cache": tmp_path / "file"}))
    moved = small_settings.model_copy(update={"kind": "phoenix", "root": tmp_path / "moved"})
    there = [
        replace(
            candidate,
            recogniser=replace(
                candidate.recogniser, settings=candidate.recogniser.settings.model_copy(update={"corpus": moved})
            ),
        )
        for candidate in both
    ]
    with pytest.raises(
        CorpusError, match=r"teacher\.safetensors: .*moved: corpus\.root is no folder; .*corpus\.root=FOLDER"
    ):
        compare_models(there, moved)
