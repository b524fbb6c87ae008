"""Say which parameters mattered: Optuna's importances, and what trials reached by value of a parameter."""

import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from glosstune.results.analysis.metrics import Mode, best_of, check_mode
from glosstune.results.reading.frames import build_frame, name_parameters
from glosstune.results.reading.loading import Results
from glosstune.spaces.errors import SettingError

Evaluator = Literal["fanova", "ped-anova"]
EVALUATORS: tuple[Evaluator, ...] = ("fanova", "ped-anova")

IMPORTANCE_COLUMNS = {
    "parameter": "string",
    "importance": "float64",
    "trials": "int64",
    "among": "string",
    "evaluator": "string",
}

EFFECT_COLUMNS = {
    "parameter": "string",
    "value": "string",
    "low": "float64",
    "high": "float64",
    "trials": "int64",
    "median": "float64",
    "lowest": "float64",
    "quarter": "float64",
    "three_quarters": "float64",
}

# No parameter is called so: an identifier of a space holds no blank.
_SCORE = "best metric"

# Below so many trials a parameter, importances of one sweep and of the same under another seed have little in common.
_TRIALS_A_PARAMETER = 10
# Shares of two methods that differ by less are the same.
_AGREE = 0.15
# Fewer say nothing at all.
_FEWEST = 4


def rank_importance(
    results: Results, evaluator: Evaluator = "fanova", metric: str = "wer", seed: int = 0, *, mode: Mode | None = None
) -> pd.DataFrame:
    """How much each parameter had to do with the best metric of a trial, the most important first.

    ``importance`` is a share of 1 among the parameters that every trial was given. A parameter that only some were
    given (``among`` says which) is judged among those alone, as a share of what all their parameters explain, so it
    is to be compared within its own ``among`` only. NaN where there are too few trials or nothing varies. Trials
    that were stopped early count with the best value they came to.

    Args:
        evaluator: ``fanova`` (how much of the variance a parameter explains over its whole range) or ``ped-anova``
            (how much it tells the best tenth of the trials from the others).

    Raises:
        SettingError: there is no such evaluator or metric.

    Warns:
        UserWarning: fewer than ten trials a parameter, of all or of those that have a conditional one.

    Source: Hutter et al. 2014 (fANOVA), Watanabe et al. 2023 (PED-ANOVA), as Optuna implements them.
    """
    if evaluator not in EVALUATORS:
        raise SettingError(f"must be one of {', '.join(EVALUATORS)}; got {evaluator!r}", key="evaluator")
    trials = _scored(results, metric, mode)
    if check_mode(metric, mode) == "max":
        trials[_SCORE] *= -1  # the best tenth is the lowest one
    names = [name for name in name_parameters(results.trials) if trials[name].nunique() > 1]
    logarithmic = logarithmic_parameters(results)
    rows = []
    always = [name for name in names if trials[name].notna().all()]
    _warn_of_few(trials, always)
    shares = _importances(trials, always, logarithmic, evaluator, seed)
    rows += [(name, shares[name], len(trials), "all trials") for name in always]
    for name in names:
        if name not in always:
            given = trials[trials[name].notna()]
            beside = [other for other in names if given[other].notna().all() and given[other].nunique() > 1]
            _warn_of_few(given, beside)
            share = _importances(given, beside, logarithmic, evaluator, seed).get(name, np.nan)
            rows.append((name, share, len(given), _describe(given, trials, name)))
    frame = build_frame(
        [dict(zip(IMPORTANCE_COLUMNS, (*row, evaluator), strict=True)) for row in rows], IMPORTANCE_COLUMNS
    )
    whole = (frame["among"] != "all trials").astype("int64")
    order = pd.DataFrame({"whole": whole, "less": -frame["importance"].fillna(-1.0)}).sort_values(
        ["whole", "less"], kind="stable"
    )
    return frame.loc[order.index].reset_index(drop=True)


def tell_disagreement(fanova: pd.DataFrame, ped_anova: pd.DataFrame) -> str:
    """Why two frames of ``rank_importance`` differ, by the parameter that they differ about most.

    Parameters that only some trials were given are left out, their shares being of something else.
    """
    whole = [frame[(frame["among"] == "all trials") & frame["importance"].notna()] for frame in (fanova, ped_anova)]
    shares = whole[0].merge(whole[1], on="parameter", suffixes=("", "_ped"))
    if shares.empty:
        return ""
    trials = int(shares["trials"].iloc[0])
    told = (
        "fANOVA says how much of the variance of all trials a parameter explains, PED-ANOVA what tells the best tenth "
        f"({max(2, -(-trials // 10))} of {trials} trials) from the rest."
    )
    apart = (shares["importance"] - shares["importance_ped"]).abs()
    row = shares.iloc[int(apart.argmax())]
    name, whole_range, best = row["parameter"], row["importance"], row["importance_ped"]
    if apart.max() < _AGREE:
        told += " Here they agree."
    else:
        told += f" They differ most about {name}, {whole_range:.0%} against {best:.0%}: over its whole range it moves "
        if whole_range > best:
            told += "the metric much, but the best tenth have about the values that all have."
        else:
            told += "the metric little beside others, but the best tenth have values of their own."
    if trials < _TRIALS_A_PARAMETER * len(shares):
        told += f" Under {_TRIALS_A_PARAMETER} trials a parameter, either may be chance, and so may the difference."
    return told


