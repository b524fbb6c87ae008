"""docs/install.md says why each dependency is there; the code imports these and no others."""

import ast
import configparser
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packages import find_packages
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
# Optuna imports it.
NOT_IMPORTED = {"scikit-learn"}


def declared() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def listed(lines: str) -> list[str]:
    """The names of requirements, with their extras, as setup.cfg lists them."""
    return [re.split(r"[<>=!~; ]", line)[0] for line in lines.split("\n") if line]


def table(heading: str) -> dict[str, list[str]]:
    """The rows of the table below a heading of the page: the first cell, and the others."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    return {row[0].strip("`"): row[1:] for row in rows[2:]}


CORE = listed(declared()["options"]["install_requires"])
EXTRAS = {name: listed(lines) for name, lines in declared()["options.extras_require"].items()}
FOR_USERS = EXTRAS.keys() - {"test", "dev"}
WHY = table("What is required, and why")


def test_every_requirement_has_its_row_and_no_row_is_left_over():
    assert sorted(WHY) == sorted(CORE)
    assert [name for name, (_, reason) in WHY.items() if not reason] == []


def test_every_extra_has_its_row_with_what_it_brings():
    rows = table("Extras")
    assert list(rows) == list(EXTRAS)
    assert {name: rows[name][0] for name in FOR_USERS} == {name: ", ".join(EXTRAS[name]) for name in FOR_USERS}


def test_who_tests_gets_what_every_extra_brings_but_the_demo():
    # The Makefile installs both.
    brought, *_ = (name for name in EXTRAS["test"] if name.startswith("glosstune["))
    assert sorted(brought[len("glosstune[") : -1].split(",")) == sorted(FOR_USERS - {"demo"})
    assert "glosstune[test]" in EXTRAS["dev"]


def brought_by(name: str) -> set[str]:
    """What a requirement asks for itself, by the versions that are installed."""
    asked = Requirement(name)
    lines = [Requirement(line) for line in metadata.requires(asked.name) or ()]
    extras = ("", *asked.extras)
    return {
        canonicalize_name(line.name)
        for line in lines
        if not line.marker or any(line.marker.evaluate({"extra": extra}) for extra in extras)
    }


@pytest.mark.parametrize("package", [name for name, (comes_with, _) in WHY.items() if comes_with])
def test_what_is_said_to_come_anyway_does(package):
    carriers = WHY[package][0].split(", ")
    assert [carrier for carrier in carriers if canonicalize_name(package) not in brought_by(carrier)] == []


def imported() -> Iterator[str]:
    """Every module of others that the packages import, by its outermost name, wherever the import stands."""
    for folder in find_packages().values():
        for path in folder.glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names = [node.module]
                yield from (name.split(".")[0] for name in names)


def test_the_code_imports_what_is_required_and_nothing_else():
    owners = metadata.packages_distributions()
    modules = set(imported()) & owners.keys()
    found = {module: {canonicalize_name(name) for name in owners[module]} for module in modules}
    optional = {package for packages in EXTRAS.values() for package in packages}
    known = {canonicalize_name(Requirement(name).name) for name in (*CORE, *optional, "glosstune")}
    # Pydantic's parts, and what the extras cluster and s3 bring.
    known |= {name for carrier in ("pydantic", "ray[default]", "boto3") for name in brought_by(carrier)}
    assert [module for module, names in found.items() if not names & known] == []
    required = {canonicalize_name(Requirement(name).name) for name in CORE}
    assert required - set().union(*found.values()) == NOT_IMPORTED
