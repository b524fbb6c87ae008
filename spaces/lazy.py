"""Let a package import its public names when they are first asked for (PEP 562)."""

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path


def import_later(package: str, file: str) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """The ``__getattr__`` and ``__dir__`` of a package whose ``__init__`` imports its names for type checkers alone.

    Args:
        package: its ``__name__``. No public name may be called like a module beside it, for Python itself sets such a
            name as soon as the module is imported.
        file: its ``__file__``, whose ``if TYPE_CHECKING`` says which module defines each name.
    """
    homes: dict[str, str] = {}

    def find(name: str) -> object:
        if not homes:
            homes.update(_homes(file))
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(homes[name]), name)
        setattr(sys.modules[package], name, value)  # so that it is not asked for again
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *_homes(file)} - {"TYPE_CHECKING", import_later.__name__})

    return find, names


def _homes(file: str) -> dict[str, str]:
    """The module that each name is imported from under ``if TYPE_CHECKING``."""
    body = ast.parse(Path(file).read_text(encoding="utf-8")).body
    for_types = [each for node in body if isinstance(node, ast.If) for each in node.body]
    imports = [node for node in for_types if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}
