"""Epochs with frozen layers that run once, against the same without: python benchmarks/activation_cache.py [--short]

The teacher of full width on the embedded corpus, on one thread, an epoch with its scoring. Frozen until a layer, from
what the frozen layers have given once and with them at each step, and trained as a whole, take turns; ratios are the
median over rounds.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch
from suite import Ratio, write_ratios

from glosstune.search import load_sweep
from glosstune.trainables import TrainingSession
from glosstune.trainables.corpora import pack_corpus
from glosstune.trainables.settings import TrialSettings

AIMED = "mixed_5c"


def session_for(layer: str | None, activation_cache: bool, cache: Path, *, short: bool) -> TrainingSession:
    """A trial that trains from a layer on, after its first epoch; None trains all."""
    small = ["corpus.sentences=24", "corpus.signers=[ase, gsg, psr]"] if short else []
    sweep = load_sweep("teacher", ["pretrained=null", "space={strategy: baseline}", *small])
    settings = TrialSettings.model_validate(
        {
            "model": sweep.model.model_copy(update={"width": 0.25 if short else 1.0}),
            "corpus": sweep.corpus,
            "training": sweep.training,
            "tuned": {"freeze_until": layer, "learning_rate": 1e-3},
            "freezing": {"allow_random_frozen": True},
            # Not named where it is on: profiles.py also runs on versions that do not know it.
            **({} if activation_cache else {"activation_cache": False}),
        }
    )
    corpus = pack_corpus(settings.corpus)
    here = settings.model_copy(update={"corpus": settings.corpus.model_copy(update={"cache": cache})})
    session = TrainingSession(here, corpus, device=torch.device("cpu"))
    started = time.perf_counter()
    session.run_epoch()
    kind = "whole" if layer is None else f"until {layer}, {'cached' if activation_cache else 'uncached'}"
    print(f"first epoch, {kind}: {time.perf_counter() - started:.2f} s", flush=True)
    return session


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="only shows that it runs")
    parser.add_argument("--json", type=Path, help="file for all figures")
    options = parser.parse_args()
    torch.set_num_threads(1)
    layers = ["mixed_5c"] if options.short else ["mixed_4f", "mixed_5c", "lstm"]
    rounds = 1 if options.short else 5
    found: list[Ratio] = []
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        whole = session_for(None, True, cache, short=options.short)
        for layer in layers:
            cached, uncached = (session_for(layer, on, cache, short=options.short) for on in (True, False))
            seconds: dict[str, list[float]] = {"cached": [], "uncached": [], "whole": []}
            for _ in range(rounds):
                for name, session in (("cached", cached), ("uncached", uncached), ("whole", whole)):
                    seconds[name].append(session.run_epoch()["epoch_s"])
            size = sum(file.stat().st_size for file in cache.glob("activations/store-*/*.f16")) / 2**20
            assert size, "nothing was kept"
            print(f"{layer}: {size:.0f} MB kept for this layer and those before it")
            aims = ("ratio >= 2", "ratio >= 4") if layer == AIMED else ("", "")
            told = f"an epoch frozen until {layer}"
            found += [
                Ratio(
                    f"{told}, against the same from what is kept", "s", seconds["uncached"], seconds["cached"], aims[0]
                ),
                Ratio(
                    f"an epoch of all layers, against {told} from what is kept",
                    "s",
                    seconds["whole"],
                    seconds["cached"],
                    aims[1],
                ),
            ]
    write_ratios(options.json, found)


if __name__ == "__main__":
    main()