def tabulate_effects(
    results: Results,
    parameters: Sequence[str] | None = None,
    bins: int = 4,
    metric: str = "wer",
    *,
    mode: Mode | None = None,
) -> pd.DataFrame:
    """What trials reached by value of a parameter: a row for each choice, or for each range of a number.

    Ranges hold about as many trials each; ``low`` and ``high`` are the lowest and highest value in one, NaN for
    choices. ``median``, ``lowest``, ``quarter`` and ``three_quarters`` are those of the best metric of the trials.
    All else differs between these trials too, and a sampler tries good values more often: this shows what was seen,
    not what a parameter does.

    Args:
        parameters: columns of ``trials``; default all that vary.
        bins: ranges of a number, at most.

    Raises:
        SettingError: there is no such parameter or metric.
    """
    trials = _scored(results, metric, mode)
    known = name_parameters(results.trials)
    for name in parameters or ():
        if name not in known:
            raise SettingError(f"no parameter {name!r}; there are {', '.join(known)}", key="parameters")
    chosen = list(parameters) if parameters is not None else [name for name in known if trials[name].nunique() > 1]
    rows: list[dict[str, Any]] = []
    for name in chosen:
        given = trials[trials[name].notna()]
        for value, group in given.groupby(_ranges(given[name], bins), observed=True, sort=True):
            rows.append({"parameter": name, **_value(group[name], value), **_spread(group[_SCORE])})
    return build_frame(rows, EFFECT_COLUMNS)


def _scored(results: Results, metric: str, mode: Mode | None) -> pd.DataFrame:
    """The parameters of the trials that reported the metric, with its best value as ``_SCORE``."""
    best = best_of(results.epochs, metric, mode).rename(columns={"value": _SCORE})[["sweep", "trial", _SCORE]]
    names = name_parameters(results.trials)
    trials = results.trials[["sweep", "trial", *names]].copy()
    for name in names:  # an infinite one is a choice beside others, such as of a norm to clip at
        if trials[name].dtype == "Float64" and np.isinf(trials[name].dropna().to_numpy("float64")).any():
            trials[name] = trials[name].map(str, na_action="ignore").astype("string")
    return trials.merge(best, on=["sweep", "trial"])


def _importances(
    trials: pd.DataFrame, names: Sequence[str], logarithmic: set[str], evaluator: Evaluator, seed: int
) -> dict[str, float]:
    if len(trials) < _FEWEST or trials[_SCORE].nunique() < 2 or not names:
        return dict.fromkeys(names, np.nan)
    distributions = {name: _distribution(trials[name], name in logarithmic) for name in names}
    study = _quiet_study()
    study.add_trials(
        create_trial(
            value=float(row[_SCORE]),
            params={name: _plain(row[name]) for name in names},
            distributions=distributions,
        )
        for row in trials.to_dict("records")
    )
    judge = FanovaImportanceEvaluator(seed=seed) if evaluator == "fanova" else PedAnovaImportanceEvaluator()
    shares = get_param_importances(study, evaluator=judge, params=list(names))
    return {name: float(shares.get(name, np.nan)) for name in names}


def _quiet_study() -> optuna.Study:
    """A new study; Optuna prints a line for each."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study()
    finally:
        optuna.logging.set_verbosity(level)


def _distribution(column: pd.Series, logarithmic: bool) -> BaseDistribution:
    """The range that was tried."""
    if column.dtype in ("string", "boolean"):
        return CategoricalDistribution(sorted({_plain(value) for value in column}))
    low, high = _plain(column.min()), _plain(column.max())
    logarithmic = logarithmic and low > 0
    if column.dtype == "Int64":
        return IntDistribution(low, high, log=logarithmic)
    return FloatDistribution(low, high, log=logarithmic)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def logarithmic_parameters(results: Results) -> set[str]:
    """Parameters that some sweep searched on a logarithmic scale."""
    found = set()
    for sweep in results.sweeps["sweep"]:
        for name, definitions in results.section("space", sweep).items():
            listed = definitions if isinstance(definitions, list) else [definitions]
            if any(isinstance(definition, dict) and definition.get("log") is True for definition in listed):
                found.add(name)
    return found


def _warn_of_few(trials: pd.DataFrame, names: Sequence[str]) -> None:
    if names and len(trials) < _TRIALS_A_PARAMETER * len(names):
        told = f"importance of {', '.join(names)} from {len(trials)} trials is mostly noise"
        advice = f"{_TRIALS_A_PARAMETER} or more trials for each parameter are worth reading"
        warnings.warn(f"{told}; {advice}", stacklevel=3)


def _describe(given: pd.DataFrame, trials: pd.DataFrame, name: str) -> str:
    """Of which trials a conditional parameter is told: of whole strategies, where it is theirs."""
    if "strategy" in given and given["strategy"].notna().all():
        strategies = sorted(given["strategy"].unique())
        if trials["strategy"].isin(strategies).fillna(False).sum() == len(given):
            return f"strategy {', '.join(strategies)}"
    return f"trials with {name}"


def _ranges(column: pd.Series, bins: int) -> pd.Series:
    if column.dtype in ("string", "boolean") or column.nunique() <= bins:
        return column
    return pd.qcut(column.astype("float64"), bins, duplicates="drop")


def _value(column: pd.Series, value: Any) -> dict[str, Any]:
    if isinstance(value, pd.Interval):
        low, high = float(column.min()), float(column.max())
        return {"value": f"{low:.3g} to {high:.3g}", "low": low, "high": high}
    number = column.dtype in ("Int64", "Float64")
    return {"value": str(value)} | ({"low": float(value), "high": float(value)} if number else {})


def _spread(values: pd.Series) -> dict[str, Any]:
    return {
        "trials": len(values),
        "median": values.median(),
        "lowest": values.min(),
        "quarter": values.quantile(0.25),
        "three_quarters": values.quantile(0.75),
    }
