"""ARCHITECTURE.md draws the house as it is: its folders and files, which way imports run, how large a room may be."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PICTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
MOST_ENTRIES = 12
# From the command line to a training step; see "The life of a trial".
MOST_MODULES = 11

# A line of the tree is a folder with what it is for, or modules of the folder that they are indented below.
FOLDER = re.compile(r"^( *)([a-z/]+)/(?: +.*)?$")


def drawn() -> list[tuple[str, list[str]]]:
    """The lines of the tree, top floor first: a folder, and the modules that the line names in it."""
    tree = PICTURE.split("```text\n")[1].split("```")[0]
    lines: list[tuple[str, list[str]]] = []
    path: list[str] = []
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        if found := FOLDER.match(line):
            path = [*path[:depth], found[2]]
            lines.append(("/".join(path), []))
        else:
            lines.append(("/".join(path[:depth]), line.split()))
    return lines


LINES = drawn()
FOLDERS = list(dict.fromkeys(folder for folder, _ in LINES))
WHOLE = "src.glosstune"  # the package itself, which the folders at the root are linked into


def dotted(*parts: str) -> str:
    """The name of a module below glosstune, by its path from the root."""
    return ".".join(parts).removeprefix(f"{WHOLE}.")


def modules() -> dict[str, Path]:
    """Every module by its dotted name below glosstune; a package by that of its folder."""
    found = {}
    for top in dict.fromkeys(folder.partition("/")[0] for folder in FOLDERS):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[dotted(*(parts[:-1] if parts[-1] == "__init__" else parts))] = path
    return found


MODULES = modules()


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """What a file imports of ours, wherever in it, for types too: the module or package, and the name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "glosstune":
            for alias in node.names:
                yield WHOLE, alias.name
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("glosstune."):
            for alias in node.names:
                yield str(node.module).removeprefix("glosstune."), alias.name
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name == "glosstune":
                    yield WHOLE, ""
                elif alias.name.startswith("glosstune."):
                    yield alias.name.removeprefix("glosstune."), ""


def home(package: str, name: str) -> str:
    """The module that a name comes from: packages hand on what modules below them define."""
    while f"{package}.{name}" not in MODULES and MODULES[package].name == "__init__.py":
        handed_on = dict((each, module) for module, each in imports(MODULES[package]))
        if name not in handed_on:
            return package
        package = handed_on[name]
    inside = f"{package}.{name}"
    return inside if inside in MODULES else package


ARROWS = {
    name: {home(*each) for each in imports(path)} - {name}
    for name, path in MODULES.items()
    if path.name != "__init__.py"  # which only hands names on
}


def floors() -> dict[str, int]:
    """How far up every module stands: by its line, or by that of its folder where it only hands names on."""
    found: dict[str, int] = {}
    for place, (folder, names) in enumerate(reversed(LINES)):
        package = folder.replace("/", ".")
        found[package] = place
        found |= {dotted(package, name): place for name in names}
    return found


FLOORS = floors()


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_holds_the_modules_that_are_drawn(folder: str) -> None:
    there = {path.stem for path in (ROOT / folder).glob("*.py")} - {"__init__"}
    listed = [name for each, names in LINES if each == folder for name in names]
    assert sorted(there) == sorted(listed)


def test_every_folder_is_drawn() -> None:
    assert {path.parent.relative_to(ROOT).as_posix() for path in MODULES.values()} == set(FOLDERS)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_is_taken_in_at_a_glance(folder: str) -> None:
    names = [path.name for path in (ROOT / folder).iterdir() if path.name not in ("__pycache__", "py.typed")]
    assert len(names) <= MOST_ENTRIES


def test_imports_run_downwards_only() -> None:
    # Whoever starts `python -m` goes in by the top floor.
    upwards = [
        f"{module} -> {other}"
        for module, others in ARROWS.items()
        for other in others
        if FLOORS[other] > FLOORS[module] and not module.endswith("__main__")
    ]
    assert upwards == []


def test_no_module_needs_itself() -> None:
    left = {module: set(others) for module, others in ARROWS.items()}
    while free := [module for module, others in left.items() if not others & left.keys()]:
        for module in free:
            del left[module]
    assert left == {}


def test_a_trial_passes_through_few_modules() -> None:
    listed = re.findall(r"^\d+\. `([\w/]+)\.py`", PICTURE, flags=re.MULTILINE)
    path = [name.replace("/", ".") for name in listed]
    assert 2 <= len(path) <= MOST_MODULES
    assert [f"{one} -> {next_}" for one, next_ in pairwise(path) if next_ not in ARROWS[one]] == []
