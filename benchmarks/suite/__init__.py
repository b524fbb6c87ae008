"""What `make bench` runs, and the form in which a benchmark gives its figures.

A benchmark of the suite is a script in this folder's parent that takes two options: ``--json FILE``, where it writes a
list of ratios with ``write_ratios``, and ``--short``, which only shows that it runs. It measures two things in turn, at
least five times. To add one, name it in ``SCRIPTS``: nothing else knows of it.
"""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPTS = (
    "start_up",
    "own_ray",
    "session_overhead",
    "search_overhead",
    "results_loading",
    "activation_cache",
    "cached_sweeps",
    "plain_tune",
    "compiled",
    "memory",
)


@dataclass(frozen=True)
class Ratio:
    """Two things that were measured in turn; a ratio is that of the first to the second in the same round.

    Attributes:
        name: what is measured and what against, in words, as the table shows it.
        unit: of both, such as s or MB.
        measured: of each round.
        against: of each round.
        aim: such as ``ratio <= 1.05``, ``ratio >= 2`` or ``measured <= 0.5``, of medians; empty where there is none.
    """

    name: str
    unit: str
    measured: Sequence[float]
    against: Sequence[float]
    aim: str = ""

    def to_mapping(self) -> dict[str, Any]:
        """For JSON: medians, from the lowest to the highest, rounds, and whether the aim is met (None without one)."""
        ratios = [one / other for one, other in zip(self.measured, self.against, strict=True)]
        told: dict[str, Any] = {"name": self.name, "unit": self.unit, "rounds": len(ratios)}
        for key, values in {"measured": self.measured, "against": self.against, "ratio": ratios}.items():
            told[key] = statistics.median(values)
            told[f"{key}_from_to"] = [min(values), max(values)]
        return {**told, "aim": self.aim, "met": self._met(told)}

    def _met(self, told: dict[str, Any]) -> bool | None:
        if not self.aim:
            return None
        what, sign, bound = self.aim.split()
        difference = told[what] - float(bound)
        return bool(difference <= 0 if sign == "<=" else difference >= 0)


def shown(value: float) -> str:
    """Three digits, and no powers of ten."""
    return f"{value:,.0f}" if value >= 999.5 else f"{value:.3g}"


def write_ratios(path: Path | None, ratios: Sequence[Ratio]) -> None:
    """Print ratios a line each and, with a path, write them as JSON."""
    told = [ratio.to_mapping() for ratio in ratios]
    for each in told:
        low, high = each["ratio_from_to"]
        values = f"{shown(each['measured'])} {each['unit']} against {shown(each['against'])} {each['unit']}"
        aim = "" if each["met"] is None else f"; aim {each['aim']}: {'met' if each['met'] else 'missed'}"
        print(f"{each['name']}: {values}, ratio {each['ratio']:.3g} ({low:.3g} to {high:.3g}){aim}", flush=True)
    if path is not None:
        path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
