"""What leaves the plateau: pretraining, freezing and conditioning, crossed: python benchmarks/plateau.py [--short]

The teacher of the default sweep, one learning rate for all, an equal number of epochs, three seeds (each with its own
pretraining). WER is that of the multi-signer dev split after each epoch. Prints a table, draws ``--figure``.
"""

import argparse
import random
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch

from glosstune.search import load_sweep, with_weights
from glosstune.trainables import TrainingSession
from glosstune.trainables.corpora import pack_corpus

PLAIN = "{pose: 1, hands: 1, face: 1, shape: 1, velocity: 1, acceleration: 1, position: 1}"
INPUTS = {
    "conditioned": [],
    "standardised only": ["corpus.noise_floor=1e-6", f"corpus.gains={PLAIN}"],
}
ARMS = {
    "from scratch": "strategy: baseline",
    "pretrained, all at once": "strategy: full-finetune",
    "pretrained, 4 stages": "strategy: progressive, unfreeze_stages: 4",
    "frozen until mixed_3b": "strategy: fine-tune, freeze_until: mixed_3b",
    "frozen until mixed_4b": "strategy: fine-tune, freeze_until: mixed_4b",
    "frozen until mixed_4f": "strategy: fine-tune, freeze_until: mixed_4f",
    "frozen until mixed_5b": "strategy: fine-tune, freeze_until: mixed_5b",
    "frozen until mixed_5c": "strategy: feature-extraction, freeze_until: mixed_5c",
    "frozen until lstm": "strategy: feature-extraction, freeze_until: lstm",
}
COLOURS = ("#8c96a0", "#ee6677", "#228833", "#fde0a6", "#fbc26a", "#f59e3c", "#d97b1f", "#a8560f", "#6e3508")
SHORT = ["corpus.sentences=24", "corpus.signers=[ase, gsg, psr]", "model.width=0.25", "pretraining.steps=9"]

Job = tuple[str, str, int]


def run(job: Job, overrides: Sequence[str]) -> list[dict[str, float]]:
    """Metrics of every epoch of one arm."""
    torch.set_num_threads(1)
    arm, conditioning, seed = job
    space = f"space={{{ARMS[arm]}, learning_rate: 7e-4, warmup_epochs: 1, dropout: 0.1}}"
    seeds = [f"training.seed={seed}", f"pretraining.seed={seed}"]
    scratch = ["pretrained=null"] if arm == "from scratch" else []
    sweep = load_sweep(None, [space, "search.start_points=[]", *seeds, *INPUTS[conditioning], *scratch, *overrides])
    corpus = pack_corpus(sweep.corpus)
    # Each job asks; the first one makes the weights and the others wait for its file.
    sweep = with_weights(sweep, corpus, lambda line: None)
    constants = sweep.space.sample(random.Random(seed))
    session = TrainingSession(sweep.trial_settings(constants), corpus)
    return [session.run_epoch() for _ in range(sweep.training.epochs)]


def draw(curves: dict[Job, list[dict[str, float]]], path: Path) -> None:
    """A panel for each input: mean WER over seeds of every arm, epoch by epoch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), dpi=150, layout="constrained")
    for axes, conditioning in zip(figure.subplots(1, 2, sharey=True), INPUTS, strict=True):
        for arm, colour in zip(ARMS, COLOURS, strict=True):
            runs = [epochs for (name, given, _), epochs in curves.items() if (name, given) == (arm, conditioning)]
            means = [statistics.mean(epoch["wer"] for epoch in epochs) for epochs in zip(*runs, strict=True)]
            axes.plot(range(1, len(means) + 1), means, color=colour, linewidth=1.8, label=arm)
        axes.set_title(f"{conditioning} input", loc="left", fontsize=9)
        axes.set_xlabel("epoch", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.set_ylim(0, 1.1)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e8ebee", linewidth=0.8)
        axes.locator_params(axis="x", integer=True)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize=7.5, frameon=False, title="WER on dev")
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="check that it runs")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--figure", type=Path, help="PNG to draw")
    options = parser.parse_args()
    overrides, seeds = [f"training.epochs={options.epochs}"], range(options.seeds)
    if options.short:
        overrides, seeds = ["training.epochs=2", *SHORT], range(1)
    # In this order the two processes pretrain at the same time, each for its input.
    jobs = [(arm, conditioning, seed) for seed in seeds for arm in ARMS for conditioning in INPUTS]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        futures = {job: pool.submit(run, job, overrides) for job in jobs}
        curves = {}
        for number, (job, future) in enumerate(futures.items(), start=1):
            curves[job] = future.result()
            arm, conditioning, seed = job
            last = curves[job][-1]
            print(f"{number}/{len(jobs)} {arm}, {conditioning}, seed {seed}: {last['wer']:.1%}", flush=True)
    last_epoch = len(next(iter(curves.values())))
    marks = (max(1, last_epoch // 2), last_epoch)
    heads = [f"{conditioning}, epoch {mark}" for conditioning in INPUTS for mark in marks]
    print(f"\n| | trainable | s an epoch | {' | '.join(heads)} |\n{'|---' * (3 + len(heads))}|")
    for arm in ARMS:
        cells = []
        for conditioning in INPUTS:
            runs = [curves[arm, conditioning, seed] for seed in seeds]
            for mark in marks:
                rates = [epochs[mark - 1]["wer"] for epochs in runs]
                cells.append(f"{statistics.mean(rates):.1%} ({min(rates):.1%} to {max(rates):.1%})")
        epochs = curves[arm, "conditioned", 0]
        sizes = dict.fromkeys(epoch["trainable_params"] for epoch in (epochs[0], epochs[-1]))
        size = " to ".join(f"{count:,.0f}" for count in sizes)
        seconds = statistics.median(epoch["epoch_s"] for epoch in epochs)
        print(f"| {arm} | {size} | {seconds:.1f} | {' | '.join(cells)} |")
    if options.figure:
        draw(curves, options.figure)


if __name__ == "__main__":
    main()
