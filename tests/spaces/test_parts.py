import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from glosstune.spaces import SettingError
from glosstune.spaces.parts import is_own, load_part, named_among, part_files


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with a module ``owned_part`` and a package ``owned_parts`` that Python forgets afterwards."""
    (tmp_path / "owned_part.py").write_text("class Part:\n    depth = 3\n")
    (tmp_path / "owned_parts" / "inner").mkdir(parents=True)
    (tmp_path / "owned_parts" / "__init__.py").write_text("")
    (tmp_path / "owned_parts" / "inner" / "part.py").write_text("def rule():\n    return 1 / 0\n\n\nbroken = 1\n")
    (tmp_path / "owned_broken.py").write_text("1 / 0\n")
    (tmp_path / "owned_exit.py").write_text("import sys\n\nsys.exit('bye\\nbye')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("owned_")]:
        del sys.modules[name]


def test_a_part_is_found_in_a_module_and_in_a_package_of_the_current_folder(own: Path) -> None:
    assert load_part("owned_part:Part", "model.kind", ["depth"]).depth == 3
    assert load_part("owned_parts.inner.part:rule", "stopping.rules").__name__ == "rule"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("owned_part", "must be package.module:Name; got 'owned_part'"),
        ("owned_part:", "must be package.module:Name; got 'owned_part:'"),
        (
            "owned_nowhere:Part",
            "owned_nowhere:Part cannot be imported (ModuleNotFoundError: No module named",
        ),
        ("owned_part:Prat", "owned_part:Prat cannot be imported (AttributeError: module 'owned_part' has no attribute"),
        ("owned_broken:Part", "owned_broken:Part cannot be imported (ZeroDivisionError: division by zero)"),
        ("owned_exit:Part", "owned_exit:Part cannot be imported (SystemExit: bye bye)"),
        ("owned_part:Part:x", "must be package.module:Name; got 'owned_part:Part:x'"),
        ("owned_part:Part", "owned_part:Part lacks width, height; see docs/extending.md"),
    ],
)
def test_what_is_wrong_with_a_part_is_told_with_its_key(own: Path, name: str, told: str) -> None:
    with pytest.raises(SettingError) as refused:
        load_part(name, "corpus.kind", ["width", "height"])
    assert str(refused.value).startswith(f"corpus.kind: {told}")


def test_a_name_is_one_of_ours_or_spelled_like_one_of_the_users_own() -> None:
    check = named_among(("tpe", "random"))
    assert check("tpe") == "tpe" and check("owned_part:Part") == "owned_part:Part"
    assert is_own("owned_part:Part") and not is_own("tpe")
    with pytest.raises(ValueError, match=r"must be 'tpe' or 'random', or package\.module:Name of one of your own"):
        check("grid")


def test_a_part_that_is_nowhere_cannot_travel(own: Path) -> None:
    with pytest.raises(SettingError, match="owned_nowhere:Part: no module owned_nowhere is installed here or lies in"):
        part_files("owned_nowhere:Part")


def test_a_module_travels_as_its_file_and_a_package_as_its_outermost_folder(own: Path) -> None:
    for name, place in (("owned_part:Part", "owned_part.py"), ("owned_parts.inner.part:rule", "owned_parts")):
        load_part(name, "model.kind")
        assert part_files(name) == own / place


@pytest.mark.parametrize("name", ["optuna.samplers:GPSampler", "json:loads", "sys:exit", "glosstune.models:I3DTeacher"])
def test_what_is_installed_does_not_travel(name: str) -> None:
    assert part_files(name) is None
