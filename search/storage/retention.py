"""Remove checkpoints that nobody is likely to need, so that a disk holds a sweep of any length."""

import heapq
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from glosstune.results.reading.names import BEST, LAST, TRIALS, trial_name
from glosstune.results.reading.objectives import front_numbers
from glosstune.spaces.errors import FolderError
from glosstune.spaces.files.folder import Folder

# By trial, what is minimised: the metric or a score, then what else the sweep weighs.
Points = Mapping[int, tuple[float, ...]]


class Retention:
    """Removes them, and knows which it has. A trial that goes on all the same trains its epochs again.

    Args:
        files: of the sweep.
        say: hears once where nothing can be removed; the sweep goes on.
    """

    def __init__(self, files: Folder, say: Callable[[str], object]) -> None:
        self._files, self._say = files, say
        self._removed: set[int] = set()
        self._broken = False

    def settle(self, groups: Iterable[Points], keep: int | None, written: Iterable[int] = ()) -> None:
        """Remove what is left of all but the best of each group.

        Args:
            groups: trials that do not train, those that have ended in one, those that wait at the same rung in one.
            keep: how many of each group, and with several objectives all on its front too; None is all.
            written: trials that may have written since they were last looked at.
        """
        excess: set[int] = set()
        if keep is not None:
            excess.update(*(_excess(points, keep) for points in groups))
        new = excess - (self._removed - set(written))
        names = [f"{TRIALS}/{trial_name(number)}/{name}" for number in sorted(new) for name in (BEST, LAST)]
        self._removed = excess
        if not names or self._broken:
            return
        try:
            self._files.remove(*names)
        except (OSError, FolderError) as error:
            self._broken = True
            self._say(f"checkpoints that search.keep_checkpoints leaves out cannot be removed, and stay: {error}")


def _excess(points: Points, keep: int) -> set[int]:
    if len(points) <= keep:
        return set()
    kept = set(heapq.nsmallest(keep, points, key=lambda number: (points[number][0], number)))
    if any(len(point) > 1 for point in points.values()):
        fronts = front_numbers(np.array(list(points.values())))
        kept |= {number for number, front in zip(points, fronts, strict=True) if front == 0}
    return set(points) - kept
