"""Learning curves for any configuration of a space, from a model of those that were recorded.

The WER of a CTC model stands at 1 for epochs and then falls, so averages of curves that fall at different times are
smeared. What is modelled is therefore a height that moves all the time: the WER once it has left the plateau, and
before that a value above it, the higher the less the loss has come down. Its curves, and those of the other
metrics, are reduced to their principal components, each of which a Gaussian process predicts.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from glosstune.search.scheduler.ranking import score_curve
from glosstune.spaces.parameters import Scalar

Array = NDArray[np.float64]
Configuration = Mapping[str, Scalar]
Curve = Sequence[Mapping[str, float]]

METRICS = ["wer", "train_loss", "loss_below_floor", "loss_below_floor_se", "blank_ratio", "cpu_s"]

_PARAMETERS = {
    "strategy": str,
    "freeze_until": str,
    "unfreeze_stages": int,
    "learning_rate": float,
    "warmup_epochs": int,
    "dropout": float,
    "temperature": float,
    "alpha": float,
}
_ARM = ("strategy", "freeze_until", "unfreeze_stages")
# Above it nothing is read into a WER: models that write next to nothing are there.
_PLATEAU_WER = 0.97
# How far the loss is below the CTC floor when the WER of most recorded curves leaves its plateau.
_TAKEOFF = 0.3


class Surrogate:
    """Recorded configurations answer with their own curve, others with one that the model predicts.

    Args:
        table: a row an epoch, as ``record_tasks.read_curves`` makes it; every curve has all epochs.

    Attributes:
        configurations: those that were recorded.
        epochs: of a curve.
        best_wer: lowest of any recorded epoch; no predicted one is lower.
        full_trial_s: processor seconds of a whole recorded curve, on average.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        table = table.sort_values(["configuration", "epoch"])
        self.epochs = int(table["epoch"].max())
        self.best_wer = float(table["wer"].min())
        self.full_trial_s = float(table.groupby("configuration")["cpu_s"].sum().mean())
        self._floor = float((table["train_loss"] / (1 - table["loss_below_floor"])).median())
        self._shares = _trained_shares(table)
        recorded = [(configuration_of(rows), _curve(rows)) for _, rows in table.groupby("configuration")]
        self.configurations = [configuration for configuration, _ in recorded]
        self._recorded = {_key(configuration): curve for configuration, curve in recorded}
        inputs = np.array([self._features(configuration) for configuration in self.configurations])
        below = _pivot(table, "loss_below_floor")
        self._height = _CurveModel.fit(inputs, _heights(_pivot(table, "wer"), below), components=4)
        self._below = _CurveModel.fit(inputs, below, components=4)
        self._blank = _CurveModel.fit(inputs, _pivot(table, "blank_ratio"), components=2)
        # The error of a loss that did not vary at all is 0, which has no logarithm.
        self._log_error = _CurveModel.fit(inputs, np.log(_pivot(table, "loss_below_floor_se") + 1e-6), components=2)
        self._log_cost = _CurveModel.fit(inputs, np.log(_pivot(table, "cpu_s")), components=2)

    def curve(self, configuration: Configuration) -> Curve:
        """The ``METRICS`` of every epoch; ``cpu_s`` are the processor seconds that it takes."""
        return self._recorded.get(_key(configuration)) or self.predict(configuration)

    def nearest(self, configuration: Configuration) -> Curve:
        """That of the recorded configuration that is nearest."""
        wanted = np.array(self._features(configuration))
        distances = [float(((np.array(self._features(each)) - wanted) ** 2).sum()) for each in self.configurations]
        return self._recorded[_key(self.configurations[int(np.argmin(distances))])]

    def predict(self, configuration: Configuration) -> Curve:
        """The same from the model, for a recorded configuration too."""
        inputs = np.array([self._features(configuration)])
        height = self._height.predict(inputs)
        below = np.minimum(self._below.predict(inputs), 1.0)
        columns = {
            "wer": np.where(height < _PLATEAU_WER, np.maximum(height, self.best_wer), 1.0),
            "train_loss": self._floor * (1 - below),
            "loss_below_floor": below,
            "loss_below_floor_se": np.exp(self._log_error.predict(inputs)),
            "blank_ratio": np.clip(self._blank.predict(inputs), 0.0, 1.0),
            "cpu_s": np.exp(self._log_cost.predict(inputs)),
        }
        return [{name: float(column[epoch]) for name, column in columns.items()} for epoch in range(self.epochs)]

    def _features(self, configuration: Configuration) -> list[float]:
        """Numbers of about the same range; strategies are near where they train as much of the same weights."""
        strategy = str(configuration.get("strategy", "full-finetune"))
        arm = tuple(configuration.get(name) for name in _ARM)
        return [
            float(np.log10(float(configuration["learning_rate"]))),
            float(configuration["warmup_epochs"]) / 3,
            float(configuration["dropout"]),
            float(strategy != "baseline"),  # all others start from pretrained weights
            float(strategy == "progressive"),
            # An arm that was not recorded counts as the mean one of its strategy.
            self._shares.get(arm, self._shares.get((strategy,), 1.0)),
            float(np.log2(float(configuration.get("temperature", 1.0)))) / 3,
            float(configuration.get("alpha", 0.0)),
        ]


