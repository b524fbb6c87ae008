"""Files of anybody are read within bounds."""

import json
import os
from pathlib import Path

import pytest
from hostile import sparse

from glosstune.spaces.errors import SettingError
from glosstune.spaces.files.bounded import LONGEST_LINE, check_fits, largest_array, parse_json, read_bytes, read_lines
from glosstune.spaces.files.yaml_data import read_yaml


def test_what_says_to_be_larger_than_half_of_the_memory_does_not_fit():
    check_fits(largest_array())
    with pytest.raises(OSError, match="more than half of the memory here"):
        check_fits(largest_array() + 1)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes")
def test_pipes_and_devices_are_no_files(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(OSError, match="is no regular file"):
            read_bytes(path)
        with pytest.raises(SettingError, match="cannot be read: is no regular file"):
            read_yaml(path)


def test_a_file_of_a_terabyte_of_nothing_is_not_read(tmp_path: Path):
    path = sparse(tmp_path / "a.yaml", b"a: 1\n", 2**40)
    with pytest.raises(OSError, match="is larger than 64 MB"):
        read_bytes(path)
    with pytest.raises(SettingError, match=r"a\.yaml: cannot be read: is larger than 4 MB"):
        read_yaml(path)
    with pytest.raises(OSError, match="has a line of more than 16 MB"):
        list(read_lines(sparse(tmp_path / "b", b"one\n", LONGEST_LINE + 10)))


def test_a_sweep_file_that_is_another_kind_of_file_is_not_repeated(tmp_path: Path):
    (tmp_path / "token").write_text("0123456789abcdef")
    with pytest.raises(SettingError, match="must be a mapping") as error:
        read_yaml(tmp_path / "token")
    assert "0123456789abcdef" not in str(error.value)


@pytest.mark.parametrize("depth", [101, 900, 100_000])
def test_json_that_is_nested_without_end_is_no_json(depth: int):
    with pytest.raises(ValueError, match="is nested in more than 100 levels"):
        parse_json("[" * depth + "]" * depth)


def test_half_a_surrogate_pair_becomes_text_that_can_be_written():
    assert parse_json('{"\\ud800": ["\\u00e9", "\\ud83d\\ude00", 1]}') == {"\ufffd": ["é", "😀", 1]}
    assert parse_json(json.dumps([[[1.5, None, True]]]).encode()) == [[[1.5, None, True]]]
