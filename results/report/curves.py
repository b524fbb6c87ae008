"""Draw how the trials of a sweep learned: WER, and how far the training loss got below the CTC floor."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd

from glosstune.results.analysis.strategies import list_strategies
from glosstune.results.reading.epoch_metrics import by_scoring
from glosstune.results.reading.events import FAILED, FINISHED, STOPPED
from glosstune.results.reading.loading import Results
from glosstune.spaces.errors import SettingError
from glosstune.spaces.files.atomic import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#24292f"
MUTED = "#6b7580"
GRID = "#e8ebee"
OTHERS = "#8c96a0"
TARGET = "#b42318"
# Paul Tol's "bright" colours, which colour-blind readers tell apart too.
PALETTE = ("#4477aa", "#ee6677", "#228833", "#ccaa22", "#aa3377", "#66ccee")
END_MARKERS = {FINISHED: "o", STOPPED: "x", FAILED: "v"}
END_WORDS = {FINISHED: "finished", STOPPED: "stopped early", FAILED: "failed"}


def draw_curves(results: Results, path: Path | str) -> None:
    """Write a PNG of 1200 x 600 pixels, or a PDF, with a line a trial, coloured by sweep or else by strategy.

    Args:
        path: ends in .png or .pdf.

    Raises:
        FolderError: no trial has reported yet, or the file cannot be written.
        SettingError: another ending.
    """
    picture_format(path)  # which refuses another ending before anything is drawn
    # Imported here, so that who only reads results does not wait for it; and no pyplot, which is global state.
    from matplotlib.figure import Figure

    best = results.best
    colours = _choose_colours(results.trials)
    figure = Figure(figsize=(8, 4), dpi=150, facecolor="white", layout="constrained")
    wer_axes, loss_axes = figure.subplots(1, 2, width_ratios=(3, 2))
    wer, loss = f"WER on the dev set{by_scoring(results.scoring)}", "Training loss below the CTC floor"
    for axes, metric, heading in ((wer_axes, "wer", wer), (loss_axes, "loss_below_floor", loss)):
        style_epochs(axes, heading, last_epoch=int(results.epochs["epoch"].max()))
        for _, trial in results.trials.iterrows():
            is_best = (trial["sweep"], trial["trial"]) == (best["sweep"], best["trial"])
            name = trial["sweep"] if _by_sweep(results.trials) else trial.get("strategy")
            colour = colours.get(str(name), PALETTE[0] if is_best else OTHERS)
            _draw_trial(axes, results.epochs, trial, metric, colour, is_best)

    # WER may exceed 1; far beyond it there is nothing to see.
    wer_axes.set_ylim(0, min(1.6, max(1.05, 1.05 * results.epochs["wer"].max())))
    if results.target is not None:
        draw_level(wer_axes, results.target, f"target {results.target:.0%}", TARGET, side="left")
    _mark_best(wer_axes, best)
    # Every trial shows its best; the first epochs lie so far below that they would flatten the rest.
    lowest = results.epochs.groupby(["sweep", "trial"])["loss_below_floor"].max().min()
    loss_axes.set_ylim(min(-0.3, 1.1 * lowest), 1.02)
    draw_level(loss_axes, 0.0, "floor: ignores its input", MUTED, side="right")

    _explain_colours_and_ends(wer_axes, results.trials, colours)
    if wer_axes.get_legend_handles_labels()[0]:
        spacing = {"columnspacing": 1.3, "handlelength": 1.3, "handletextpad": 0.5}
        figure.legend(loc="outside lower center", ncols=9, fontsize=7.5, frameon=False, labelcolor=INK, **spacing)
    save_picture(figure, path)


def picture_format(path: Path | str) -> str:
    """The format that a file's ending stands for; SettingError if it is none of those that are drawn."""
    ending = Path(path).suffix.removeprefix(".").lower()
    if ending not in ("png", "pdf"):
        raise SettingError(f"{path}: must end in .png or .pdf", key="path")
    return ending


