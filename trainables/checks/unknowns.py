"""What an inspection cannot tell, because what it would compare is absent, constant or too little."""

from collections.abc import Iterator

from glosstune.trainables.checks.findings import Finding, Inspection, cannot_tell

# How far above what others' transcripts explain, in deviations, glosses of their own utterance lie where that is plain:
# embedded words have 6 to 21, sentences of CopyCat more, shuffled ones at most 4.
_PLAINLY = 4.5
_LEAST = 40  # utterances, below which lengths tell nothing


def judge_unknowns(found: Inspection) -> Iterator[Finding]:
    """Checks that could not be made."""
    yield from _order(found)
    seen, width = found.layout.get("behind the positions", []), found.layout["width"] in found.layout["widths"]
    if width and ((found.layout.get("ready") and not seen) or "unknown" in seen):
        told = "what stands there is no first or second difference of the positions, nor they themselves"
        find_out = "let corpus.layout declare positions alone; what follows from them is derived in training"
        yield cannot_tell("what stands behind the positions", told, find_out, _compared(found))
    if found.ctc:
        yield from _transcripts(found)


def transcripts_belong(found: Inspection) -> bool:
    """Whether glosses explain plainly more of the signing that they stand beside than of other utterances'."""
    own = found.belonging
    return bool(own) and own["explained"] - own["by others"] > max(_PLAINLY * own["deviation"], 1e-3)


def _order(found: Inspection) -> Iterator[Finding]:
    layout = found.layout
    if "recognised" not in layout or layout["width"] not in layout["widths"] or layout["disagrees"]:
        return
    blocks = layout["blocks"]
    if len(blocks) < 2:
        return
    find_out = "compare corpus.layout with what wrote the files: it is taken as declared"
    if not layout["points twice"]:
        told = f"none of {', '.join(blocks)} shows a point that another one shows too"
        yield cannot_tell("order of blocks", told, find_out, _compared(found))
        return
    silent = [name for name in found.unseen if name in blocks and name not in layout["compared"]]
    if layout["recognised"] is not None and not silent:
        return
    states = {name: _state(found, name) for name in silent}
    told = "points that stand in two blocks lie together neither as declared nor in another order"
    if any(states.values()):
        told = ", ".join(f"{name} {state}" for name, state in states.items() if state)
        told += f": nothing in {', '.join(silent)} can be compared with another block"
    elif silent:
        told = f"no point of {', '.join(silent)} was seen to move both there and in another block"
    yield cannot_tell("order of blocks", told, find_out, _compared(found))


def _state(found: Inspection, name: str) -> str:
    """Why a block takes no part in the comparison of blocks, as far as it is its own fault."""
    if found.unseen[name] == 1:
        return "was never seen"
    still = found.still.get(name, 0.0)
    if still + found.unseen[name] >= 1:
        return "never moves"
    return ""


def _transcripts(found: Inspection) -> Iterator[Finding]:
    """Whether each transcript stands beside its own recording."""
    correlation = found.frames["correlation with glosses"]
    if transcripts_belong(found) or (found.sampled >= _LEAST and correlation == correlation):
        return
    what, rests = "whether transcripts belong to their recordings", f"{len(found.lengths)} utterances read"
    told = "all utterances are as long or have as many glosses as each other" if correlation != correlation else ""
    if found.sampled < _LEAST:
        told, find_out = f"fewer than {_LEAST} utterances were read", f"glosstune inspect --sample {_LEAST} or more"
    else:
        told += ", and glosses explain no more of the signing than those of other utterances"
        find_out = "play some recordings beside their rows"
    yield cannot_tell(what, told, find_out, rests)


def _compared(found: Inspection) -> str:
    return f"{found.layout.get('files compared', found.sampled)} files"
