"""The packages as setuptools finds them: every folder with an ``__init__.py`` below src/, whose links it follows."""

import os
from pathlib import Path

SRC = Path(__file__).parents[2] / "src"


def find_packages() -> dict[str, Path]:
    """Every package by its dotted name, with its folder."""
    walked = (Path(folder) for folder, _, files in os.walk(SRC, followlinks=True) if "__init__.py" in files)
    return {".".join(folder.relative_to(SRC).parts): folder for folder in walked}
