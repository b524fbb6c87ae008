"""Paths as they are, whatever they hold."""

from pathlib import Path

import pytest

from glosstune.search.config.loading import load_sweep


@pytest.mark.parametrize("name", ["a #1", "b: c", "[d", "lr=0.01, e", "{f}"])
def test_an_override_that_names_a_path_is_that_path_whatever_yaml_makes_of_it(tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    place.mkdir()
    assert load_sweep("student", f"corpus.cache={place}").corpus.cache == place
