"""Tell what an inspection saw on a page."""

from collections.abc import Iterable
from typing import Any

from glosstune.results.text import align
from glosstune.search.config.sweep import Sweep
from glosstune.trainables.batches.gains import describe_gains
from glosstune.trainables.checks.findings import Finding, Inspection
from glosstune.trainables.layouts.blocks import LAYOUTS, describe_block, names_of
from glosstune.trainables.layouts.layout import FileLayout

_SHARES = ("explained", "by chance", "share of input")


def describe_inspection(sweep: Sweep, seen: Inspection) -> str:
    """The page: a line a topic, a table of blocks, and what is wrong, worst first."""
    corpus, layout = sweep.corpus, seen.layout
    rows = ", ".join(f"{count} {split}" for split, count in seen.rows.items())
    lines = [
        ("corpus", f"{corpus.root or corpus.kind} ({corpus.split})"),
        ("rows", f"{rows}; {len(seen.missing)} without a file"),
        *((topic, text) for topic, _, text in (note.partition(": ") for note in seen.notes)),
        ("read", f"{seen.sampled} of train and dev; {len(seen.broken)} cannot be used"),
        ("layout", f"declared {' | '.join(names_of(layout['declared']))}, {_recognised(layout)}"),
        ("values", _describe_values(seen.values)),
    ]
    if seen.unseen:
        shares = ", ".join(f"{name} {share:.1%}" for name, share in seen.unseen.items())
        lines.append(("not seen", shares + "; bridged in time" * (not layout.get("ready"))))
    if seen.still:
        shares = ", ".join(f"{name} in {share:.0%} of the files" for name, share in seen.still.items())
        lines.append(("never moves", shares))
    if seen.frames:
        spread = " / ".join(f"{seen.frames[name]:.0f}" for name in list(seen.frames)[:5])
        told = f"{seen.frames['a gloss']:.1f} a gloss; correlation of frames with glosses"
        lines.append(
            ("frames", f"{spread} (least to most, quarters), {told} {seen.frames['correlation with glosses']:.2f}")
        )
    glosses = seen.glosses
    lines.append(
        (
            "glosses",
            f"{glosses['vocabulary']} in {glosses['tokens']} places, {glosses['once']} of them once, "
            f"{glosses['an utterance']:.1f} an utterance; {glosses['unknown in dev']:.1%} of dev's are unknown",
        )
    )
    lines.append(("scoring", f"{seen.scoring['rule']}: {seen.scoring['described']}"))
    if seen.scoring["raw by"] == seen.scoring["rule"]:
        lines.append(("", _describe_raw(seen.scoring)))
    if seen.ctc:
        shares = ", ".join(f"{each['infeasible']:.1%} at stride {stride}" for stride, each in seen.ctc.items())
        floor = seen.ctc[sweep.model.time_stride]["floor"]
        lines.append(("CTC", f"cannot be aligned: {shares}; floor {floor:.2f} nats a gloss"))
        lines.append(("cost", _describe_cost(seen.cost)))
    if seen.gains:
        lines.append(("gains", f"auto, estimated from what was read: {describe_gains(seen.gains)}"))
    page = align(lines, left=[0, 1])
    if seen.blocks:
        table = [["block", *_SHARES]]
        for block in seen.blocks:
            cells = [f"{block[share]:.1%}" if block["varies"] else "-" for share in _SHARES]
            table.append([f"{block['part']} {block['channel']}", *cells])
        page += ["", *align(table, left=[0])]
        page += ["- : never changes"] * any(not block["varies"] for block in seen.blocks)
    return "\n".join([*page, "", *describe_findings(seen.findings)])


def _describe_values(values: dict[str, float]) -> str:
    shares = [f"{share:.0%} of {name}" for name, share in values.items() if name != "frames read"]
    return f"{values['frames read']:,.0f} frames; {', '.join(shares)}"


def _describe_cost(cost: dict[str, float]) -> str:
    hours = f"{cost['hours of signing at 25 frames a second']:.2g} hours of signing at 25 frames a second"
    packed = f"packed {cost['packed, GB']:.2g} GB, in {cost['packing, minutes']:.2g} minutes"
    memory = "memory: what the system can spare for its page cache"
    return f"{cost['utterances']:,.0f} utterances, {hours}; {packed}; {memory}"


def _describe_raw(scoring: dict[str, Any]) -> str:
    """What scoring takes care of where training is annotated otherwise than dev."""
    return (
        f"it takes care of {scoring['changed']:.1%} of training's glosses, raw where dev's are clean: training's own, "
        f"without a fault, would count as {scoring['floor']:.1%} WER plainly (raw against cleaned)"
    )


def describe_layouts() -> str:
    """A line for each named layout: values a frame of a file, values that are packed, and its blocks."""
    rows = [["corpus.layout", "values", "packed", "blocks of a file"]]
    for name in LAYOUTS:
        layout = FileLayout.of(name)
        rows.append([name, str(layout.width), str(layout.stored_width), " | ".join(map(describe_block, layout.blocks))])
    return "\n".join(align(rows, left=[0, 3]))


def describe_findings(findings: Iterable[Finding]) -> list[str]:
    """Three lines a finding with how sure it is, and one that says that there is none."""
    told, findings = [], list(findings)
    for one in findings:
        heading = f"{one.cause} ({one.sure})" if one.accuses else f"{one.sure}: {one.cause}"
        mend = "mend" if one.accuses else "to find out"
        told += [f"{heading}: {one.evidence}", f"    rests on: {one.rests_on}", f"    {mend}: {one.mend}"]
    if any(one.accuses for one in findings):
        return told
    return [*told, "nothing wrong was found" + " in what could be looked at" * bool(findings)]


def _recognised(layout: dict[str, Any]) -> str:
    if layout.get("recognised") is None:
        if "recognised" not in layout:
            return "made here"
        unsure = "which the values neither confirm nor deny"
        return unsure if layout["points twice"] else "in which no point stands twice: taken as declared"
    apart = f"{layout['distance']:.2f} shoulder widths between points that stand in two blocks"
    return (
        f"but the values say {' | '.join(names_of(layout['recognised']))}"
        if layout["disagrees"]
        else f"as the values say ({apart})"
    )
