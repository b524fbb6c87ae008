"""Say where the figures of several sweeps do not compare: another corpus, another split, another rule of scoring."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from glosstune.results.reading.loading import Results, as_mapping
from glosstune.results.text import printable

# Keys of ``corpus`` in a sweep's file that decide what is recognised, and which utterances dev has.
_CORPUS = ("kind", "root", "signers", "sentences", "targets")
_SPLIT = ("split", "fold", "split_seed")


def tell_differences(*several: Results) -> list[str]:
    """A line for each thing that keeps the WER of sweeps from being compared; none where nobody knows of any.

    Corpora are told apart by what the sweeps' files say of them, splits also by the number of their utterances;
    another layout or conditioning of the same utterances is none, nor is another place where they lie.
    """
    return [*_corpora(several), *filter(None, [tell_scorings(*several)])]


def tell_scorings(*several: Results) -> str:
    """What to say where the WER of sweeps is counted by different rules; empty where it is not."""
    sweeps = pd.concat([results.sweeps[["sweep", "scoring"]] for results in several]).dropna()
    if told := _differing(sweeps["sweep"], sweeps["scoring"]):
        return f"WER is counted by different rules and does not compare: {told}; wer_plain is of all the same"
    return ""


def _corpora(several: Sequence[Results]) -> Iterator[str]:
    of = [(results, str(sweep)) for results in several for sweep in results.sweeps["sweep"]]
    names = [sweep for _, sweep in of]
    files = [as_mapping(results.settings(sweep).get("corpus")) for results, sweep in of]
    packed = [as_mapping(results.manifest(sweep).get("corpus")) for results, sweep in of]
    if _agree(packed, "key"):  # which is made of the utterances and their split
        return
    moved = _agree(packed, "vocabulary_sha256")
    corpora = [*_keys(names, files, [key for key in _CORPUS if key != "root" or not moved])]
    splits = [*_keys(names, files, _SPLIT)]
    if not corpora and (told := _differing(names, map(_glosses, packed))):
        corpora = [f"the vocabulary has {told}"]
    if not corpora and not splits and (told := _differing(names, map(_counts, packed))):
        splits = [f"there are {told}"]
    for words, found in (("corpora", corpora), ("splits", splits)):
        if found:
            yield f"these sweeps are of different {words}, so their WER does not compare: {', and '.join(found)}"


def _agree(packed: Sequence[Mapping[str, Any]], key: str) -> bool:
    values = {str(corpus.get(key)) for corpus in packed}
    return len(values) == 1 and all(key in corpus for corpus in packed)


def _keys(names: Sequence[str], files: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> Iterator[str]:
    for key in keys:
        if told := _differing(names, [str(file[key]) if key in file else None for file in files]):
            yield f"corpus.{key} is {told}"


def _glosses(packed: Mapping[str, Any]) -> str | None:
    """How large the vocabulary is, with as much of its hash as tells two of a size apart."""
    if "vocabulary_sha256" not in packed:
        return None
    return f"{packed.get('vocabulary_size')} glosses ({str(packed['vocabulary_sha256'])[:6]})"


def _counts(packed: Mapping[str, Any]) -> str | None:
    counts = as_mapping(packed.get("utterances"))
    return ", ".join(f"{count} {split}" for split, count in counts.items()) or None


def _differing(sweeps: Iterable[str], values: Iterable[str | None]) -> str:
    """Which sweeps have which value, where they differ; sweeps of which nobody knows are left out."""
    frame = pd.DataFrame({"sweep": list(sweeps), "value": list(values)}).dropna()
    if frame["value"].nunique() < 2:
        return ""
    told = [f"{value} in {', '.join(own['sweep'].unique())}" for value, own in frame.groupby("value")]
    return printable("; ".join(told))
