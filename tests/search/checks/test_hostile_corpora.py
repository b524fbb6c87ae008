"""A corpus that was made to do harm is told in one line where it is packed, and is not read without an end."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hostile import ESCAPE, npy, sparse, zip_bomb
from tables import ROWS, recorded, write_csv

from glosstune.spaces.files import bounded

Run = Callable[..., int]
LARGE = 8_000_000


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOSSTUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(bounded, "largest_array", lambda: 2_000_000)


NO_FILE = "1 rows have no feature file: train/001; corpus.missing=skip leaves them out"


@pytest.mark.parametrize(
    ("name", "make", "told"),
    [
        ("a.npy", lambda path: path.write_bytes(npy((10**12, 1629)) + bytes(64)), "truncated or no NumPy file"),
        ("a.npy", lambda path: sparse(path, npy((10**9, 1629)), 2**42), "and holds 0.0 GB: copy it again"),
        ("a.npz", lambda path: zip_bomb(path, LARGE), "more than half of the memory here"),
        ("a.npy", os.mkfifo, NO_FILE),
        ("a.npy", lambda path: path.symlink_to("/dev/zero"), NO_FILE),
        ("a.npy", lambda path: path.symlink_to("a.npy"), NO_FILE),
        ("a.npy", Path.mkdir, NO_FILE),
        ("../../../../../../../../../etc/passwd", lambda path: None, "passwd: .*no NumPy file of numbers"),
        (f"{ESCAPE}.npy", lambda path: None, "must be printable text"),
        ("a\0b.npy", lambda path: None, "must be printable text"),
        ("x" * 5000, lambda path: None, NO_FILE),
    ],
    ids=["declared", "sparse", "bomb", "pipe", "device", "loop", "folder", "outside", "escape", "nul", "long"],
)
def test_a_file_of_a_corpus_that_would_harm_is_told_in_one_line(
    name: str,
    make: Callable[[Path], object],
    told: str,
    run: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "clips").mkdir()
    for row in ROWS[1:]:
        np.save(tmp_path / str(row["path"]), recorded())
    table = write_csv(tmp_path / "table.csv", [{**ROWS[0], "path": f"clips/{name}"}, *ROWS[1:]])
    make(tmp_path / "clips" / name)
    assert run("pack", "student", f"corpus.root={table}", "corpus.layout=base") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("glosstune: ") and line.isprintable() and re.search(told, line)
    run("diagnose", "student", f"corpus.root={table}", "corpus.layout=base")  # which goes on with what can be read
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err and all(line.isprintable() for line in (shown.out + shown.err).splitlines())
    assert "certain" in shown.out or re.search(told, shown.err)
