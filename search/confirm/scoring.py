"""Score dev and test with the best checkpoints of a confirmation, utterance by utterance."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from glosstune.results import load_results
from glosstune.results.reading.epoch_metrics import PLAIN
from glosstune.results.reading.events import FINISHED
from glosstune.results.reading.names import BEST, TRIAL_LOG, TRIALS
from glosstune.results.reading.remote import fetch_file
from glosstune.search.config.sweep import Sweep
from glosstune.search.confirm.plan import Confirmation, beam_width
from glosstune.spaces.errors import FolderError
from glosstune.spaces.files.addresses import join
from glosstune.trainables import TrainingSession
from glosstune.trainables.corpora import pack_corpus
from glosstune.trainables.corpora.utterance import SPLITS
from glosstune.trainables.ctc.rules import RULES, ScoringRule

_TEXTS = ("reference", "hypothesis")


def score_parts(place: str, plan: Confirmation, parts: Mapping[str, Sweep]) -> pd.DataFrame:
    """A row an utterance of dev and test, scored with the best checkpoint of every trial after all have been trained.

    A trial that diverged counts with the best epoch that it had: that is what its configuration does.

    Args:
        place: of the confirmation, a folder or a URI.

    Raises:
        FolderError: a trial has not come to its end, so that what is compared would not be equal.
    """
    for name in parts:
        part = join(place, name)
        trials = load_results(part).trials
        ended = (trials["status"] == FINISHED) | (trials["stop_rule"] == "diverged").fillna(False)
        for trial in trials[~ended].to_dict("records"):
            why = trial["status"] if pd.isna(trial["error"]) else f"{trial['status']}: {trial['error']}"
            rule = f"trial {trial['trial']} {why}; every one has to finish before test is scored"
            log = f"see {TRIALS}/{trial['trial_id']}/{TRIAL_LOG}"
            raise FolderError(f"{part}: {rule} ({log}, mend it, remove {part} and confirm again)")
    return pd.DataFrame([row for name, sweep in parts.items() for row in _scored(place, name, sweep, plan)])


def _scored(place: str, name: str, part: Sweep, plan: Confirmation) -> Iterator[dict[str, Any]]:
    corpus = pack_corpus(part.corpus)
    signers = dict(zip(corpus.table["key"], corpus.table["signer"], strict=True))
    results = load_results(join(place, name))
    sweep_wer = {int(each["trial"]): float(each["wer"]) for each in plan.chosen}
    decoders = {"greedy": None, plan.decode: beam_width(plan.decode)}
    # The sweep's own first, and once where it is asked for again.
    rules = [RULES[name] for name in dict.fromkeys((corpus.scoring, plan.rules)) if name in RULES]
    for trial in results.trials.to_dict("records"):
        if pd.isna(trial["best_checkpoint"]):
            raise FolderError(f"{results.place}: trial {trial['trial']} has no {BEST}")
        configuration = results.configuration(trial["trial"])
        repeated = plan.number(configuration)
        session = TrainingSession.of_checkpoint(fetch_file(trial["best_checkpoint"]), corpus, [part.model.kind])
        for decoder, beam in decoders.items():
            for split in SPLITS[1:]:
                for row in session.score(split, beam).to_dict("records"):
                    told = {"trial": repeated, "sweep_wer": sweep_wer[repeated], "seed": configuration["seed"]}
                    told |= {"part": name, "split": split, "key": row["key"], "signer": signers[row["key"]]}
                    for rule in rules:
                        scoring = decoder if rule.name == PLAIN else f"{decoder}, {rule.name}"
                        yield {"scoring": scoring, **told, **_count(rule, *(row[each].split() for each in _TEXTS))}


def _count(rule: ScoringRule, reference: Sequence[str], hypothesis: Sequence[str]) -> dict[str, Any]:
    counts = rule.count([reference], [hypothesis])
    texts = (" ".join(glosses) for glosses in (rule.reference(reference), rule.output(hypothesis)))
    return {"glosses": counts.glosses, "errors": counts.errors, **dict(zip(_TEXTS, texts, strict=True))}


def find_broadcast(key: str) -> str:
    """What PHOENIX's ``11August_2010_Wednesday_tagesschau_default-3`` was cut from; any other key is its own."""
    cut = re.fullmatch(r"(\d+[A-Z][a-z]+_\d{4}_.+)-\d+", key)
    return cut[1] if cut else key
