"""Tables and the figure of a comparison of search methods."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from replay.contestants import ABLATIONS, BASELINES, OURS, RANDOM
from replay.measures import Interval, Outcome, censored, cost, epochs_to, interquartile, ratio, share

Outcomes = Mapping[tuple[str, int], Sequence[Outcome]]  # by method and workers

# Colours that are told apart in grey and by colour-blind readers; ours is the strong line of every panel.
_COLOURS = ("#8c96a0", "#4477aa", "#66ccee", "#228833", "#ccbb44", "#aa3377", "#ee7733")
_OURS_COLOUR = "#cc3311"


def cost_table(
    outcomes: Outcomes,
    targets: Sequence[float],
    unit: str,
    cost_of: Callable[[Sequence[Outcome], float], Sequence[float]],
) -> str:
    """Markdown: what the targets cost, interquartile means and 95 % intervals, a row a method and number of workers.

    Args:
        cost_of: for each search of a method.
    """
    rows = []
    for (name, workers), runs in outcomes.items():
        cells = [name, str(workers), f"{interquartile([run.trials for run in runs]).mean:.0f}"]
        for target in targets:
            interval = _interval(interquartile(cost_of(runs, target)), 0)
            cells.append(with_censored(interval, censored(runs, target)))
        rows.append(cells)
    return _markdown(["method", "workers", "trials", *(f"{unit} to {target:.0%}" for target in targets)], rows)


def with_censored(interval: str, count: int) -> str:
    """A cell of a table that says how many searches never got there."""
    return f"{interval}, {count} never" if count else interval


def regret_table(outcomes: Outcomes, marks: Mapping[float, int], target: float) -> str:
    """Markdown: regret after some numbers of full trials, and what became of trials that would reach the target.

    Args:
        marks: full trials, and where in ``Outcome.regret`` they are.
    """
    heads = ["method", "workers", *(f"regret after {trials:g} full trials" for trials in marks)]
    heads += [f"killed of those that would reach {target:.0%}", "left waiting"]
    rows = []
    for (name, workers), runs in outcomes.items():
        regrets = [_interval(interquartile([run.regret[place] for run in runs]), 3) for place in marks.values()]
        rows.append([name, str(workers), *regrets, f"{share(runs, 'killed'):.1%}", f"{share(runs, 'left'):.1%}"])
    return _markdown(heads, rows)


def ratio_table(outcomes: Outcomes, targets: Sequence[float], limit_s: float) -> str:
    """Markdown: device-seconds of ours over those of the best baseline and of random search."""
    rows = []
    for workers in dict.fromkeys(workers for _, workers in outcomes):
        for target in targets:
            costs = {name: cost(runs, target, limit_s) for (name, used), runs in outcomes.items() if used == workers}
            rivals = [name for name in costs if name in BASELINES and name != RANDOM]
            best = min(rivals, key=lambda name: interquartile(costs[name]).mean)
            against = [_interval(ratio(costs[OURS], costs[name]), 2) for name in (best, RANDOM)]
            rows.append([str(workers), f"{target:.0%}", best, *against])
    return _markdown(["workers", "target", "best baseline", "ours / best baseline", "ours / random search"], rows)


def as_data(outcomes: Outcomes, targets: Sequence[float], limit_s: float) -> list[dict[str, Any]]:
    """The figures of the tables and of the figure as plain data."""
    data = []
    for (name, workers), runs in outcomes.items():
        reached = {
            f"{target:g}": {
                "device_s": asdict(interquartile(cost(runs, target, limit_s))),
                "epochs": asdict(interquartile(epochs_to(runs, target))),
                "censored": censored(runs, target),
            }
            for target in targets
        }
        regret = [asdict(interquartile(values)) for values in zip(*(run.regret for run in runs), strict=True)]
        killed, left = (None if math.isnan(value := share(runs, kind)) else value for kind in ("killed", "left"))
        data.append(
            {"method": name, "workers": workers, "seeds": len(runs), "targets": reached, "regret": regret}
            | {"killed": killed, "left_waiting": left}
        )
    return data


def draw(outcomes: Outcomes, marks_s: Sequence[float], path: Path) -> None:
    """Regret over device-seconds: above ours with the baselines, below with its ablations, a column per workers."""
    from matplotlib.figure import Figure

    columns = list(dict.fromkeys(workers for _, workers in outcomes))
    figure = Figure(figsize=(3.6 * len(columns) + 3.2, 7), dpi=150, layout="constrained")
    panels = figure.subplots(2, len(columns), sharex=True, sharey=True, squeeze=False)
    for row, (group, title) in enumerate(((BASELINES, "against baselines"), (ABLATIONS, "without one of its parts"))):
        for workers, axes in zip(columns, panels[row], strict=True):
            for name, colour in [*zip(group, _COLOURS, strict=False), (OURS, _OURS_COLOUR)]:
                if (name, workers) not in outcomes:
                    continue
                curves = zip(*(run.regret for run in outcomes[name, workers]), strict=True)
                intervals = [interquartile(values) for values in curves]
                # A logarithm has no place for 0: the best configuration of all was found by all.
                means = [max(interval.mean, 1e-3) for interval in intervals]
                axes.plot(marks_s, means, color=colour, linewidth=2.4 if name == OURS else 1.4, label=name)
                if name == OURS:
                    low, high = ([max(getattr(i, end), 1e-3) for i in intervals] for end in ("low", "high"))
                    axes.fill_between(marks_s, low, high, color=colour, alpha=0.15, linewidth=0)
            axes.set_yscale("log")
            axes.set_xscale("log")
            axes.set_title(f"ours {title}, {workers} worker{'s' if workers > 1 else ''}", loc="left", fontsize=9)
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(color="#e8ebee", linewidth=0.8)
            axes.tick_params(labelsize=8)
        panels[row][0].set_ylabel("best WER less the best recorded one (0 drawn as 0.001)", fontsize=8)
        panels[row][-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=8, frameon=False)
    for axes in panels[1]:
        axes.set_xlabel("device-seconds", fontsize=8)
    figure.savefig(path)


def _interval(interval: Interval, digits: int) -> str:
    return f"{interval.mean:.{digits}f} ({interval.low:.{digits}f} to {interval.high:.{digits}f})"


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
