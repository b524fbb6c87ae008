"""Draw how a model learned: loss, WER, learning rate and gradient norm over its epochs."""

from pathlib import Path

import pandas as pd

from glosstune.results.reading.loading import Results
from glosstune.results.report.curves import (
    INK,
    MUTED,
    PALETTE,
    TARGET,
    draw_level,
    picture_format,
    save_picture,
    style_epochs,
)
from glosstune.spaces.errors import FolderError


def draw_trial(results: Results, trial: int, path: Path | str, sweep: str | None = None) -> None:
    """Draw a trial's losses with the CTC floor, WER against the target, learning rate and gradient norm.

    Args:
        path: ends in .png or .pdf.
        sweep: its name; needed where there are several.

    Raises:
        SettingError: there is no such trial, or another ending.
        FolderError: the trial has not reported yet, or the file cannot be written.
    """
    picture_format(path)
    results.configuration(trial, sweep)  # refuses what is not there
    name = sweep if sweep is not None else str(results.sweeps["sweep"].iloc[0])
    epochs = results.epochs[(results.epochs["sweep"] == name) & (results.epochs["trial"] == trial)]
    if epochs.empty:
        raise FolderError(f"{name}: trial {trial} has not reported yet")
    row = results.trials[(results.trials["sweep"] == name) & (results.trials["trial"] == trial)].iloc[0]
    known = epochs[epochs["loss_below_floor"].lt(1) & epochs["train_loss"].notna()]
    floor = float((known["train_loss"] / (1 - known["loss_below_floor"])).median()) if len(known) else None
    best = "" if pd.isna(row["wer_best"]) else f", best WER {row['wer_best']:.1%}"
    title = f"trial {trial} of {name}: {row['status']} after {row['epochs']} epochs{best}"
    draw_learning(epochs, path, title, floor=floor, target=results.target)


def draw_learning(
    epochs: pd.DataFrame,
    path: Path | str,
    title: str,
    *,
    floor: float | None,
    target: float | None,
    scored: str = "dev",
) -> None:
    """Write a PNG of 1200 x 900 pixels, or a PDF, with four panels: losses, WER, learning rate, gradient norm.

    Args:
        epochs: of one training, with ``epoch``, ``train_loss``, ``dev_loss``, ``wer``, ``learning_rate`` and
            ``grad_norm``.
        path: ends in .png or .pdf.
        floor: CTC floor, nats a gloss.
        target: WER, a fraction.
        scored: what ``wer`` and ``dev_loss`` are of.

    Raises:
        SettingError: another ending.
        FolderError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    picture_format(path)  # which refuses another ending before anything is drawn
    figure = Figure(figsize=(8, 6), dpi=150, facecolor="white", layout="constrained")
    loss, wer, rate, norm = figure.subplots(2, 2).flat
    for axes, heading in (
        (loss, "Loss, nats a gloss"),
        (wer, f"WER on the {scored} set"),
        (rate, "Learning rate"),
        (norm, "Gradient norm before clipping"),
    ):
        style_epochs(axes, heading, last_epoch=int(epochs["epoch"].max()))
        if axes is not wer:
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
    second = scored if scored == "dev" else "the same, without dropout"
    for column, label, colour in (("train_loss", "training", PALETTE[0]), ("dev_loss", second, PALETTE[1])):
        loss.plot(epochs["epoch"], epochs[column], color=colour, label=label)
    if floor is not None:
        draw_level(loss, floor, f"CTC floor {floor:.2f}", MUTED, side="left")
        # The first epoch of a fresh model may lie so far above that it would flatten the rest.
        later = epochs[epochs["epoch"] > 1]
        highest = pd.Series([floor, later["train_loss"].max(), epochs["dev_loss"].max()]).max()  # without NaN
        loss.set_ylim(0, 1.1 * highest)
    loss.legend(fontsize=7.5, frameon=False, labelcolor=INK, loc="lower left")
    wer.plot(epochs["epoch"], epochs["wer"], color=PALETTE[0])
    wer.set_ylim(0, min(1.6, max(1.05, 1.05 * epochs["wer"].max())) if epochs["wer"].notna().any() else 1.05)
    if target is not None:
        draw_level(wer, target, f"target {target:.0%}", TARGET, side="left")
    rate.plot(epochs["epoch"], epochs["learning_rate"], color=PALETTE[0])
    norm.plot(epochs["epoch"], epochs["grad_norm"], color=PALETTE[0])
    for axes in (rate, norm):
        axes.set_ylim(bottom=0)
    figure.suptitle(title, fontsize=10, color=INK)
    save_picture(figure, path)
