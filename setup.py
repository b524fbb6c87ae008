"""Link the packages, which lie at the root, into src/glosstune before setuptools looks there; the rest is in setup.cfg.

Git tracks no links: a checkout on Windows would hold text files in their place. In a source distribution the folders
lie in src/glosstune themselves.
"""

import sys
from pathlib import Path

from setuptools import setup

PACKAGES = ("models", "results", "search", "spaces", "trainables")


def link_packages(root: Path) -> None:
    """Have every package that lies at the root be found in src/glosstune, also where an earlier link leads nowhere."""
    for package in PACKAGES:
        link = root / "src" / "glosstune" / package
        if link.is_dir() or not (root / package).is_dir():
            continue
        link.unlink(missing_ok=True)
        if sys.platform == "win32":
            from _winapi import CreateJunction  # a symbolic link would need the rights of an administrator

            CreateJunction(str(root / package), str(link))
        else:
            link.symlink_to(Path("..", "..", package))


if __name__ == "__main__":
    link_packages(Path(__file__).absolute().parent)
    setup()
