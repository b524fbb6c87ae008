"""Every command that reads a sweep says so when a newer glosstune has written it, and leaves it as it is."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from glosstune.results.reading.events import FORMAT

LINE = {
    "event": "sweep",
    "time": "2030-01-01T00:00:00+00:00",
    "format": FORMAT + 1,
    "trials": "as nobody knows them yet",
}


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """The folder of a sweep whose record and settings are of a newer version."""
    folder = tmp_path / "newer"
    folder.mkdir()
    (folder / "record.jsonl").write_text(json.dumps(LINE) + "\n")
    (folder / "sweep.yaml").write_text("name: newer\nof_a_section: that nobody knows yet\n")
    return folder


@pytest.mark.parametrize(
    "command",
    [
        "results FOLDER",
        "report FOLDER",
        "explain FOLDER 0",
        "explain FOLDER 0",
        "trial FOLDER 0 --stop",
        "trial FOLDER 0 --pin",
        "resume FOLDER",
        "resume FOLDER --samples +4",
        "sweep student --out FOLDER --resume",
        "sweep student search.warm_start=[FOLDER]",
        "confirm FOLDER",
        "export FOLDER --out FOLDER/teacher.safetensors",
        "reproduce FOLDER 0",
        "dashboard FOLDER",
    ],
)
def test_a_newer_record_is_told_as_such(
    run: Callable[..., int], newer: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for path in newer.iterdir())
    assert run(*command.replace("FOLDER", str(newer)).split()) == 2
    rule = f"is of format {FORMAT + 1}, written by a newer glosstune; this one reads up to {FORMAT}"
    assert f"{newer / 'record.jsonl'}:1: {rule}; install the newer one" in capsys.readouterr().err.replace("\n", " ")
    assert sorted(path.name for path in newer.iterdir()) == before
