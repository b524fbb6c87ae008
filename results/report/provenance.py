"""Say what a report's figures are of: when, which corpus, which versions, which seeds."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from glosstune.results.reading.loading import Results, as_mapping
from glosstune.results.text import printable


def tell_provenance(results: Results) -> list[dict[str, str]]:
    """What is known of each sweep, by a word for it."""
    return [
        {word: printable(told) for word, told in _tell(results, sweep) if told}
        for sweep in results.sweeps.to_dict("records")
    ]


def _tell(results: Results, sweep: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    name = str(sweep["sweep"])
    settings, manifest = results.settings(name), results.manifest(name)
    corpus, packed = as_mapping(settings.get("corpus")), as_mapping(manifest.get("corpus"))
    yield "sweep", f"{name}, {sweep['folder']}"
    yield "ran", " to ".join(f"{time:%Y-%m-%d %H:%M}" for time in (sweep["began"], sweep["ended"]) if not pd.isna(time))
    utterances = as_mapping(packed.get("utterances"))
    parts = [corpus.get("kind"), corpus.get("root"), *(f"{n} {split}" for split, n in utterances.items())]
    if "vocabulary_size" in packed:
        parts.append(f"{packed['vocabulary_size']} glosses")
    yield "corpus", _joined(*parts)
    layout, fold = corpus.get("layout"), corpus.get("fold")
    yield "layout", layout if isinstance(layout, str) else ""
    yield (
        "split",
        _joined(corpus.get("split"), f"fold {fold}" if fold and corpus.get("split") == "unseen-signers" else None),
    )
    yield "scoring", "" if pd.isna(sweep["scoring"]) else sweep["scoring"]
    seeds = ((part, as_mapping(settings.get(part)).get("seed")) for part in ("training", "search"))
    yield "seed", _joined(*(f"{part} {seed}" for part, seed in seeds if seed is not None))
    versions = {"python": manifest.get("python"), **as_mapping(manifest.get("versions"))}
    yield "versions", _joined(*(f"{package} {version}" for package, version in versions.items() if version))
    commit = manifest.get("commit")
    yield "commit", str(commit) if commit else ""


def _joined(*parts: object) -> str:
    return ", ".join(str(part) for part in parts if part is not None)
