"""Run a trial of a sweep again and compare its curve with the one in the record."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from glosstune.results import load_results
from glosstune.results.reading.names import SWEEP
from glosstune.results.reading.remote import as_local
from glosstune.search.config.changes import check_places
from glosstune.search.config.loading import load_sweep
from glosstune.search.config.rules import check_inputs
from glosstune.search.config.sections import AUTO
from glosstune.search.driver.weights import settle_gains, with_weights
from glosstune.search.storage.manifest import build_manifest, check_corpus, check_same, read_manifest
from glosstune.search.storage.sweep_folder import SweepFolder
from glosstune.spaces import SettingError
from glosstune.trainables import TrainingSession
from glosstune.trainables.corpora import pack_corpus
from glosstune.trainables.training.threads import trial_threads

COMPARED = ("train_loss", "wer")


def reproduce(
    place: Path | str,
    trial: int,
    say: Callable[[str], None],
    epochs: int | None = None,
    overrides: Sequence[str] = (),
) -> pd.DataFrame:
    """Train a trial again, from the seed, corpus and weights of its sweep, and say where it differs.

    On the machine's CPU that trained it, with as many threads, every epoch is the same; on another one, or on a GPU,
    curves part after some epochs.

    Args:
        say: hears of each epoch.
        epochs: at most so many; default all that the trial reported.
        overrides: where corpus, weights and teacher lie now, such as ``corpus.root=/data/phoenix``.

    Returns:
        a row an epoch: ``epoch``, and for ``train_loss`` and ``wer`` what was recorded, what it is now, and the
        difference.

    Raises:
        SettingError: there is no such trial, it reported nothing, or an override is of anything else.
        CorpusError, CheckpointError: corpus or weights are not those that the sweep had.
    """
    check_places(overrides, "a trial is trained again as it was")
    folder = as_local(place)
    results, sweep = load_results(folder), load_sweep(folder / SWEEP, overrides)
    configuration = results.configuration(trial)
    recorded = results.epochs[results.epochs["trial"] == trial].set_index("epoch")
    if recorded.empty:
        raise SettingError(f"trial {trial} reported nothing that could be compared", key="TRIAL")
    manifest = read_manifest(folder)
    corpus = pack_corpus(sweep.corpus)
    check_corpus(str(place), manifest, corpus, sweep.corpus)
    sweep = SweepFolder.at(place).with_inputs(settle_gains(sweep, corpus, say, known=manifest["gains"]), say)
    check_inputs(sweep)
    sweep = with_weights(sweep, corpus, say) if sweep.pretrained == AUTO else sweep
    check_same(manifest, sweep)
    for line in _differences(manifest, build_manifest(corpus, {}, [])):
        say(line)
    with trial_threads(sweep.resources.cpu):
        session = TrainingSession(sweep.settings_of(configuration), corpus)
        last = int(recorded.index.max())
        rows = []
        for epoch in range(1, (last if epochs is None else min(epochs, last)) + 1):
            metrics = session.run_epoch()
            row: dict[str, float] = {"epoch": epoch}
            for name in COMPARED:
                before = float(recorded[name].get(epoch, math.nan))
                now = metrics[name]
                # What was not finite then and is not now is the same.
                apart = now - before if math.isfinite(now) or math.isfinite(before) else 0.0
                row |= {f"{name}_then": before, f"{name}_now": now, f"{name}_difference": apart}
            rows.append(row)
            say(f"epoch {epoch}: WER {metrics['wer']:.1%}, then {row['wer_then']:.1%}")
    return pd.DataFrame(rows)


def _differences(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Lines about what may make curves part: versions and machines."""
    versions = then["versions"], now["versions"]
    found = [
        f"{name}: {versions[0].get(name)} then, {versions[1].get(name)} now"
        for name in sorted({*versions[0], *versions[1]})
        if versions[0].get(name) != versions[1].get(name)
    ]
    if then["machine"] != now["machine"]:
        found.append("another machine than the sweep ran on")
    return found
