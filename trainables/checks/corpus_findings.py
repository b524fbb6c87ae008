"""What an inspection says is wrong with a corpus, how sure that is, and what mends it."""

from collections.abc import Iterator

from glosstune.results.reading.epoch_metrics import PLAIN
from glosstune.trainables.checks.findings import Finding, Inspection, Sure, rank
from glosstune.trainables.checks.look_alikes import tell_look_alikes
from glosstune.trainables.checks.unknowns import judge_unknowns, transcripts_belong
from glosstune.trainables.layouts.blocks import CHANNELS, layout_override, names_of
from glosstune.trainables.layouts.following import MOST_TWICE

_LISTED = 5
GAINS = "corpus.gains=auto corpus.noise_floor=0.05"
_FEW_RELATED = 0.2  # correlation of frames with glosses


def judge_corpus(found: Inspection, time_stride: int) -> list[Finding]:
    """What keeps a model of this time stride from learning the corpus, worst first, and what cannot be told."""
    told = [*_judge_values(found), *_judge_layout(found), *_judge_files(found), *_judge_glosses(found)]
    if found.ctc:  # nothing is known of lengths where no file could be used
        told += [*_judge_lengths(found, time_stride), *_judge_input(found)]
    return rank([*told, *judge_unknowns(found)])


def _judge_files(found: Inspection) -> Iterator[Finding]:
    rows = sum(found.rows.values())
    if found.missing:
        share = len(found.missing) / rows
        told = f"{share:.1%} of {rows} rows have no file: {', '.join(found.missing[:_LISTED])}"
        mend = (
            "corpus.missing=skip leaves them out" if share < 0.2 else "extract their features, or correct corpus.root"
        )
        weight = min(1.0, (0.0 if found.skips else 0.3) + share)
        yield Finding("missing files", weight, told, mend, "certain", f"all {rows} rows")
    # In a wrong order of blocks nothing stands where shoulders are looked for: that is not the files' fault.
    expected = ("the layout has", *["shoulders"] * bool(found.layout.get("disagrees")))
    faults = [(name, fault) for name, fault in found.broken if not any(words in fault for words in expected)]
    if faults:
        share = len(faults) / found.sampled
        listed = "; ".join(f"{name}: {fault}" for name, fault in faults[:3])
        mend = "extract them again, or remove them"
        if all(fault.startswith("no frame shows the shoulders") for _, fault in faults):
            mend = "extract them again, or set the corpus.layout that they have; hands alone: hands-2d or hands-3d"
        told = f"{share:.1%} of those read: {listed}"
        rests = f"{found.sampled} utterances read"
        yield Finding("broken files", min(1.0, 0.3 + share), told, mend, "certain", rests)
    widths = {width: count for width, count in found.layout["widths"].items() if width != found.layout["width"]}
    if widths and len(widths) < len(found.layout["widths"]):
        listed = ", ".join(f"{count} of {width}" for width, count in widths.items())
        told = f"not all files hold {found.layout['width']} values a frame: {listed}"
        yield Finding("broken files", 0.8, told, "extract them all in the same way", "certain", _files(found))


def _judge_layout(found: Inspection) -> Iterator[Finding]:
    layout = found.layout
    cause = "blocks in the wrong order"
    if layout["widths"] and layout["width"] not in layout["widths"]:
        width = max(layout["widths"], key=lambda each: layout["widths"][each])
        told = f"files hold {width} values a frame, corpus.layout {names_of(layout['declared'])} has {layout['width']}"
        known, fits = layout.get("recognised"), layout.get("fits")
        mend = (
            f"corpus.layout={' or '.join(fits)}" if fits else "name the layout that the files have, or list its blocks"
        )
        mend = layout_override(known) if known else mend
        yield Finding("files of another width", 1.0, told, mend, "certain", _files(found))
    elif layout.get("disagrees"):
        told = (
            f"wrists, eyes and mouth, which stand in two blocks, are {layout['declared distance']:.2f} shoulder widths "
            f"apart as declared, {layout['distance']:.2f} as {names_of(layout['recognised'])}"
        )
        # A few points may lie together by chance; most of them do not.
        sure: Sure = "certain" if 2 * layout["pairs"] > layout["pairs of"] else "likely"
        rests = f"{layout['pairs']} of {layout['pairs of']} such points, in {layout['files compared']} files"
        yield Finding(cause, 0.95, told, layout_override(layout["recognised"]), sure, rests)
    seen = layout.get("behind the positions", [])
    named = [block for block in names_of(layout["declared"]) if block in CHANNELS] or list(CHANNELS[1:])
    if layout["width"] in layout["widths"] and seen and "unknown" not in seen and seen != named:
        best = layout["recognised"] if layout["disagrees"] else layout["declared"]
        body = [block for block in best if not isinstance(block, str) or block not in ("temporal", *CHANNELS)]
        told = f"behind the positions stand {', '.join(seen)}, declared are {', '.join(named)}"
        rests = f"all values behind the positions, in {layout['files compared']} files"
        yield Finding(cause, 0.96, told, layout_override([*body, *seen]), "certain", rests)


