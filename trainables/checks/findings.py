"""What was seen and what is wrong, as plain data: inspections and findings."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """Something about a corpus, a model or a recipe that keeps it from being learned.

    Attributes:
        cause: in a few words that stay the same from case to case.
        weight: how sure and how bad, 0 to 1; 1 makes learning impossible.
        evidence: what was seen.
        mend: what to do, an override where one does it.
    """

    cause: str
    weight: float
    evidence: str
    mend: str


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
        lengths: frames of each utterance that was read.
        frames: of an utterance, quantiles.
        glosses: of an utterance and of the vocabulary.
        scoring: the rule that errors are counted by, and whether training is annotated as dev is (see
            ``conventions.compare_conventions``).
        ctc: for each time stride the share of infeasible utterances and the floor, nats a gloss.
        blocks: for each channel and part the variance that glosses explain, by chance too, and its share of the input.
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
    lengths: list[int] = field(default_factory=list)
    frames: dict[str, float] = field(default_factory=dict)
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
