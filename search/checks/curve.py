"""What the curve of a trial says is wrong with it."""

from collections.abc import Iterator

import pandas as pd

from glosstune.trainables.checks.findings import Finding, rank
from glosstune.trainables.checks.overfitting import LARGE_GRADIENT

_WINDOW = 3
_MARGIN = 0.05


def judge_curve(epochs: pd.DataFrame) -> list[Finding]:
    """Faults that show in the epochs of one trial, worst first.

    Args:
        epochs: in order, with the columns of ``results.epochs``; what is missing is not judged.
    """
    known = epochs.dropna(axis=1, how="all")
    return rank(_faults(known)) if len(known) >= _WINDOW else []


def _faults(epochs: pd.DataFrame) -> Iterator[Finding]:
    last = epochs.tail(_WINDOW)
    every, rests = f"{len(epochs)} epochs of the trial", f"the last {_WINDOW} of {len(epochs)} epochs of the trial"
    has = set(epochs.columns)
    stands = "wer" in has and bool((last["wer"] > 0.9).all())
    if {"blank_ratio", "insertion_rate", "deletion_rate"} <= has:
        # Who writes hardly anything leaves glosses out; an insertion there was a deletion before the swap.
        quiet = epochs[(epochs["blank_ratio"] > 0.9) & (epochs["insertion_rate"] > 0.5)]
        quiet = quiet[quiet["insertion_rate"] > 3 * quiet["deletion_rate"]]
        if len(quiet):
            row = quiet.iloc[0]
            told = (
                f"epoch {row['epoch']:.0f} is {row['blank_ratio']:.0%} blank and yet counts "
                f"{row['insertion_rate']:.0%} insertions and {row['deletion_rate']:.0%} deletions"
            )
            mend = "give the scorer the reference first, then the hypothesis"
            yield Finding("reference and hypothesis swapped", 0.95, told, mend, "likely", every)
            return
    # Every model writes blanks first; it has collapsed if its loss stays at the floor while it does.
    stuck = "loss_below_floor" not in has or last["loss_below_floor"].max() < _MARGIN
    if "blank_ratio" in has and stands and stuck and bool((last["blank_ratio"] > 0.95).all()):
        told = f"{last['blank_ratio'].iloc[-1]:.1%} of the output is blank at epoch {last['epoch'].iloc[-1]:.0f}"
        mend = "a lower space.learning_rate, weights to start from (pretrained), input conditioning (corpus.gains=auto)"
        yield Finding("blank collapse", 0.6, told, mend, "likely", rests)
    if {"train_loss", "dev_loss", "loss_below_floor"} <= has:
        best = epochs["dev_loss"].min()
        learned = last["loss_below_floor"].min() > 0.8 and ("wer" not in has or bool((last["wer"] > 0.3).all()))
        if learned and last["dev_loss"].min() > 5 * last["train_loss"].max():
            told = (
                f"training loss {last['train_loss'].iloc[-1]:.3f}, dev loss {last['dev_loss'].iloc[-1]:.2f} "
                f"after {best:.2f} at epoch {epochs.sort_values('dev_loss')['epoch'].iloc[0]:.0f}"
            )
            mend = "training.augment=speed+time-masks+rotation, a higher space.dropout, or more utterances"
            yield Finding("overfitting", 0.6, told, mend, "likely", every)
    if "nonfinite_steps" in has and bool((last["nonfinite_steps"] > 0).all()):
        told = f"{last['nonfinite_steps'].sum():.0f} steps of the last {_WINDOW} epochs were NaN or infinite"
        mend = "space.learning_rate a tenth of what it is"
        yield Finding("learning rate too high", 0.6, told, mend, "likely", rests)
    elif "grad_norm" in has and bool((last["grad_norm"] > LARGE_GRADIENT).all()):
        told = f"gradient norm {last['grad_norm'].iloc[-1]:.0f} before clipping"
        mend = "a lower space.learning_rate, or a longer space.warmup_epochs"
        yield Finding("learning rate too high", 0.6, told, mend, "likely", rests)
    if "loss_below_floor" in has and stands and last["loss_below_floor"].min() > 0.1:
        told = f"the loss has come {last['loss_below_floor'].iloc[-1]:.0%} below the floor and WER has yet to follow"
        mend = "a higher training.epochs, or a later halving.min_epochs"
        yield Finding("stopped too early", 0.4, told, mend, "possible", rests)
