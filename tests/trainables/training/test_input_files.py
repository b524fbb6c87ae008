"""Every trial begins from the files as they were when its sweep began."""

from pathlib import Path

from glosstune.trainables import TrialSettings
from glosstune.trainables.settings import CorpusSettings
from glosstune.trainables.training.input_files import InputFile, with_inputs


def _settings(tmp_path: Path, teacher: Path | None) -> TrialSettings:
    return TrialSettings(corpus=CorpusSettings(cache=tmp_path / "cache"), teacher=teacher)


def test_a_file_that_is_as_it_was_is_used_where_it_lies(tmp_path: Path) -> None:
    teacher = tmp_path / "teacher.safetensors"
    teacher.write_bytes(b"as it was")
    settings = _settings(tmp_path, teacher)
    assert with_inputs(settings, {"teacher": InputFile.read(teacher)}) == settings
    assert not (tmp_path / "cache").exists()


def test_a_file_that_was_overwritten_or_is_on_another_machine_is_used_as_it_was(tmp_path: Path) -> None:
    teacher = tmp_path / "teacher.safetensors"
    teacher.write_bytes(b"as it was")
    known = {"teacher": InputFile.read(teacher)}
    teacher.write_bytes(b"another")
    for _ in ("written", "found"):
        copy = with_inputs(_settings(tmp_path, teacher), known).teacher
        assert copy is not None and copy.read_bytes() == b"as it was"
    teacher.unlink()
    copy.write_bytes(b"damaged")
    assert with_inputs(_settings(tmp_path, teacher), known).teacher == copy
    assert copy.read_bytes() == b"as it was"


def test_a_trial_without_that_file_gets_none(tmp_path: Path) -> None:
    (tmp_path / "teacher").write_bytes(b"x")
    settings = _settings(tmp_path, None)
    assert with_inputs(settings, {"teacher": InputFile.read(tmp_path / "teacher")}) == settings
