"""Say how good confirmed trials are and how sure that is: means over seeds, bootstrap intervals, paired differences."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from glosstune.results.reading.columns import CONFIRMATION_COLUMNS
from glosstune.results.reading.frames import build_frame

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


def summarise_confirmation(
    utterances: pd.DataFrame,
    clusters: Sequence[str] = (),
    resamples: int = 2000,
    seed: int = 0,
    own: str = "greedy",
) -> pd.DataFrame:
    """A row a way of scoring and configuration, in the order of the sweep's own figures, which chose them.

    ``dev_wer`` and ``test_wer`` are means over seeds, ``dev_sd`` and ``test_sd`` the standard deviations between
    them, NaN of one seed. ``optimism`` is ``dev_wer`` less what the sweep saw, which was the best of many trials, and
    NaN where the scoring is not the sweep's own; both are those of a trial's best epoch on dev, so that
    test is the figure to quote. ``test_low`` and ``test_high`` bound the 95 % bootstrap interval of ``test_wer``, which
    is too narrow where there are few seeds or clusters to draw from; ``behind`` is ``test_wer`` less that of the first
    row, with the interval of a paired bootstrap. Seeds are drawn as well as utterances; with one seed the intervals
    are about that one trained model, and say nothing of what another seed would do.

    Args:
        utterances: a row an utterance, trial, seed and way of scoring: ``scoring``, ``trial``, ``sweep_wer``, ``seed``,
            ``part``, ``split``, ``key``, ``glosses`` of the reference, ``errors``, and the columns of ``clusters``.
        clusters: from the widest to the narrowest, what is drawn before utterances are, since utterances of one
            signer are not independent; none draws utterances.
        resamples: of the bootstrap.
        own: the way of scoring that the sweep's own figures are of.

    Raises:
        ValueError: trials were scored on different utterances, or under different seeds.

    Source: Efron and Tibshirani 1993; Bisani and Ney 2004 for the paired bootstrap of word error rates.
    """
    rows: list[dict[str, Any]] = []
    for scoring, scored in utterances.groupby("scoring", sort=False):
        told = _summarise(scored, scoring == own, clusters, resamples, seed)
        rows += [{"scoring": scoring, **row} for row in told]
    return build_frame(rows, CONFIRMATION_COLUMNS)


def shorten_confirmation(summary: pd.DataFrame) -> pd.DataFrame:
    """The same for reading, WER in percent: means ± standard deviations, intervals as text."""

    def percent(value: float, sign: str = "") -> str:
        return "-" if pd.isna(value) else f"{100 * value:{sign}.1f}"

    rows = []
    for row in summary.to_dict("records"):
        dev, test = (
            percent(row[f"{split}_wer"]) + ("" if pd.isna(row[f"{split}_sd"]) else f" ± {percent(row[f'{split}_sd'])}")
            for split in ("dev", "test")
        )
        rows.append(
            {
                "scoring": row["scoring"],
                "trial": row["trial"],
                "seeds": row["seeds"],
                "dev in sweep, %": percent(row["sweep_wer"]),
                "dev, %": dev,
                "optimism": percent(row["optimism"], "+"),
                "test, %": test,
                "95 % interval": f"{percent(row['test_low'])} to {percent(row['test_high'])}",
                "behind the first": f"{percent(row['behind'], '+')} "
                f"({percent(row['behind_low'], '+')} to {percent(row['behind_high'], '+')})"
                if row["trial"] != summary["trial"].iloc[0]
                else "-",
            }
        )
    return pd.DataFrame(rows)


def _summarise(
    utterances: pd.DataFrame, own_scoring: bool, clusters: Sequence[str], resamples: int, seed: int
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    order = utterances[["trial", "sweep_wer"]].drop_duplicates().sort_values("sweep_wer", kind="stable")
    first: Counts | None = None
    for trial, sweep_wer in order.itertuples(index=False):
        own = utterances[utterances["trial"] == trial]
        seeds = own.groupby(["split", "seed"])[["errors", "glosses"]].sum()
        wers = seeds["errors"] / seeds["glosses"]
        counts = Counts.of(own[own["split"] == "test"], clusters)
        if first is None:
            first, drawn = counts, counts.draw(resamples, seed)
            drawn_first = counts.resample(drawn)
        elif not counts.matches(first):
            raise ValueError(f"trial {trial} was scored on other utterances or seeds than the first one")
        draws = counts.resample(drawn)
        point = float(wers["test"].mean())
        low, high = np.percentile(draws, [2.5, 97.5])
        behind_low, behind_high = np.percentile(draws - drawn_first, [2.5, 97.5])
        rows.append(
            {
                "trial": trial,
                "seeds": own["seed"].nunique(),
                "sweep_wer": sweep_wer,
                "dev_wer": wers["dev"].mean(),
                "dev_sd": wers["dev"].std(ddof=1),
                "optimism": wers["dev"].mean() - sweep_wer if own_scoring else math.nan,
                "test_wer": point,
                "test_sd": wers["test"].std(ddof=1),
                "test_low": low,
                "test_high": high,
                "behind": point - (rows[0]["test_wer"] if rows else point),
                "behind_low": behind_low,
                "behind_high": behind_high,
            }
        )
    return rows


@dataclass(frozen=True)
class Counts:
    """Errors of one configuration.

    Attributes:
        utterances: part, key, ``glosses`` of the reference and clusters, in an order of their own.
        seeds: in order.
        errors: (utterance, seed).
    """

    utterances: pd.DataFrame
    seeds: Sequence[int]
    errors: Floats
    clusters: Sequence[str]

    @classmethod
    def of(cls, rows: pd.DataFrame, clusters: Sequence[str]) -> "Counts":
        """From a row an utterance and seed."""
        named = ["part", "key", "glosses", *clusters]
        table = rows.pivot_table(index=named, columns="seed", values="errors", sort=True)
        return cls(table.index.to_frame(index=False), [int(seed) for seed in table.columns], table.to_numpy(), clusters)

    def matches(self, other: "Counts") -> bool:
        """Whether both are of the same utterances and seeds, as a paired bootstrap needs them."""
        return (
            self.seeds == other.seeds and self.utterances.equals(other.utterances) and not np.isnan(self.errors).any()
        )

    def draw(self, resamples: int, seed: int) -> tuple[Floats, Floats]:
        """How often each bootstrap sample holds each utterance, (resample, utterance), and each seed, (resample, seed).

        Seeds are drawn with replacement, then clusters, what is within each, utterances.
        """
        generator = np.random.default_rng(seed)
        everyone = _group(np.arange(len(self.utterances)), [self.utterances[name].to_numpy() for name in self.clusters])
        seeds, utterances = np.empty((resamples, len(self.seeds))), np.empty((resamples, len(self.utterances)))
        for place in range(resamples):
            chosen = generator.integers(len(self.seeds), size=len(self.seeds))
            seeds[place] = np.bincount(chosen, minlength=len(self.seeds))
            utterances[place] = np.bincount(_draw(everyone, generator), minlength=len(self.utterances))
        return utterances, seeds

    def resample(self, drawn: tuple[Floats, Floats]) -> Floats:
        """WERs of bootstrap samples; the same draws for two configurations pair them."""
        utterances, seeds = drawn
        errors = ((utterances @ self.errors) * seeds).sum(axis=1) / len(self.seeds)
        wers: Floats = errors / (utterances @ self.utterances["glosses"].to_numpy(float))
        return wers


def _group(rows: Rows, clusters: Sequence[npt.NDArray[np.object_]]) -> "Rows | list[Any]":
    """The rows of each cluster, of each cluster within it, and so on."""
    if not clusters:
        return rows
    names = clusters[0][rows]
    return [_group(rows[names == name], clusters[1:]) for name in np.unique(names)]


def _draw(group: "Rows | list[Any]", generator: np.random.Generator) -> Rows:
    chosen = generator.integers(len(group), size=len(group))
    if isinstance(group, list):
        return np.concatenate([_draw(group[place], generator) for place in chosen])
    return group[chosen]
