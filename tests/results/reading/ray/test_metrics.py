"""A WER goes by many names, and is often in percent."""

import pytest
from ray_experiment import result, write_trial

from glosstune.results import load_results


def test_wer_in_percent_is_told_and_becomes_a_fraction(tmp_path):
    write_trial(tmp_path / "exp" / "train_00000", result(1, wer=90.0), result(2, wer=1.5), result(3, wer=45.0))
    with pytest.warns(UserWarning, match=r"exp: wer is read as percentages, for most are above 2"):
        assert load_results(tmp_path / "exp").epochs["wer"].tolist() == [0.9, 0.015, 0.45]


def test_a_wer_of_many_insertions_stays_what_it_is(tmp_path):
    write_trial(tmp_path / "exp" / "train_00000", result(1, wer=7.0), result(2, wer=1.0), result(3, wer=0.9))
    assert load_results(tmp_path / "exp").epochs["wer"].tolist() == [7.0, 1.0, 0.9]


@pytest.mark.parametrize(
    "name", ["val_wer", "WER", "eval/wer", "validation_word_error_rate", "devWER", "metrics/dev.wer"]
)
def test_a_wer_of_another_name_is_read_as_it(tmp_path, name):
    rows = result(1, **{name: 90.0, "train_wer": 12.0, "wer_on_test": 50.0, "loss": 3.0}), result(2, **{name: 45.0})
    write_trial(tmp_path / "exp" / "train_00000", *rows)
    with pytest.warns(UserWarning) as told:
        epochs = load_results(tmp_path / "exp").epochs
    assert epochs["wer"].tolist() == epochs[name].tolist() == [0.9, 0.45]
    lines = [str(warning.message).partition("exp: ")[2] for warning in told]
    assert f"{name} is read as percentages, for most are above 2" in lines
    assert f"no trial has reported wer; {name} is read as it" in lines


@pytest.mark.parametrize("names", [["accuracy"], ["train_wer"], ["dev_wer", "val_wer"], ["wer_a", "wer_b"], ["answer"]])
def test_where_nothing_is_surely_the_wer_metrics_are_named(tmp_path, names):
    write_trial(tmp_path / "exp" / "train_00000", result(1, **dict.fromkeys(names, 0.9)))
    listed = ", ".join([*names, "epoch_s"])
    with pytest.warns(UserWarning, match=f"exp: no trial has reported wer, but {listed}; name one with --metric"):
        assert load_results(tmp_path / "exp").trials["wer_best"].isna().all()
