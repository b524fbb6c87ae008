"""What is in the folders is what gets installed and can be imported."""

import configparser
import importlib
import inspect
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

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
_setup = runpy.run_path(str(ROOT / "setup.py"))  # not as the main program, so that it builds nothing
PACKAGES_AT_THE_ROOT, link_packages = _setup["PACKAGES"], _setup["link_packages"]


def test_every_package_is_installed():
    folders = list(folders_at_the_root())
    assert len(folders) > 30
    assert sorted(PACKAGES) == ["glosstune", *sorted(f"glosstune.{folder.replace('/', '.')}" for folder in folders)]


def linked(checkout: Path) -> Path:
    """Run what a build begins with in a checkout whose packages are empty folders; return what they are linked into."""
    for package in PACKAGES_AT_THE_ROOT:
        (checkout / package).mkdir(parents=True, exist_ok=True)
        (checkout / package / "__init__.py").touch()
    (checkout / "src" / "glosstune").mkdir(parents=True, exist_ok=True)
    link_packages(checkout)
    return checkout / "src" / "glosstune"


def test_the_packages_lie_at_the_root():
    assert sorted(PACKAGES_AT_THE_ROOT) == [folder for folder in folders_at_the_root() if "/" not in folder]
    assert all((SRC / "glosstune" / package).samefile(ROOT / package) for package in PACKAGES_AT_THE_ROOT)


def test_git_tracks_no_links():
    command = ["git", "-C", str(ROOT), "ls-files", "--stage"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert [line for line in listed.stdout.splitlines() if line.startswith("120000")] == []


def test_a_build_links_the_packages(tmp_path):
    src = linked(tmp_path / "first")
    assert all((src / package / "__init__.py").is_file() for package in PACKAGES_AT_THE_ROOT)
    moved = (tmp_path / "first").rename(tmp_path / "moved") / "src" / "glosstune"
    assert all((moved / package / "__init__.py").is_file() for package in PACKAGES_AT_THE_ROOT)


def test_a_build_mends_links_that_lead_nowhere_and_those_that_windows_checked_out_as_text(tmp_path):
    src = linked(tmp_path)
    (src / "models").unlink()
    (src / "models").symlink_to("nowhere")
    (src / "search").unlink()
    (src / "search").write_text("../../search")
    link_packages(tmp_path)
    assert (src / "models").samefile(tmp_path / "models") and (src / "search").samefile(tmp_path / "search")


def test_a_build_of_a_source_distribution_leaves_its_folders(tmp_path):
    package = tmp_path / "src" / "glosstune" / "models"
    package.mkdir(parents=True)
    link_packages(tmp_path)
    assert [path.name for path in package.parent.iterdir()] == ["models"] and not package.is_symlink()


def test_windows_gets_junctions_which_need_no_rights(tmp_path, monkeypatch):
    def junction(target: str, link: str) -> None:
        assert Path(target).is_absolute()  # a junction knows no other
        os.symlink(target, link)

    monkeypatch.setitem(sys.modules, "_winapi", SimpleNamespace(CreateJunction=junction))
    monkeypatch.setattr(sys, "platform", "win32")
    assert (linked(tmp_path) / "models").samefile(tmp_path / "models")


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
def test_every_public_name_is_listed_before_it_is_imported_and_no_tool_of_the_import(package):
    module = importlib.import_module(package)
    listed = set(dir(module))
    assert public(module) <= listed and not listed & {"TYPE_CHECKING", "import_later"}


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
