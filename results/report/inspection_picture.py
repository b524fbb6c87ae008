"""Draw what an inspection of a corpus saw."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glosstune.results.report.curves import INK, MUTED, OTHERS, PALETTE, picture_format, save_picture, style_axes
from glosstune.spaces.errors import SettingError


def draw_inspection(seen: Mapping[str, Any], path: Path | str) -> None:
    """Write a PNG of 1200 x 900 pixels, or a PDF: lengths, what CTC cannot align, what blocks tell and weigh.

    Args:
        seen: ``Inspection.to_mapping()``, or the same read from JSON.
        path: ends in .png or .pdf.

    Raises:
        SettingError: another ending, or no utterance could be used.
        FolderError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    picture_format(path)  # which refuses another ending before anything is drawn
    if not seen["blocks"]:
        raise SettingError("no utterance could be used, so there is nothing to draw", key="--picture")
    figure = Figure(figsize=(8, 6), dpi=150, facecolor="white", layout="constrained")
    lengths, strides, told, loud = figure.subplots(2, 2).flat
    lengths.hist(seen["lengths"], bins=min(30, max(5, len(seen["lengths"]) // 5)), color=PALETTE[0])
    style_axes(lengths, f"Frames of {len(seen['lengths'])} utterances", "y")
    names = [str(stride) for stride in seen["ctc"]]
    bars = strides.bar(names, [100 * each["infeasible"] for each in seen["ctc"].values()], color=PALETTE[1])
    strides.bar_label(bars, fmt="%.0f %%", fontsize=7.5, color=INK)
    strides.set_ylim(0, 110)
    strides.set_xlabel("total time stride of the model", fontsize=8, color=MUTED)
    style_axes(strides, "Utterances that CTC cannot align, %", "y")
    labels = [f"{block['part']} {block['channel']}" for block in seen["blocks"]]
    places = range(len(labels))
    told.barh(places, [100 * block["explained"] for block in seen["blocks"]], color=PALETTE[2], label="by glosses")
    told.barh(
        places, [100 * block["by chance"] for block in seen["blocks"]], color=OTHERS, height=0.3, label="by chance"
    )
    told.legend(fontsize=7.5, frameon=False, labelcolor=INK)
    loud.barh(places, [100 * block["share of input"] for block in seen["blocks"]], color=PALETTE[0])
    for axes, heading in ((told, "Variance explained, %"), (loud, "Share of what enters the model, %")):
        axes.set_yticks(list(places), labels)
        axes.invert_yaxis()
        style_axes(axes, heading, "x")
    save_picture(figure, path)