def save_picture(figure: "Figure", path: Path | str) -> None:
    """Write a figure whole, in the format of the ending, with a dollar in a name as a dollar: no formula is parsed."""
    from matplotlib import rc_context
    from matplotlib.text import Text

    form = picture_format(path)
    for artist in figure.findobj():
        if isinstance(artist, Text):
            artist.set_parse_math(False)
    with rc_context({"text.parse_math": False}):  # what is made only when it is drawn, as words beside ticks
        write_whole(path, lambda partial: figure.savefig(partial, format=form))


def _choose_colours(trials: pd.DataFrame) -> dict[str, str]:
    """Return a colour for each sweep, or of one sweep for each strategy; none where there is one, or too many."""
    names = trials["sweep"].unique().tolist() if _by_sweep(trials) else list_strategies(trials)
    return dict(zip(names, PALETTE, strict=False)) if 1 < len(names) <= len(PALETTE) else {}


def _by_sweep(trials: pd.DataFrame) -> bool:
    return bool(trials["sweep"].nunique() > 1)


def style_axes(axes: "Axes", heading: str, grid: Literal["x", "y"] = "y") -> None:
    """Axes without a frame, under a heading, with faint lines to read values by."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    axes.tick_params(labelsize=8, colors=MUTED, length=0)
    axes.grid(axis=grid, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_title(heading, loc="left", fontsize=9, color=INK)


def style_epochs(axes: "Axes", heading: str, last_epoch: int) -> None:
    """The same over epochs, with fractions as percentages."""
    style_axes(axes, heading)
    axes.set_xlim(0.8, last_epoch + max(0.4, 0.015 * last_epoch))  # room for the markers of the ends
    axes.set_xlabel("epoch", fontsize=8, color=MUTED)
    axes.locator_params(axis="x", integer=True)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")


def _draw_trial(axes: "Axes", epochs: pd.DataFrame, trial: pd.Series, metric: str, colour: str, is_best: bool) -> None:
    own = (epochs["sweep"] == trial["sweep"]) & (epochs["trial"] == trial["trial"])
    rows = epochs.loc[own, ["epoch", metric]].dropna()
    if rows.empty:
        return
    width, alpha = (2.4, 1.0) if is_best else (1.1, 0.5)
    axes.plot(rows["epoch"], rows[metric], color=colour, linewidth=width, alpha=alpha, zorder=3 + is_best)
    marker = END_MARKERS.get(trial["status"])  # a running trial has none
    axes.plot(rows["epoch"].iloc[-1], rows[metric].iloc[-1], color=colour, marker=marker, markersize=4, zorder=4)


def draw_level(axes: "Axes", level: float, label: str, colour: str, side: Literal["left", "right"]) -> None:
    """Draw a dashed line, labelled above it on the left or below it on the right.

    There curves that fall and curves that rise leave room.
    """
    left = side == "left"
    axes.axhline(level, color=colour, linewidth=1, linestyle=(0, (4, 3)), zorder=2)
    axes.annotate(
        label,
        (0 if left else 1, level),
        (2, 3) if left else (-2, -3),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha=side,
        va="bottom" if left else "top",
        fontsize=7.5,
        color=colour,
    )


def _mark_best(axes: "Axes", best: pd.Series) -> None:
    """Ring the best epoch; its words stand above the axes, where no number of curves can cross them."""
    epoch, wer = best["epoch_of_best"], best["wer_best"]
    axes.plot(epoch, wer, marker="o", markersize=8, markerfacecolor="white", markeredgewidth=1.8, color=INK, zorder=6)
    words = f"\N{WHITE CIRCLE} trial {best['trial']}: {wer:.1%} in epoch {epoch}"
    axes.set_title(words, loc="right", fontsize=8.5, fontweight="bold", color=INK)


def _explain_colours_and_ends(axes: "Axes", trials: pd.DataFrame, colours: dict[str, str]) -> None:
    """Give the legend an entry for each colour and each kind of end that the picture has."""
    for name, colour in colours.items():
        axes.plot([], [], color=colour, linewidth=2, label=name)
    for status, marker in END_MARKERS.items():
        if ((trials["status"] == status) & (trials["epochs"] > 0)).any():
            axes.plot([], [], color=MUTED, marker=marker, markersize=4, linestyle="none", label=END_WORDS[status])
