"""Lay out what a cluster is sent: the package as it runs here, and a folder with the resolved sweep."""

from dataclasses import dataclass
from pathlib import Path

from glosstune.search.config.sweep import Sweep
from glosstune.search.nodes.package import stage_package, stage_parts
from glosstune.search.storage.sweep_folder import SweepFolder, write_sweep
from glosstune.spaces.errors import SettingError

# Of a request to Ray's job server, which answers 413 to a larger one.
LIMIT_MIB = 100


@dataclass(frozen=True)
class Staged:
    """What is sent.

    Attributes:
        package: a folder ``glosstune`` that Python imports once its parent is on the path.
        working_dir: where the job starts, and on the path of its processes; holds ``sweep.yaml`` and parts of the
            user's own.
    """

    package: Path
    working_dir: Path

    def files(self) -> list[Path]:
        """Every file of both, sorted."""
        return sorted(
            path for folder in (self.package, self.working_dir) for path in folder.rglob("*") if path.is_file()
        )

    @property
    def size_bytes(self) -> int:
        """Of all files together, before they are packed."""
        return sum(path.stat().st_size for path in self.files())


def stage(sweep: Sweep, folder: Path) -> Staged:
    """Write package and working folder of a sweep below an empty folder.

    Raises:
        SettingError: they are too large to be sent.
    """
    staged = Staged(stage_package(folder), folder / "work")
    staged.working_dir.mkdir()
    write_sweep(sweep, SweepFolder(staged.working_dir))
    stage_parts(sweep.own_parts, staged.working_dir)
    check_size(staged)
    return staged


def check_size(staged: Staged) -> None:
    """Raise SettingError where a cluster would refuse the upload."""
    size_mib = staged.size_bytes / 2**20
    if size_mib > LIMIT_MIB:
        largest = max(staged.files(), key=lambda path: path.stat().st_size)
        rule = f"{size_mib:.0f} MiB are to be sent, but a Ray cluster takes at most {LIMIT_MIB} MiB"
        raise SettingError(f"{rule}; the largest file is {largest.name}")
