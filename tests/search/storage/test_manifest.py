"""Whoever goes on with a sweep has what it began with, wherever that lies now."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from glosstune.search.config.loading import load_sweep
from glosstune.search.config.rules import check_inputs
from glosstune.search.storage.manifest import check_same
from glosstune.spaces.errors import CheckpointError

BEGAN: dict[str, Any] = {"pretrained": {"sha256": hashlib.sha256(b"weights").hexdigest()}, "teacher": None}


def test_a_file_that_has_moved_is_named_with_the_key_that_says_where_it_lies_now(tmp_path: Path) -> None:
    weights = tmp_path / "my = weights #1.pt"
    sweep = load_sweep("teacher", [f"pretrained={weights}"])
    told = f"^pretrained: {weights}: no such file; where it has moved, say pretrained=FILE$"
    with pytest.raises(CheckpointError, match=told):
        check_inputs(sweep)
    weights.write_bytes(b"weights")
    check_inputs(load_sweep("teacher", [f"pretrained={weights}"]))
    with pytest.raises(
        CheckpointError, match=r"^teacher: /nowhere: no such file; where it has moved, say teacher=FILE$"
    ):
        check_inputs(load_sweep("distil", ["teacher=/nowhere"]))
    check_inputs(load_sweep("distil", ["teacher=/nowhere"]), ["pretrained"])


def test_a_folder_in_place_of_a_file_is_refused_before_anything_starts(tmp_path: Path) -> None:
    told = f"^pretrained: {tmp_path}: is a folder, not a file; name the file in it with pretrained=FILE$"
    with pytest.raises(CheckpointError, match=told):
        check_inputs(load_sweep("teacher", [f"pretrained={tmp_path}"]))


def test_weights_are_the_same_wherever_they_lie_and_others_are_refused(tmp_path: Path) -> None:
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"weights")
    sweep = load_sweep("teacher", [f"pretrained={weights}"])
    check_same(BEGAN, sweep)
    check_same(BEGAN, load_sweep("teacher"))  # which are yet to be made
    weights.write_bytes(b"others")
    with pytest.raises(
        CheckpointError, match=r"^pretrained: .*weights.pt: are not the weights that the sweep began with"
    ):
        check_same(BEGAN, sweep)
    check_same(BEGAN, sweep, {"pretrained": BEGAN["pretrained"]["sha256"]})  # as it was when it was read
