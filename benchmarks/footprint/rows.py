"""A row of the table: what was done, what it took, and how that was found."""

from collections.abc import Sequence
from dataclasses import dataclass

COLUMNS = ("what", "time", "own memory", "with mapped files", "disk", "how")
TIMES = "\N{MULTIPLICATION SIGN}"  # between what was measured and how often it comes


@dataclass(frozen=True)
class Row:
    """What something took, or why it failed.

    Attributes:
        name: what was done.
        seconds: of the clock; None where it failed.
        own_mb: the most memory that its processes had for themselves at a time.
        rss_mb: the same with what they mapped of files, which the page cache can take back; memory that processes share
            counts for each.
        disk_mb: the most that it held on disk.
        how: what was measured.
        failed: why it failed; empty where it did not.
    """

    name: str
    seconds: float | None = None
    own_mb: float | None = None
    rss_mb: float | None = None
    disk_mb: float | None = None
    how: str = ""
    failed: str = ""

    def cells(self) -> list[str]:
        """As the table shows it."""
        sizes = (self.own_mb, self.rss_mb, self.disk_mb)
        how = f"failed: {self.failed}" if self.failed else self.how
        return [self.name, shown_time(self.seconds), *map(shown_size, sizes), how.replace("|", "\\|")]


def shown_time(seconds: float | None) -> str:
    """Seconds, minutes or hours, to three digits at most."""
    if seconds is None:
        return "-"
    if seconds < 100:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.3g} min" if seconds < 6000 else f"{seconds / 3600:.3g} h"


def shown_size(megabytes: float | None) -> str:
    """Megabytes or gigabytes."""
    if megabytes is None:
        return "-"
    return f"{megabytes:.0f} MB" if megabytes < 999.5 else f"{megabytes / 1000:.3g} GB"


def table(rows: Sequence[Row]) -> str:
    """All rows as a table of Markdown."""
    lines = [list(COLUMNS), ["---"] * len(COLUMNS), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
