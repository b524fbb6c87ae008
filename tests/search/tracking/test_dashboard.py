"""The dashboard serves a study that shows what the record says."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from replay import drive, sweep

from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.search.storage.lock import owned
from glosstune.search.storage.record import Record
from glosstune.search.storage.sweep_folder import SweepFolder, write_sweep
from glosstune.search.tracking import dashboard
from glosstune.search.tracking.dashboard import serve
from glosstune.spaces import SettingError
from glosstune.spaces.errors import FolderError

COMMAND = [sys.executable, "-c", "from glosstune.search.cli.main import main; main()", "dashboard"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sweep that has ended; its study is not there."""
    plan = sweep("search.samples=3", "halving.min_epochs=2")
    write_sweep(plan, SweepFolder(tmp_path))
    record = Record(tmp_path / "record.jsonl")
    record.append("sweep", format=1, id="abc", samples=3, epochs=18, metric="wer", target=0.3)
    drive(Scheduler(plan, record.append))
    return tmp_path


def _get(url: str) -> Any:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return json.load(answer)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


@pytest.mark.slow
def test_it_serves_every_trial_on_this_machine_alone(folder: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen([*COMMAND, str(folder), "--port", str(port)], stderr=subprocess.DEVNULL) as process:
        try:
            (study,) = _get(f"http://127.0.0.1:{port}/api/studies")["study_summaries"]
            shown = _get(f"http://127.0.0.1:{port}/api/studies/{study['study_id']}?after=0")
            with socket.socket() as other:
                other.bind(("127.0.0.2", port))  # which would be taken if it served on every address
        finally:
            process.terminate()
    assert study["study_name"] == "student-abc"
    assert len(shown["trials"]) == 3
    assert "Running" not in {trial["state"] for trial in shown["trials"]}


def test_a_port_that_is_taken_is_told(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingError, match=rf"--port {port}: cannot be served there .*choose another --port"):
            serve(folder, "127.0.0.1", port)


def test_what_is_missing_is_told(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(FolderError, match=r"not the folder of a sweep: record\.jsonl is missing"):
        serve(tmp_path / "empty", "127.0.0.1", 8080)
    monkeypatch.setattr(dashboard, "find_spec", lambda name: None)
    with pytest.raises(SettingError, match=r'pip install "glosstune\[dashboard\]"'):
        serve(folder, "127.0.0.1", 8080)


def test_a_study_that_its_driver_keeps_elsewhere_is_told(folder: Path) -> None:
    with owned(folder), pytest.raises(FolderError, match="keeps the study elsewhere, or has not begun it"):
        serve(folder, "127.0.0.1", 8080)


def test_a_database_that_cannot_be_used_is_told_without_its_url(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOSSTUNE_STUDY_URL", "nonsense://me:secret@host/db")
    with pytest.raises(SettingError, match="GLOSSTUNE_STUDY_URL: cannot be used") as caught:
        serve(folder, "127.0.0.1", 8080)
    assert "secret" not in str(caught.value)
