"""Lay out the package as it runs here, for machines that have none."""

import shutil
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from glosstune.spaces.errors import SettingError
from glosstune.spaces.parts import part_files

_PARTS = ("models", "results", "search", "spaces", "trainables")
_ENDINGS = {".py", ".yaml", ".json", ".html", ".css", ".js"}


def stage_package(folder: Path) -> Path:
    """Copy the package as it is imported here into a folder ``glosstune`` below an empty one."""
    package = folder / "glosstune"
    for part in _PARTS:
        _copy(_find(part), package / part)
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


def _find(part: str) -> Path:
    """The folder that a package is imported from; in an editable install it need not lie in one called glosstune."""
    spec = find_spec(f"glosstune.{part}")
    if spec is None or not spec.submodule_search_locations:
        raise SettingError(f"glosstune.{part}: is not installed here; install glosstune again")
    return Path(spec.submodule_search_locations[0])


def _copy(source: Path, target: Path) -> None:
    for path in _package_files(source):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def _package_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "__pycache__")):
            continue
        if path.is_dir():
            yield from _package_files(path)
        elif path.suffix in _ENDINGS or path.name == "py.typed":
            yield path
