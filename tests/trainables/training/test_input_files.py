"""Every trial begins from the files as they were when its sweep began."""

from pathlib import Path

import pytest

from glosstune.spaces.errors import FolderError
from glosstune.spaces.files.folder import LocalFolder
from glosstune.trainables import TrialSettings
from glosstune.trainables.training.input_files import InputFile, has_hash, with_inputs


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    path = tmp_path / "teacher.safetensors"
    path.write_bytes(b"as it was")
    return path


@pytest.fixture
def files(tmp_path: Path) -> LocalFolder:
    return LocalFolder(tmp_path / "sweep")


def test_a_file_that_is_as_it_was_is_used_where_it_lies(teacher: Path, files: LocalFolder) -> None:
    settings = TrialSettings(teacher=teacher)
    assert with_inputs(settings, {"teacher": InputFile.read(teacher).name}, files) == settings


def test_a_file_that_was_overwritten_or_is_on_another_machine_is_used_as_it_was(
    teacher: Path, files: LocalFolder
) -> None:
    settings, known = TrialSettings(teacher=teacher), InputFile.read(teacher)
    files.write(known.name, known.content)
    for change in (lambda: teacher.write_bytes(b"another"), teacher.unlink):
        change()
        copy = with_inputs(settings, {"teacher": known.name}, files).teacher
        assert copy == files.here / known.name
        assert copy.suffix == teacher.suffix and copy.read_bytes() == b"as it was"
    for content in (b"damaged", None):
        if content is None:
            copy.unlink()
        else:
            copy.write_bytes(content)
        told = f"^{copy}: is not what it was when the sweep began, nor is {teacher}, of which it is a copy; put one"
        with pytest.raises(FolderError, match=told):
            with_inputs(settings, {"teacher": known.name}, files)


def test_a_file_that_cannot_be_looked_at_is_none(tmp_path: Path) -> None:
    assert not has_hash(tmp_path / ("long" * 100), "")


def test_a_trial_without_that_file_gets_none(teacher: Path, files: LocalFolder) -> None:
    assert with_inputs(TrialSettings(), {"teacher": InputFile.read(teacher).name}, files) == TrialSettings()
