"""Editors see the types of an editable install: pyright is what VS Code asks."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

PROGRAM = """
import glosstune
from glosstune.search import launch

reveal_type(glosstune.sweep())
reveal_type(glosstune.sweep("student", "search.samples=2", background=True))
reveal_type(glosstune.resume("runs/a", background=True).poll().best_wer)
reveal_type(glosstune.load_results("runs/a").report())
reveal_type(glosstune.load_recogniser("a.safetensors").recognise([]))
reveal_type(glosstune.load_sweep("student", "search.samples=2").search.samples)
reveal_type(launch)
glosstune.sweep(["search.samples=2"])
"""
TYPES = ["Results", "BackgroundSweep", "float | None", "Path", "list[list[str]]", "int"]


@pytest.mark.skipif(find_spec("basedpyright") is None, reason="basedpyright is not installed")
def test_pyright_sees_the_types_of_every_call(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable, "program.py"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    found = json.loads(told.stdout)["generalDiagnostics"]
    types = [each["message"].split(' is "')[1].rstrip('"') for each in found if each["severity"] == "information"]
    assert types[:-1] == TYPES
    assert types[-1].startswith("(sweep: Sweep, ") and types[-1].endswith("-> Results")
    assert [each["rule"] for each in found if each["severity"] == "error"] == ["reportArgumentType"]  # a list
