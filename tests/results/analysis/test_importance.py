"""Which parameters mattered, where the answer is known."""

import random
from pathlib import Path

import pandas as pd
import pytest
from sweep_folder import SweepFolder

from glosstune.results import Results, load_results, rank_importance, tabulate_effects
from glosstune.results.analysis.importance import tell_disagreement
from glosstune.spaces.errors import SettingError


def searched(path: Path, trials: int) -> Results:
    """WER follows the learning rate; dropout does nothing; stages, where there are any, add a lot."""
    sweep = SweepFolder(path)
    sweep.settle("space: {learning_rate: {float: [1e-5, 1e-1], log: true}, dropout: {float: [0, 0.5]}}\n")
    generator = random.Random(0)
    for trial in range(trials):
        exponent, dropout = generator.uniform(-5, -1), generator.uniform(0, 0.5)
        configuration = {"strategy": "baseline", "learning_rate": 10**exponent, "dropout": dropout}
        wer = 0.5 + 0.1 * exponent / -5
        if trial % 2:
            stages = generator.choice([2, 3, 4, 5])
            configuration |= {"strategy": "progressive", "unfreeze_stages": stages}
            wer = 0.1 * stages
        sweep.start(trial, **configuration)
        sweep.report(trial, 1, wer=wer)
    return load_results(path)


@pytest.mark.parametrize("evaluator", ["fanova", "ped-anova"])
def test_what_the_metric_follows_is_important(tmp_path, evaluator):
    sweep = SweepFolder(tmp_path / "a")
    generator = random.Random(0)
    for trial in range(60):
        rate, dropout = generator.uniform(0.1, 0.9), generator.uniform(0, 0.5)
        sweep.start(trial, learning_rate=rate, dropout=dropout, constant=3)
        sweep.report(trial, 1, wer=rate)
    frame = rank_importance(load_results(sweep.path), evaluator)
    assert frame["parameter"].tolist() == ["learning_rate", "dropout"]  # what never varied is left out
    assert frame["importance"].sum() == pytest.approx(1)
    assert frame["importance"].iloc[0] > 0.9


def test_a_conditional_parameter_is_judged_among_those_that_have_it(tmp_path):
    frame = rank_importance(searched(tmp_path / "a", 120)).set_index("parameter")
    assert frame.loc["unfreeze_stages", ["trials", "among"]].tolist() == [60, "strategy progressive"]
    assert frame.loc["unfreeze_stages", "importance"] > 0.9
    always = frame[frame["among"] == "all trials"]
    assert set(always.index) == {"strategy", "learning_rate", "dropout"}
    assert always["importance"].sum() == pytest.approx(1)


def test_few_trials_are_warned_of(tmp_path):
    with pytest.warns(UserWarning, match="is mostly noise") as told:
        rank_importance(searched(tmp_path / "a", 8))
    assert [str(each.message).split(" is ")[0] for each in told] == [
        "importance of strategy, learning_rate, dropout from 8 trials",
        "importance of learning_rate, dropout, unfreeze_stages from 4 trials",
    ]


def test_too_few_trials_have_no_importance(tmp_path):
    with pytest.warns(UserWarning, match="mostly noise"):
        frame = rank_importance(searched(tmp_path / "a", 3))
    assert frame["importance"].isna().all()


def test_a_sweep_without_reports_has_no_parameters_to_rank(sweep):
    assert rank_importance(load_results(sweep.path)).empty
    assert tabulate_effects(load_results(sweep.path)).empty


def test_an_unknown_evaluator_or_parameter_is_refused(tmp_path):
    results = searched(tmp_path / "a", 3)
    with pytest.raises(SettingError, match="evaluator: must be one of fanova, ped-anova; got 'shap'"):
        rank_importance(results, "shap")
    with pytest.raises(SettingError, match=r"parameters: no parameter 'rate'; there are strategy, learning_rate"):
        tabulate_effects(results, ["rate"])


def test_effects_are_those_of_the_trials_with_the_value(sweep):
    for trial, (strategy, rate, wer) in enumerate(
        [("baseline", 0.1, 0.9), ("progressive", 0.2, 0.3), ("baseline", 0.3, 0.7), ("progressive", 0.4, 0.5)]
    ):
        sweep.start(trial, strategy=strategy, learning_rate=rate)
        sweep.report(trial, 1, wer=wer)
    effects = tabulate_effects(load_results(sweep.path), bins=2)
    by_strategy = effects[effects["parameter"] == "strategy"].set_index("value")
    assert by_strategy["median"].to_dict() == {"baseline": 0.8, "progressive": 0.4}
    assert by_strategy["lowest"].to_dict() == {"baseline": 0.7, "progressive": 0.3}
    by_rate = effects[effects["parameter"] == "learning_rate"]
    assert by_rate[["low", "high", "trials", "lowest"]].values.tolist() == [[0.1, 0.2, 2, 0.3], [0.3, 0.4, 2, 0.5]]
    assert by_rate["value"].tolist() == ["0.1 to 0.2", "0.3 to 0.4"]


def test_what_two_methods_disagree_about_is_said():
    def shares(**importance: float) -> pd.DataFrame:
        rows = {"importance": importance.values(), "trials": 40, "among": "all trials"}
        return pd.DataFrame({"parameter": list(importance), **rows})

    fanova, ped_anova = shares(rate=0.9, dropout=0.1), shares(rate=0.3, dropout=0.4)
    told = tell_disagreement(fanova, ped_anova)
    assert "the best tenth (4 of 40 trials)" in told
    assert "They differ most about rate, 90% against 30%: over its whole range it moves the metric much" in told
    told = tell_disagreement(shares(rate=0.1, dropout=0.5), shares(rate=0.7, dropout=0.3))
    assert "10% against 70%: over its whole range it moves the metric little" in told and "chance" not in told
    assert "Here they agree." in tell_disagreement(fanova, fanova)
    assert tell_disagreement(fanova, ped_anova.head(0)) == ""
    few = fanova.assign(trials=12)
    assert tell_disagreement(few, few).endswith("either may be chance, and so may the difference.")


@pytest.mark.parametrize("evaluator", ["fanova", "ped-anova"])
@pytest.mark.filterwarnings("ignore:importance of")
def test_an_infinite_value_is_a_choice_beside_others(tmp_path, evaluator):
    sweep = SweepFolder(tmp_path / "a")
    for trial, norm in enumerate([1.0, 5.0, float("inf")] * 4):
        sweep.start(trial, max_norm=norm)
        sweep.report(trial, 1, wer=0.9 if norm == 1.0 else 0.3 + trial / 1000)
    results = load_results(sweep.path)
    assert rank_importance(results, evaluator=evaluator)["parameter"].tolist() == ["max_norm"]
    assert tabulate_effects(results)["value"].tolist() == ["1.0", "5.0", "inf"]
