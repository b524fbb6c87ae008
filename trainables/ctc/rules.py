"""The rules by which hypotheses are scored: what is cleaned up, what is counted, and how it is aligned."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from glosstune.results.reading.epoch_metrics import PLAIN
from glosstune.trainables.corpora.files.conventions import CONVENTIONS, CleanUp, merge_repeats
from glosstune.trainables.ctc.scoring import ErrorCounts, count_plain, count_weighted


@dataclass(frozen=True)
class ScoringRule:
    """How outputs are scored against annotations.

    Attributes:
        name: what ``corpus.scoring`` calls it.
        described: in a few words.
        reference, output: what is counted of an annotation, and of what a recogniser writes.
        weighted: aligned as sclite does (see ``count_weighted``), else by plain edit distance.
        ignores_case: whether glosses that differ in case alone are the same.
    """

    name: str
    described: str
    reference: CleanUp = list
    output: CleanUp = list
    weighted: bool = False
    ignores_case: bool = False

    def count(self, references: Iterable[Sequence[str]], outputs: Iterable[Sequence[str]]) -> ErrorCounts:
        """Errors of what was written in all utterances, over what is counted of their annotations.

        Raises:
            ValueError: the numbers of references and outputs differ.
        """
        count = count_weighted if self.weighted else count_plain
        return count(
            [self._folded(self.reference(each)) for each in references],
            [self._folded(self.output(each)) for each in outputs],
        )

    def cleaned(self, table: pd.DataFrame) -> pd.DataFrame:
        """A table with columns ``reference`` and ``hypothesis``, joined by blanks, as they are counted."""
        if self.name == PLAIN:
            return table
        return table.assign(
            reference=[" ".join(self.reference(text.split())) for text in table["reference"]],
            hypothesis=[" ".join(self.output(text.split())) for text in table["hypothesis"]],
        )

    def unreachable(self, glosses: Collection[str], known: Iterable[str]) -> list[str]:
        """Glosses of annotations, in their order, that no known one, nor letters spelled in a row, are cleaned to."""
        reached = {part for gloss in known for part in self.output([gloss])}

        def reachable(gloss: str) -> bool:
            wanted, letters = self.reference([gloss]), gloss.split("+")
            return reached.issuperset(wanted) or (reached.issuperset(letters) and self.output(letters) == wanted)

        return [gloss for gloss in glosses if not reachable(gloss)]

    def _folded(self, glosses: list[str]) -> list[str]:
        return [gloss.lower() for gloss in glosses] if self.ignores_case else glosses


def _characters(glosses: Sequence[str]) -> list[str]:
    return list("".join(glosses))


def _by_convention(name: str, described: str, *, ignores_case: bool = False) -> ScoringRule:
    convention = CONVENTIONS[name]
    return ScoringRule(name, described, convention.reference, convention.output, True, ignores_case)


RULES: Mapping[str, ScoringRule] = {
    rule.name: rule
    for rule in (
        ScoringRule(PLAIN, "glosses as they are annotated, by plain edit distance"),
        _by_convention("phoenix2014", "as the corpus's own scripts and sclite count", ignores_case=True),
        _by_convention("phoenix2014-camgoz", "as the scripts of Camgoz et al. 2020 count"),
        _by_convention("phoenix2014t", "as the scripts of Camgoz et al. 2020 count"),
        # Papers score CSL-Daily by its glosses, repeats merged in outputs: TwoStreamNetwork (Chen et al. 2022) and
        # CorrNet (Hu et al. 2023) in their code. Characters are what they score translations by.
        ScoringRule("csl-daily", "glosses, as its papers count", output=merge_repeats, weighted=True),
        ScoringRule("characters", "characters of the glosses, by plain edit distance", _characters, _characters),
    )
}
