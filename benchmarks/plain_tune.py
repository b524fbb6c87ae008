"""The default sweep against Ray Tune with a function of one's own: python benchmarks/plain_tune.py [--short]

Both search the space of the packaged teacher.yaml from the same pretrained weights, on a Ray that runs, on two
processors, until a trial is below 30 % WER on dev, or 15 minutes have passed. The other side is what Ray's
documentation shows for PyTorch: a function that builds model, DataLoader and optimiser, trains, and reports each epoch
with a checkpoint, searched by OptunaSearch and ASHAScheduler, here with the rungs of the sweep. It is given this
project's models, precision, freezing and conditioning of features. Each of our sweeps begins with an empty activation
cache. Seconds are those of ``launch`` and of ``Tuner.fit``. Whether the default sweep draws near what other sweeps knew
(``search.prior``) was decided on seeds 0 to 3.
"""

import argparse
import os
import shutil
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # a cluster of this machine alone
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")

import ray
import torch
from live_sweeps import Ending, Epochs, measure, run_ours
from ray import tune
from replay.contestants import with_settings
from replay.stock import Stock
from suite import Ratio, write_ratios
from torch import nn
from torch.utils.data import DataLoader

from glosstune.models import build_model, load_pretrained
from glosstune.search import Sweep, load_sweep, with_weights
from glosstune.spaces import STRATEGIES
from glosstune.trainables import greedy_decode, word_error_rate
from glosstune.trainables.batches.batching import Batch, collate
from glosstune.trainables.batches.conditioning import Conditioning
from glosstune.trainables.batches.precision import autocast
from glosstune.trainables.corpora import pack_corpus
from glosstune.trainables.training.thawing import thaw_epochs, thaw_for

WORKERS = 2
LIMIT_S = 900
SHORT = ["model.width=0.25", "corpus.sentences=24", "corpus.signers=[ase, gsg, psr]", "pretraining.steps=20"]


def train(config: dict[str, Any], sweep: Sweep) -> None:
    """A trial as one writes it for Ray Tune."""
    torch.set_num_threads(1)
    settings = sweep.settings_of(config["configuration"])
    training, tuned = settings.training, settings.tuned
    torch.manual_seed(sweep.search.seed)
    corpus = pack_corpus(settings.corpus)
    conditioning = Conditioning.of_corpus(corpus, settings.corpus)

    def collated(rows: list[int]) -> tuple[Batch, list[torch.Tensor]]:
        targets = [torch.tensor(corpus.vocabulary.encode(corpus.glosses(row))) for row in rows]
        return collate(corpus, rows, conditioning), targets

    dev_rows = corpus.rows("dev")
    loader = DataLoader(corpus.rows("train"), training.batch_size, shuffle=True, collate_fn=collated)
    dev = DataLoader(dev_rows, training.batch_size, collate_fn=lambda rows: collate(corpus, rows, conditioning))
    classes = len(corpus.vocabulary)
    model = build_model(vocabulary_size=classes, dropout=tuned.dropout, seed=0, **settings.model.model_dump())
    if STRATEGIES[tuned.strategy].pretrained:
        assert settings.pretrained is not None
        load_pretrained(model, settings.pretrained, vocabulary=corpus.vocabulary.glosses)
    thawed = thaw_epochs(model, settings)
    optimiser = torch.optim.AdamW(model.parameters(), settings.learning_rate, weight_decay=training.weight_decay)
    warmup = max(1, tuned.warmup_epochs * len(loader))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(1.0, (step + 1) / warmup))
    for epoch in range(training.epochs):
        started = time.perf_counter()
        thaw_for(model, epoch, thawed, ())
        model.train()
        for batch, targets in loader:
            with autocast(torch.device("cpu"), training.precision):
                log_probs, lengths = model(batch.features, batch.lengths)
            sizes = torch.tensor([len(target) for target in targets])
            loss = nn.functional.ctc_loss(log_probs, torch.cat(targets), lengths, sizes, zero_infinity=True)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), training.clip_norm)
            optimiser.step()
            schedule.step()
        model.eval()
        decoded: list[list[int]] = []
        with torch.no_grad(), autocast(torch.device("cpu"), training.precision):
            for batch in dev:
                decoded += greedy_decode(*model(batch.features, batch.lengths))
        references = [list(corpus.glosses(row)) for row in dev_rows]
        wer = word_error_rate(references, [corpus.vocabulary.decode(each) for each in decoded]).wer
        with tempfile.TemporaryDirectory() as folder:
            torch.save((model.state_dict(), optimiser.state_dict()), Path(folder) / "checkpoint.pt")
            metrics = {"wer": wer, "epoch_s": time.perf_counter() - started}
            tune.report(metrics, checkpoint=tune.Checkpoint.from_directory(folder))


def run_sweep(sweep: Sweep, folder: Path) -> Epochs:
    """Search with this project."""
    return run_ours(sweep, folder)[1]


def run_plain(sweep: Sweep, folder: Path) -> Epochs:
    """Search with Ray Tune's own parts."""
    stock = Stock(sweep)
    ending = Ending(sweep.search.target, sweep.search.samples * sweep.training.epochs)
    tune.Tuner(
        tune.with_resources(tune.with_parameters(train, sweep=sweep), {"cpu": 1}),
        tune_config=tune.TuneConfig(
            num_samples=sweep.search.samples,
            max_concurrent_trials=WORKERS,
            search_alg=stock.search,
            scheduler=stock.scheduler,
            time_budget_s=LIMIT_S,
        ),
        run_config=tune.RunConfig(name="ray", storage_path=str(folder), verbose=0, callbacks=[ending], stop=ending),
    ).fit()
    return ending.epochs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="only shows that it runs")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=4)
    parser.add_argument("--json", type=Path, help="file for all figures")
    options = parser.parse_args()
    limits = {"stop_at_target": True, "time_budget_min": LIMIT_S / 60}
    size = [*SHORT, "training.epochs=2", "halving.min_epochs=1", "search.samples=2"] if options.short else []
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        sweep = with_settings(load_sweep("teacher", [*size, f"corpus.cache={work / 'cache'}"]), "search", **limits)
        sweep = with_settings(sweep, "resources", concurrent=WORKERS)
        sweep = with_weights(sweep, pack_corpus(sweep.corpus), partial(print, flush=True))
        ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        sides = {"default": run_sweep, "plain": run_plain}
        took: dict[str, list[float]] = {side: [] for side in sides}
        for seed in range(options.first_seed, options.first_seed + (1 if options.short else options.seeds)):
            seeded = with_settings(sweep, "search", seed=seed)
            for side, run in sides.items():
                folder = work / f"{side}-{seed}"
                folder.mkdir()
                shutil.rmtree(work / "cache" / "activations", ignore_errors=True)
                begun = time.time()
                found = measure(seeded, begun, run(seeded, folder))
                took[side].append(found["wall_s"])
                print(f"{side}, seed {seed}: {found}", flush=True)
    told = "time to a WER below 30 % with Ray Tune and a function of one's own, against the default sweep"
    write_ratios(options.json, [Ratio(told, "s", took["plain"], took["default"])])


if __name__ == "__main__":
    main()
