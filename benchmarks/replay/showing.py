"""Tables and the figure of a comparison of search methods."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from replay.contestants import BASELINES, OURS
from replay.measures import Searches, mean_ranks, over_tasks, ratio

Told = Mapping[str, Searches]  # of a method, by task

# Colours that are told apart in grey and by colour-blind readers; ours is the strong line.
_COLOURS = ("#8c96a0", "#4477aa", "#66ccee", "#228833", "#ccbb44", "#aa3377", "#ee7733")
_STYLES = ("-", "--", ":")
_OURS_COLOUR = "#cc3311"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [heads, ["---"] * len(heads), *rows])


def method_table(told: Mapping[str, Told], shares: Sequence[float]) -> str:
    """A row a method: means over tasks, how many searches never got there, mean rank."""
    ranks = mean_ranks([[one.multiples for one in each.values()] for each in told.values()])
    rows = []
    for (name, each), rank in zip(told.items(), ranks, strict=True):
        means = over_tasks([one.multiples for one in each.values()])
        never = np.sum([one.never for one in each.values()], axis=0)
        rows.append([name, *map(_cell, means, never), f"{rank:.1f}"])
    return table(["method", *(f"{share:.0%}" for share in shares), "mean rank"], rows)


def task_table(told: Mapping[str, Told], shares: Sequence[float]) -> str:
    """A row a task and method."""
    rows = [
        [task, name, *map(_cell, over_tasks([each[task].multiples]), each[task].never)]
        for task in next(iter(told.values()))
        for name, each in told.items()
    ]
    return table(["task", "method", *(f"{share:.0%}" for share in shares)], rows)


def ratio_table(told: Mapping[str, Told], shares: Sequence[float]) -> str:
    """Ours over each baseline, with intervals; below 1 ours is quicker."""
    ours = [one.multiples for one in told[OURS].values()]
    rows = [
        [name, *map(str, ratio(ours, [one.multiples for one in each.values()]))]
        for name, each in told.items()
        if name in BASELINES
    ]
    return table(["ours over", *(f"{share:.0%}" for share in shares)], rows)


def draw(told: Mapping[int, Mapping[str, Told]], path: Path) -> None:
    """What share of all targets is reached in which multiple of the limit, a panel per number of workers."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(told) + 3, 4), dpi=150, layout="constrained")
    panels = figure.subplots(1, len(told), sharey=True, squeeze=False)[0]
    for (workers, methods), axes in zip(told.items(), panels, strict=True):
        names = [name for name in methods if name in BASELINES]
        for place, name in enumerate([*names, *(name for name in methods if name == OURS)]):
            ours = name == OURS
            colour = _OURS_COLOUR if ours else _COLOURS[place % len(_COLOURS)]
            style = "-" if ours else _STYLES[place // len(_COLOURS)]
            pooled = np.sort(np.concatenate([(one.seconds / one.limits).ravel() for one in methods[name].values()]))
            shares, width = np.arange(1, len(pooled) + 1) / len(pooled), 2.4 if ours else 1.2
            axes.step(pooled, shares, color=colour, linestyle=style, linewidth=width, label=name)
        axes.set(xscale="log", xlim=(0.5, 30), ylim=(0, 1), xlabel="multiple of the quickest recorded run")
        axes.set_title(f"{workers} worker{'s' * (workers > 1)}", loc="left", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#e8ebee", linewidth=0.8)
    panels[0].set_ylabel("share of targets reached, over tasks and seeds", fontsize=8)
    panels[-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=8, frameon=False)
    figure.savefig(path)


def _cell(mean: float, never: int) -> str:
    return f"{mean:.2f}" + f" ({never})" * bool(never)
