"""Builds with setuptools, then takes out of sdist and wheel what the hour and the machine have put into them.

Where SOURCE_DATE_EPOCH is set, the same sources and the same setuptools make the same bytes. Setuptools heeds it for
the times in a wheel; the times and owners in an sdist, and the modes in both, it takes from the files as they lie here.
"""

import gzip
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import (
    build_editable,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

# The hooks that pip and build ask for: https://peps.python.org/pep-0517
__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

_EPOCH = "SOURCE_DATE_EPOCH"


def build_sdist(sdist_directory: str, config_settings: dict[str, Any] | None = None) -> str:
    """Build the sdist into a folder, and return its name."""
    name: str = build_meta.build_sdist(sdist_directory, config_settings)
    if _EPOCH in os.environ:
        _settle_sdist(Path(sdist_directory, name), int(os.environ[_EPOCH]))
    return name


def build_wheel(
    wheel_directory: str, config_settings: dict[str, Any] | None = None, metadata_directory: str | None = None
) -> str:
    """Build the wheel into a folder, and return its name."""
    name: str = build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)
    if _EPOCH in os.environ:
        _settle_wheel(Path(wheel_directory, name))
    return name


def _settle_sdist(path: Path, epoch: int) -> None:
    partial = path.with_suffix(".partial")
    with (
        tarfile.open(path) as before,
        partial.open("wb") as file,
        gzip.GzipFile("", "wb", mtime=epoch, fileobj=file) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as after,
    ):
        for member in sorted(before.getmembers(), key=lambda member: member.name):
            settled = tarfile.TarInfo(member.name)  # of no owner
            settled.type, settled.size, settled.mtime = member.type, member.size, epoch
            settled.mode = _settled_mode(member.mode)
            after.addfile(settled, before.extractfile(member))
    partial.replace(path)


def _settle_wheel(path: Path) -> None:
    partial = path.with_suffix(".partial")
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as after:
        for entry in before.infolist():
            entry.external_attr = (entry.external_attr & ~(0o777 << 16)) | (
                _settled_mode(entry.external_attr >> 16) << 16
            )
            after.writestr(entry, before.read(entry))
    partial.replace(path)


def _settled_mode(mode: int) -> int:
    """Readable by all, and executable by all where the owner may; whatever the umask was."""
    return 0o755 if mode & 0o100 else 0o644
