"""What loading pretrained weights did with every tensor of the model and of the file."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, get_args

from glosstune.models.weights.weights_record import differences, plain
from glosstune.results.text import align

Status = Literal["taken", "adapted", "skipped", "missing"]
STATUSES: tuple[Status, ...] = get_args(Status)

MAX_REASONS = 5


@dataclass(frozen=True)
class LoadEntry:
    """One tensor: ours where it was ``taken``, ``adapted`` or is ``missing``, the file's where it was ``skipped``.

    ``detail`` says where it came from and what changed, or why it did not arrive.
    """

    name: str
    status: Status
    detail: str


@dataclass(frozen=True)
class LoadReport:
    """Every tensor of the model stands once among those taken, adapted and missing, every unused one of the file once.

    Attributes:
        source: the naming that was recognised, in words.
        entries: the model's tensors in its order, then the file's skipped ones in its order.
        recorded: what the file says of the model and the input of its weights (see WeightsFile).
        fresh: parameters of the model that received nothing and are still random.
        layout: in a line how the file's layout differs from the model's, and which projections are taken; empty where
            nothing shows that it differs.
    """

    path: Path
    source: str
    entries: tuple[LoadEntry, ...]
    recorded: Mapping[str, object]
    fresh: frozenset[str]
    layout: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """Entries by status; all four statuses are there."""
        counted = Counter(entry.status for entry in self.entries)
        return {status: counted[status] for status in STATUSES}

    def differences(self, expected: Mapping[str, object]) -> tuple[str, ...]:
        """A line for each recorded leaf that ``expected``, nested alike, has with another value.

        Shapes that match do not make the input the same: a network that learned from another layout, noise floor
        or other gains reads what it never saw.
        """
        return differences(self.recorded, expected)

    def table(self) -> str:
        """A summary for the terminal: a line for each run of layers that fared alike, then why tensors were skipped."""
        counts = ", ".join(f"{count} {status}" for status, count in self.counts.items())
        rows = [("layer", *map(str, STATUSES[:2]), STATUSES[3], "")]
        rows += _layer_rows([entry for entry in self.entries if entry.status != "skipped"])
        lines = [f"{self.path.name}: {self.source}: {counts}", *[self.layout] * bool(self.layout)]
        return "\n".join([*lines, *align(rows, left=[0, 4]), *self._skipped_lines()])

    def to_mapping(self) -> dict[str, Any]:
        """Everything but the hashes of recordings, as JSON can hold it."""
        return {
            "path": str(self.path),
            "source": self.source,
            "layout": self.layout,
            "counts": self.counts,
            "recorded": plain({name: value for name, value in self.recorded.items() if name != "recordings"}),
            "fresh": sorted(self.fresh),
            "entries": [asdict(entry) for entry in self.entries],
        }

    def _skipped_lines(self) -> Iterator[str]:
        reasons = Counter(entry.detail for entry in self.entries if entry.status == "skipped").most_common()
        if not reasons:
            return
        yield "skipped of the file's tensors:"
        shown, rest = reasons[:MAX_REASONS], reasons[MAX_REASONS:]
        if len(rest) == 1:
            shown, rest = reasons, []
        for reason, count in shown:
            yield f"{count:5d}  {reason}"
        if rest:
            yield f"{sum(count for _, count in rest):5d}  for {len(rest)} other reasons"


def _layer_rows(entries: list[LoadEntry]) -> Iterator[tuple[str, ...]]:
    layers = [(layer, list(members)) for layer, members in groupby(entries, lambda entry: entry.name.partition(".")[0])]
    for _, alike in groupby(layers, lambda layer: _fate(layer[1])):
        run = list(alike)
        members = [entry for _, entries in run for entry in entries]
        name = run[0][0] if len(run) == 1 else f"{run[0][0]} to {run[-1][0]}"
        counted = Counter(entry.status for entry in members)
        reasons = Counter(entry.detail for entry in members if entry.status == "missing").most_common(2)
        why = reasons[0][0] + (", and more" if len(reasons) > 1 else "") if reasons else ""
        yield (name, *(str(counted[status]) for status in STATUSES if status != "skipped"), why)


def _fate(entries: list[LoadEntry]) -> tuple[bool, bool, frozenset[str]]:
    """What makes two layers alike: whether something came, whether all did, and why not."""
    missing = [entry for entry in entries if entry.status == "missing"]
    return len(missing) < len(entries), not missing, frozenset(entry.detail for entry in missing)
