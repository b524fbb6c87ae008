"""What is in the folders is what gets installed and can be imported."""

import configparser
import importlib
import inspect
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
NO_PACKAGES = {"benchmarks", "build", "dist", "docs", "tests"}


def find_packages() -> Iterator[str]:
    """Yield the folder of every package, relative to the root."""
    for folder, below, files in os.walk(ROOT):
        below[:] = sorted(name for name in below if not name.startswith((".", "__")) and name not in NO_PACKAGES)
        if "__init__.py" in files:
            yield Path(folder).relative_to(ROOT).as_posix()


PACKAGES = {f"glosstune.{folder.replace('/', '.')}": folder for folder in find_packages()}
TOP = {package: folder for package, folder in PACKAGES.items() if "/" not in folder}


@pytest.fixture(scope="module")
def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def test_every_package_is_installed_from_its_folder(setup_cfg):
    listed = setup_cfg["options"]["packages"].split()
    folders = dict(re.findall(r"(\S+) = (\S+)", setup_cfg["options"]["package_dir"]))
    assert sorted(listed) == sorted(PACKAGES)
    assert folders == TOP


@pytest.mark.parametrize("package", TOP)
def test_every_package_is_typed(setup_cfg, package):
    assert (ROOT / PACKAGES[package] / "py.typed").is_file()
    assert "py.typed" in setup_cfg["options.package_data"][package].split(", ")


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
    modules = {path.stem for path in (ROOT / PACKAGES[package]).iterdir() if path.suffix == ".py" or path.is_dir()}
    assert modules & public(importlib.import_module(package)) == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_listed_before_it_is_imported(package):
    module = importlib.import_module(package)
    assert public(module) <= set(dir(module))


def test_the_root_is_no_package():
    # It would make the folder's own name the name of the package.
    assert not (ROOT / "__init__.py").exists()


def test_constraints_leave_torch_alone():
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    names = {re.split(r"[=<>!~ ]", pin)[0].lower() for pin in pins if not pin.startswith("#")}
    assert names  # and torch is not among them, so that pip never replaces a CUDA build
    assert not {name for name in names if name.startswith(("torch", "nvidia", "triton"))}
