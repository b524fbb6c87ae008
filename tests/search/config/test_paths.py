"""Paths as they are, whatever they hold."""

import os
from pathlib import Path

import pytest

from glosstune.search.config.loading import load_sweep


@pytest.mark.parametrize("name", ["a #1", "b: c", "[d", "lr=0.01, e", "{f}"])
def test_an_override_that_names_a_path_is_that_path_whatever_yaml_makes_of_it(tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    place.mkdir()
    assert load_sweep("student", f"corpus.cache={place}").corpus.cache == place


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"C:\data\a #1.pt", r"C:\data\a #1.pt"),  # below the current folder where it is no path of Windows
        (r"\\server\share\a #1.pt", r"\\server\share\a #1.pt"),
        ("~/a #1.pt", "~/a #1.pt"),
        ("~root/a #1.pt", "~root/a #1.pt"),
        ("./a #1.pt", "a #1.pt"),
    ],
)
def test_what_begins_as_a_path_is_whole_though_nothing_lies_there(text: str, expected: str) -> None:
    absolute = os.path.join(os.getcwd(), os.path.expanduser(expected))
    assert load_sweep("student", f"corpus.cache={text}").corpus.cache == Path(absolute)


def test_a_tilde_alone_is_null() -> None:
    assert load_sweep("student", "teacher=~").teacher is None
