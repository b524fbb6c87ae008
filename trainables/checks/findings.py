"""What was seen and what is wrong, as plain data: inspections and findings."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

# How sure a finding is. ``certain``: counted in files and annotations, or computed of a model; whoever looks again
# sees the same. ``likely``: a measure lies where that of a sound corpus or curve hardly does, or a short training fails
# that one change mends. ``possible``: sound ones look like this too, now and then. ``cannot tell``: what would be
# compared is absent, constant or too little, so nothing is accused and nothing is called sound.
Sure = Literal["certain", "likely", "possible", "cannot tell"]
CANNOT_TELL: Sure = "cannot tell"
# What a finding's weight counts for where findings are ranked.
_TRUST: Mapping[Sure, float] = {"certain": 1.0, "likely": 0.9, "possible": 0.7, CANNOT_TELL: 0.0}
# A certain finding of this weight stops any recipe: to train one would only tell the same again, or not run.
_STOPS = 0.8


@dataclass(frozen=True)
class Finding:
    """Something about a corpus, a model or a recipe that keeps it from being learned, or of which nothing can be said.

    Attributes:
        cause: in a few words that stay the same from case to case; what was to be checked where it cannot be told.
        weight: how bad it is if it is so, 0 to 1; 1 makes learning impossible.
        evidence: what was seen.
        mend: what to do, an override where one does it; how to find out where it cannot be told.
        sure: see ``Sure``.
        rests_on: how much was looked at.
    """

    cause: str
    weight: float
    evidence: str
    mend: str
    sure: Sure
    rests_on: str

    @property
    def rank(self) -> float:
        """How bad and how sure, 0 to 1: what findings are ordered by."""
        return self.weight * _TRUST[self.sure]

    @property
    def accuses(self) -> bool:
        """Whether something is said to be wrong."""
        return self.sure != CANNOT_TELL

    @property
    def stops(self) -> bool:
        """Whether no recipe can learn as long as this is so."""
        return self.sure == "certain" and self.weight >= _STOPS


def cannot_tell(what: str, evidence: str, find_out: str, rests_on: str) -> Finding:
    """A check that could not be made."""
    return Finding(what, 0.0, evidence, find_out, CANNOT_TELL, rests_on)


def rank(findings: Iterable[Finding]) -> list[Finding]:
    """The likeliest and worst first, what cannot be told last."""
    return sorted(findings, key=lambda finding: -finding.rank)


@dataclass
class Inspection:
    """What was seen; plain values, ready for JSON.

    Attributes:
        rows: annotation rows of each split.
        missing: split and id of rows without a file.
        notes: what a user should know of how the corpus was read, as ``topic: text``.
        skips: whether such rows are to be left out.
        sampled: utterances that were read.
        broken: file and fault of those that cannot be used.
        layout: declared, recognised, and how far points that stand in two blocks are apart, in shoulder widths.
        values: shares of frames and columns with a property.
        unseen: share of frames in which the landmarks of each block were not seen.
        still: share of files in which the landmarks of a block are seen and never move; blocks of which that is so.
        lengths: frames of each utterance that was read.
        frames: of an utterance, quantiles.
        belonging: ``explained``, the share of variance that glosses explain of hands and other values that vary, and
            what transcripts of other utterances explain: ``by others`` in the mean, and its ``deviation``.
        glosses: of an utterance and of the vocabulary.
        scoring: the rule that errors are counted by, and whether training is annotated as dev is (see
            ``conventions.compare_conventions``).
        ctc: for each time stride the share of infeasible utterances and the floor, nats a gloss.
        blocks: for each channel and part the variance that glosses explain, by chance too, its share of the input, and
            whether it varies at all: of what does not, glosses explain nothing that could be told.
        gains: of each block, as ``corpus.gains=auto`` estimates them from what was read; empty where gains are given.
        cost: what packing will take.
        findings: worst first.
    """

    rows: dict[str, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    skips: bool = False
    sampled: int = 0
    broken: list[tuple[str, str]] = field(default_factory=list)
    layout: dict[str, Any] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    unseen: dict[str, float] = field(default_factory=dict)
    still: dict[str, float] = field(default_factory=dict)
    lengths: list[int] = field(default_factory=list)
    frames: dict[str, float] = field(default_factory=dict)
    belonging: dict[str, float] = field(default_factory=dict)
    glosses: dict[str, Any] = field(default_factory=dict)
    scoring: dict[str, Any] = field(default_factory=dict)
    ctc: dict[int, dict[str, float]] = field(default_factory=dict)
    blocks: list[dict[str, Any]] = field(default_factory=list)
    gains: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def to_mapping(self) -> dict[str, Any]:
        """For JSON, which knows no NaN: what is not known is None."""
        mapping: dict[str, Any] = _plain(asdict(self))
        return mapping


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value
