"""Whether training and dev are annotated by one convention, and what plain scoring makes of it if they are not."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from glosstune.results.reading.epoch_metrics import PLAIN
from glosstune.trainables.corpora.files.conventions import CONVENTIONS
from glosstune.trainables.corpora.utterance import Utterance
from glosstune.trainables.ctc.rules import RULES, ScoringRule

# Of the glosses in training, how many a clean-up changes where annotations are raw; of dev's at most a tenth of that.
_RAW, _CLEAN = 0.01, 0.1
# Told where no rule is set, of corpora whose glosses look as if it were theirs.
_SUGGESTED = ("phoenix2014", "phoenix2014t")


def compare_conventions(utterances: Sequence[Utterance], rule: ScoringRule) -> dict[str, Any]:
    """What a rule changes in the annotations of training and not in those of dev.

    Returns:
        ``rule`` and ``described``, what is set; ``raw by`` the rule that training is raw by and dev is not, None where
        both are alike; with it ``changed``, the share of places in training whose gloss it changes or drops, and
        ``floor``, the plain WER of a recogniser that writes the raw annotations of training without a fault: theirs
        against what the rule makes of them.
    """
    told: dict[str, Any] = {"rule": rule.name, "described": rule.described, "raw by": None}
    names = _SUGGESTED if rule.name == PLAIN else (rule.name,) * (rule.name in CONVENTIONS)
    splits = {split: [u.glosses for u in utterances if u.split == split] for split in ("train", "dev")}
    counts = {split: Counter(gloss for own in glosses for gloss in own) for split, glosses in splits.items()}
    for name in names:
        train, dev = (_changed(RULES[name], counts[split]) for split in ("train", "dev"))
        if train >= _RAW and dev <= _CLEAN * train:
            counted = RULES[PLAIN].count(map(RULES[name].output, splits["train"]), splits["train"])
            if not counted.glosses:  # none of them is one
                continue
            return told | {"raw by": name, "changed": train, "floor": counted.rates.wer}
    return told


def _changed(rule: ScoringRule, counts: Mapping[str, int]) -> float:
    """Share of places whose gloss a rule changes or drops."""
    changed = sum(count for gloss, count in counts.items() if rule.reference([gloss]) != [gloss])
    return changed / max(1, sum(counts.values()))
