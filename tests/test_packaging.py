"""What is in the folders is what gets installed and can be imported."""

import configparser
import importlib
import inspect
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from packages import SRC, find_packages
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
# Beside the packages, whose folders lie at the root.
NO_PACKAGES = {"benchmarks", "build", "dist", "docs", "src", "tests"}
OURS_OR_TORCH = {"glosstune", "torch", "triton"}


def folders_at_the_root() -> Iterator[str]:
    """Yield the folder of every package, relative to the root."""
    for folder, below, files in os.walk(ROOT):
        below[:] = sorted(name for name in below if not name.startswith((".", "__")) and name not in NO_PACKAGES)
        if "__init__.py" in files:
            yield Path(folder).relative_to(ROOT).as_posix()


PACKAGES = find_packages()


def test_every_package_is_installed():
    folders = list(folders_at_the_root())
    assert len(folders) > 30
    assert sorted(PACKAGES) == ["glosstune", *sorted(f"glosstune.{folder.replace('/', '.')}" for folder in folders)]


def test_the_packages_lie_at_the_root():
    links = {path.name: path.readlink() for path in (SRC / "glosstune").iterdir() if path.is_symlink()}
    assert links == {folder: Path("..", "..", folder) for folder in folders_at_the_root() if "/" not in folder}


def test_the_package_is_typed():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    assert (SRC / "glosstune" / "py.typed").is_file()
    assert parser["options.package_data"]["glosstune"] == "py.typed"


def public(package: ModuleType) -> set[str]:
    """Its public names; a folder whose modules are imported by their own names has none."""
    return set(getattr(package, "__all__", ()))


# The order of __all__ is ruff's to check (RUF022).
@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_can_be_imported(package):
    module = importlib.import_module(package)
    assert [name for name in public(module) if not hasattr(module, name)] == []
    defined = {name for name, value in vars(module).items() if name[0] != "_" and not inspect.ismodule(value)}
    assert defined - {"TYPE_CHECKING", "import_later"} <= public(module)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_public_name_is_that_of_a_module_beside_it(package):
    # Python would put the module in the place of what was to be imported from it later.
    modules = {path.stem for path in PACKAGES[package].iterdir() if path.suffix == ".py" or path.is_dir()}
    assert modules & public(importlib.import_module(package)) == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_listed_before_it_is_imported(package):
    module = importlib.import_module(package)
    assert public(module) <= set(dir(module))


def pins(file: str) -> dict[str, Version]:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def requirements(*without: str) -> dict[str, SpecifierSet]:
    """What setup.cfg asks for, without some extras, without torch and what only torch brings."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    extras = [lines for name, lines in parser["options.extras_require"].items() if name not in without]
    lines = "\n".join([parser["options"]["install_requires"], *extras]).split("\n")
    asked = [Requirement(line) for line in lines if line]
    return {canonicalize_name(each.name): each.specifier for each in asked if each.name not in OURS_OR_TORCH}


@pytest.mark.parametrize("file", ["constraints.txt", "constraints-oldest.txt"])
def test_constraints_leave_torch_alone(file):
    names = pins(file)
    assert names  # and torch is not among them, so that pip never replaces a CUDA build
    assert not {name for name in names if name.startswith(("torch", "nvidia", "triton"))}


def test_every_requirement_is_pinned_within_its_bounds():
    pinned = pins("constraints.txt")
    assert {name: pinned[name] for name, bounds in requirements().items() if pinned[name] not in bounds} == {}


def test_the_oldest_versions_are_the_lower_bounds():
    pinned = pins("constraints-oldest.txt")
    lower = {
        name: Version(bound.version)
        for name, bounds in requirements("dev").items()
        for bound in bounds
        if bound.operator in (">=", "==")
    }
    assert lower == {name: pinned[name] for name in lower}