def held_out_correlations(table: pd.DataFrame, epochs: Sequence[int], folds: int = 5) -> dict[int, float]:
    """Spearman correlation, by epoch, of the ranks of true and predicted curves that the model was not fitted to."""
    numbers = np.random.default_rng(0).permutation(table["configuration"].unique())
    scores: dict[int, list[tuple[float, float]]] = {epoch: [] for epoch in epochs}
    for fold in range(folds):
        held = table["configuration"].isin(numbers[fold::folds])
        model = Surrogate(table[~held])
        for _, rows in table[held].sort_values("epoch").groupby("configuration"):
            true, predicted = _curve(rows), model.predict(configuration_of(rows))
            for epoch in epochs:
                pair = (score_curve(curve[:epoch], "wer") for curve in (true, predicted))
                scores[epoch].append(tuple(pair))
    return {epoch: float(spearmanr(*zip(*pairs, strict=True)).statistic) for epoch, pairs in scores.items()}


@dataclass(frozen=True)
class _CurveModel:
    """Principal components of curves, and a Gaussian process for each."""

    mean: Array  # (epoch,)
    directions: Array  # (component, epoch)
    processes: Sequence[GaussianProcessRegressor]

    @classmethod
    def fit(cls, inputs: Array, curves: Array, components: int) -> Self:
        mean = curves.mean(axis=0)
        directions = np.linalg.svd(curves - mean, full_matrices=False)[2][:components]
        processes = []
        for amounts in ((curves - mean) @ directions.T).T:
            smooth = ConstantKernel() * Matern(np.ones(inputs.shape[1]), (0.05, 100.0), nu=2.5)
            process = GaussianProcessRegressor(
                smooth + WhiteKernel(0.01, (1e-4, 1.0)), normalize_y=True, n_restarts_optimizer=1, random_state=0
            )
            with warnings.catch_warnings():
                # A feature that says nothing of a component gets a length at its bound, as it should.
                warnings.simplefilter("ignore", ConvergenceWarning)
                processes.append(process.fit(inputs, amounts))
        return cls(mean, directions, processes)

    def predict(self, inputs: Array) -> Array:
        amounts = np.array([process.predict(inputs)[0] for process in self.processes])
        return self.mean + amounts @ self.directions


def _heights(wer: Array, below: Array) -> Array:
    """The WER, and on the plateau what lies above it by as much as the loss has yet to come down."""
    return np.where(wer < _PLATEAU_WER, wer, _PLATEAU_WER + np.maximum(0.0, _TAKEOFF - below))


def _trained_shares(table: pd.DataFrame) -> dict[tuple[Any, ...], float]:
    """The share of all weights that an arm of the space trains, averaged over the epochs; by strategy as well."""
    shares: dict[tuple[Any, ...], list[float]] = {}
    most = table["trainable_params"].max()
    for _, rows in table.groupby("configuration"):
        configuration, share = configuration_of(rows), float(rows["trainable_params"].mean() / most)
        for key in (tuple(configuration.get(name) for name in _ARM), (configuration.get("strategy", "full-finetune"),)):
            shares.setdefault(key, []).append(share)
    return {key: float(np.mean(values)) for key, values in shares.items()}


def configuration_of(rows: pd.DataFrame) -> Configuration:
    """That of the rows of one recorded trial."""
    first = rows.iloc[0]
    return {name: kind(first[name]) for name, kind in _PARAMETERS.items() if name in rows and pd.notna(first[name])}


def _curve(rows: pd.DataFrame) -> Curve:
    return rows[METRICS].astype(float).to_dict("records")


def _pivot(table: pd.DataFrame, metric: str) -> Array:
    """(configuration, epoch)"""
    return table.pivot(index="configuration", columns="epoch", values=metric).to_numpy(float)


def _key(configuration: Configuration) -> tuple[tuple[str, Scalar], ...]:
    return tuple(sorted(configuration.items()))