def _judge_values(found: Inspection) -> Iterator[Finding]:
    rests = f"{found.values['frames read']:,.0f} frames of {sum(found.layout['widths'].values())} files"
    if found.values["columns already standardised"] > 0.8:
        told = f"{found.values['columns already standardised']:.0%} of the positions that change have mean 0 and "
        mend = "give the positions as MediaPipe writes them; they are standardised in training"
        yield Finding("normalised twice", 0.8, told + "deviation 1", mend, "likely", rests)
    without = found.values.get("frames without hands", 0.0)
    if found.values["columns that never change"] == 1:
        told = "none of the values changes within a file"
        mend = "extract again: whatever wrote these files wrote constants"
        yield Finding("no features", 1.0, told, mend, "certain", rests)
    elif without > 0.5:
        told = f"no hand that moves in {without:.0%} of the frames"
        mend = "extract again with a lower detection confidence, or from larger frames"
        yield Finding("hands missing", 0.9, told, mend, "certain" if without > 0.95 else "likely", rests)
    if (twice := found.values.get("frames with one hand, written twice", 0.0)) > MOST_TWICE:
        told = f"in {twice:.0%} of the frames both hands are one, written twice: they stand in no fixed order"
        yield Finding("hands in any order", 0.6, told, "corpus.hands=followed", "likely", rests)


def _judge_glosses(found: Inspection) -> Iterator[Finding]:
    rests = f"all {sum(found.rows.values())} rows"
    for split in ("train", "dev"):
        if not found.rows.get(split):
            told = f"the {split} split is empty"
            yield Finding("too few utterances", 1.0, told, f"annotate {split} utterances", "certain", rests)
    if found.glosses["empty"]:
        share = found.glosses["empty"] / max(1, sum(found.rows.values()))
        told = f"{found.glosses['empty']} utterances have no gloss"
        mend = "annotate them, or leave them out: corpus.missing=skip"
        yield Finding("empty transcripts", min(1.0, 0.3 + share), told, mend, "certain", rests)
    scoring = found.scoring
    if scoring["raw by"] is not None and scoring["rule"] == PLAIN:
        told = f"the clean-up of {scoring['raw by']} changes {scoring['changed']:.1%} of training's glosses and few or "
        told += f"none of dev's: training's own, without a fault, would count as {scoring['floor']:.1%} WER"
        weight = min(0.6, 0.3 + scoring["floor"])
        yield Finding("two conventions", weight, told, f"corpus.scoring={scoring['raw by']}", "likely", rests)
    another_case = False
    if found.glosses["unknown in dev"] > 0.15:
        told = f"{found.glosses['unknown in dev']:.1%} of dev's glosses never occur in training, such as "
        told += ", ".join(found.glosses["unknown"])
        another_case = found.glosses["known in another case"] > 0
        mend = "write both splits in the same case" if another_case else "annotate both splits by the same conventions"
        weight = min(1.0, 0.5 + found.glosses["unknown in dev"])
        yield Finding("vocabulary mismatch", weight, told, mend, "certain", rests)
    alike = found.glosses["look-alikes"]
    if alike and not another_case:  # which says it of all of them
        rarer = sum(sum(group.values()) - max(group.values()) for group in alike)
        one, other, *_ = alike[0]
        told = f"{len(alike)} glosses are written in forms that look the same and are not: {tell_look_alikes(alike)}"
        mend = f"write one sign in one way, such as {other} as {one}; leave those that are two signs"
        weight = min(0.7, 0.3 + rarer / max(1, found.glosses["tokens"]))
        yield Finding("look-alike glosses", weight, told, mend, "likely", rests)
    train, often = found.rows.get("train", 0), found.glosses["tokens"] / max(1, found.glosses["vocabulary"])
    if train < 100 or often < 5:
        told = f"{train} training utterances, each gloss {often:.1f} times on average"
        mend = "add data, or start from pretrained weights: pretrained=auto"
        yield Finding("too few utterances", 0.7, told, mend, "certain", rests)


def _judge_lengths(found: Inspection, time_stride: int) -> Iterator[Finding]:
    infeasible, rests = found.ctc[time_stride]["infeasible"], f"{len(found.lengths)} utterances read"
    if infeasible > 0.02:
        better = [stride for stride in found.ctc if stride < time_stride and found.ctc[stride]["infeasible"] <= 0.02]
        told = f"{infeasible:.1%} of the utterances have more glosses than output frames at stride {time_stride}"
        mend = f"model.time_stride={max(better)}" if better else "cut long sentences, or raise the frame rate"
        yield Finding("time stride too large", min(1.0, 0.5 + infeasible), told, mend, "certain", rests)
    correlation = found.frames["correlation with glosses"]
    if found.sampled >= 40 and correlation < _FEW_RELATED and found.belonging and not transcripts_belong(found):
        own, others = found.belonging["explained"], found.belonging["by others"]
        told = f"longer utterances do not have more glosses (correlation {correlation:.2f}, usually above 0.6), and "
        told += f"glosses explain {own:.1%} of what hands show, those of other utterances {others:.1%}"
        mend = "check that each row of the annotations names its own file"
        rests += f", {found.belonging['segments']:.0f} glosses of training"
        yield Finding("labels shuffled", 0.85, told, mend, "likely" if own > 0 else "possible", rests)


def _judge_input(found: Inspection) -> Iterator[Finding]:
    hands = sum(block["share of input"] for block in found.blocks if block["part"] == "hands")
    noise = sum(
        block["share of input"]
        for block in found.blocks
        if block["part"] == "face" or block["channel"] == "acceleration"
    )
    shown = any(block["part"] == "hands" and block["varies"] for block in found.blocks)
    if not found.gains and noise > 0.7 and hands < 0.2 and shown:
        told = f"face and accelerations are {noise:.0%} of what enters the model, hands {hands:.0%}"
        mend = GAINS
        yield Finding("noise drowns the hands", 0.5, told, mend, "possible", f"{len(found.lengths)} utterances read")


def _files(found: Inspection) -> str:
    return f"{sum(found.layout['widths'].values())} files"
