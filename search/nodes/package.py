"""Lay out the package as it runs here, for machines that have none."""

import shutil
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path

from glosstune.spaces.parts import part_files

_ENDINGS = {".py", ".yaml", ".json", ".html", ".css", ".js"}


def stage_package(folder: Path) -> Path:
    """Copy the package as it is imported here into a folder ``glosstune`` below an empty one."""
    source, package = Path(str(files("glosstune"))), folder / "glosstune"
    for path in _package_files(source):
        copy = package / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    return package


def stage_parts(names: Iterable[str], folder: Path) -> list[Path]:
    """Copy the modules and packages that parts of the user's own lie in into a folder; what is installed stays out."""
    staged = []
    for source in sorted({place for name in names if (place := part_files(name)) is not None}):
        staged.append(folder / source.name)
        if source.is_dir():
            shutil.copytree(source, staged[-1], ignore=shutil.ignore_patterns(".*", "__pycache__"))
        else:
            shutil.copyfile(source, staged[-1])
    return staged


def _package_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "__pycache__")):
            continue
        if path.is_dir():
            yield from _package_files(path)
        elif path.suffix in _ENDINGS or path.name == "py.typed":
            yield path
