"""What a sweep left in its folder is what the frames say."""

import json
import pickle
import re
from pathlib import Path

import pandas as pd
import pytest
from sweep_folder import SweepFolder

from glosstune.results import explain_trial, load_results
from glosstune.results.reading import columns
from glosstune.results.reading.columns import DECISION_COLUMNS, EPOCH_COLUMNS, SWEEP_COLUMNS, TRIAL_COLUMNS
from glosstune.results.reading.names import LOCK
from glosstune.spaces.errors import FolderError, SettingError
from glosstune.spaces.files.locks import held

CONFIGURATION = {
    "strategy": "string",
    "learning_rate": "Float64",
    "warmup_epochs": "Int64",
    "discriminative": "boolean",
    "unfreeze_stages": "Int64",
}


def dtypes(frame: pd.DataFrame) -> dict[str, str]:
    return {name: str(dtype) for name, dtype in frame.dtypes.items()}


def test_a_trial_is_one_row_that_says_what_became_of_it(four_trials):
    results = load_results(four_trials.path)
    finished = results.trials.iloc[0]
    assert finished[["trial", "status", "stop_reason", "epochs"]].tolist() == [0, "finished", "all epochs", 6]
    assert finished[["wer_last", "wer_best", "epoch_of_best"]].tolist() == [0.29, 0.28, 4]
    assert finished[["loss_last", "loss_best"]].tolist() == [4.0 / 6, 4.0 / 6]
    assert finished[["train_seconds", "trainable_params"]].tolist() == [15.0, 200]
    assert pd.isna(finished["error"])
    assert results.target == 0.3


def test_each_end_is_told_apart(four_trials):
    trials = load_results(four_trials.path).trials
    assert trials["status"].tolist() == ["finished", "stopped", "failed", "running"]
    assert trials["error"].tolist()[2] == "tried to allocate 2 GiB"
    assert trials["stop_reason"].tolist()[1:3] == ["below the best third at rung 2", "out of memory"]
    assert trials["stop_reason"].isna().tolist() == [False, False, False, True]


def test_trial_without_a_report_has_no_figures(four_trials):
    failed = load_results(four_trials.path).trials.iloc[2]
    assert failed["epochs"] == 0
    assert failed["train_seconds"] == 0.0
    assert failed[["wer_last", "wer_best", "epoch_of_best", "loss_best", "trainable_params"]].isna().all()


def test_checkpoints_are_named_where_they_exist(four_trials):
    trials = load_results(str(four_trials.path)).trials
    assert trials["best_checkpoint"].iloc[0] == str(four_trials.path / "trials" / "0000" / "best.pt")
    assert trials["best_checkpoint"].isna().tolist() == [False, True, True, True]
    assert trials["last_checkpoint"].isna().tolist() == [False, False, True, True]


def test_best_is_the_lowest_wer_of_any_epoch(sweep):
    for trial, wers in enumerate([(0.5, 0.4), (0.2, 0.9), (0.3, 0.3), (0.2, 0.2)]):
        sweep.start(trial)
        for epoch, wer in enumerate(wers, start=1):
            sweep.report(trial, epoch, wer=wer)
    best = load_results(sweep.path).best
    assert best["trial"] == 1  # and not its equal, trial 3, nor the best last epoch
    assert best["epoch_of_best"] == 1


def test_best_of_a_sweep_without_reports_is_an_error(sweep):
    sweep.start(0)
    with pytest.raises(FolderError, match="no trial has reported a WER yet"):
        _ = load_results(sweep.path).best


def test_configuration_of_a_trial_leaves_out_what_it_was_not_given(four_trials):
    configuration = load_results(four_trials.path).configuration(1)
    assert configuration == {"strategy": "progressive", "learning_rate": 3e-4, "unfreeze_stages": 4}
    assert json.loads(json.dumps(configuration)) == configuration
    with pytest.raises(SettingError, match="has no trial 9; it has trials 0 to 3"):
        load_results(four_trials.path).configuration(9)


def test_column_types_are_exact(four_trials):
    results = load_results(four_trials.path)
    outcome = columns.dtypes(TRIAL_COLUMNS)
    first = {name: outcome.pop(name) for name in ("sweep", "trial")}
    assert list(dtypes(results.trials).items()) == list((first | CONFIGURATION | outcome).items())
    assert list(dtypes(results.epochs).items()) == list(columns.dtypes(EPOCH_COLUMNS).items())
    assert dtypes(results.sweeps) == columns.dtypes(SWEEP_COLUMNS)
    assert dtypes(results.decisions) == columns.dtypes(DECISION_COLUMNS)


def test_empty_sweep_has_the_same_columns(sweep):
    results = load_results(sweep.path)
    assert (len(results.trials), len(results.epochs), len(results.decisions)) == (0, 0, 0)
    assert dtypes(results.trials) == columns.dtypes(TRIAL_COLUMNS)
    assert dtypes(results.epochs) == columns.dtypes(EPOCH_COLUMNS)
    assert dtypes(results.decisions) == columns.dtypes(DECISION_COLUMNS)


def test_sweeps_of_one_name_are_told_apart_by_their_paths(tmp_path):
    for place in ("x", "y"):
        (tmp_path / place).mkdir()
        SweepFolder(tmp_path / place / "demo").start(0, learning_rate=0.1)
    results = load_results([tmp_path / "x" / "demo", tmp_path / "y" / "demo"])
    assert results.trials["sweep"].tolist() == ["x/demo", "y/demo"]
    assert results.configuration(0, "y/demo") == {"learning_rate": 0.1}
    with pytest.raises(SettingError, match="say of which sweep: x/demo, y/demo"):
        results.configuration(0)
    with pytest.raises(SettingError, match="results of 2 sweeps"):
        _ = results.folder
    for again in (tmp_path / "x" / "demo", tmp_path / "y" / ".." / "x" / "demo"):
        with pytest.raises(SettingError, match="named twice"):
            load_results([tmp_path / "x" / "demo", again])
    with pytest.raises(SettingError, match="at least one folder"):
        load_results([])


def test_frames_of_several_sweeps_share_the_types_of_all(tmp_path):
    first, second = SweepFolder(tmp_path / "a"), SweepFolder(tmp_path / "b")
    first.start(0, depth=3)
    first.report(0, 1, wer=0.5)
    second.start(0, depth=0.5, dropout=0.1)
    second.report(0, 1, wer=0.4)
    results = load_results([first.path, second.path])
    assert results.trials[["depth", "dropout"]].dtypes.astype(str).tolist() == ["Float64", "Float64"]
    assert results.trials["dropout"].isna().tolist() == [True, False]
    assert results.epochs[["sweep", "trial", "wer"]].values.tolist() == [["a", 0, 0.5], ["b", 0, 0.4]]
    assert results.best["sweep"] == "b"


def test_the_sweep_says_when_it_ran_and_on_what(four_trials):
    four_trials.settle("resources: {cpu: 2, gpu: 0.25}\n")
    four_trials.report(3, 2, second=90, wer=0.9)
    (sweep,) = load_results(four_trials.path).sweeps.to_dict("records")
    assert (sweep["sweep"], sweep["samples"], sweep["epochs"], sweep["metric"]) == ("demo", 4, 6, "wer")
    assert (sweep["cpus"], sweep["gpus"], sweep["seconds"]) == (2, 0.25, 90)
    trials = load_results(four_trials.path).trials
    assert trials["gpu_hours"].iloc[0] == 15 * 0.25 / 3600
    assert trials["node"].tolist()[:2] == ["box", "box"]


def test_a_sweep_file_that_is_no_yaml_is_named_and_hides_no_trial(four_trials):
    four_trials.settle("resources: {cpu: [")
    with pytest.warns(UserWarning, match=r"sweep\.yaml: cannot be read"):
        assert len(load_results(four_trials.path).trials) == 4


def test_record_that_has_not_begun_is_an_empty_sweep(sweep):
    sweep.record.write_text("")
    results = load_results(sweep.path)
    assert results.trials.empty
    assert results.target is None


@pytest.mark.parametrize(
    ("values", "dtype", "column"),
    [
        ((1, None, 3), "Int64", [1, pd.NA, 3]),
        ((1, 0.5, None), "Float64", [1.0, 0.5, pd.NA]),
        ((True, None, False), "boolean", [True, pd.NA, False]),
        (("lstm", None, "mixed_3b"), "string", ["lstm", pd.NA, "mixed_3b"]),
        ((None, None, None), "string", [pd.NA, pd.NA, pd.NA]),
        ((True, 2, "a"), "string", ["true", "2", "a"]),
        (([1, 2], None, {"a": 1}), "string", ["[1, 2]", pd.NA, '{"a": 1}']),
        ((2**70, 1, None), "Float64", [float(2**70), 1.0, pd.NA]),
    ],
)
def test_a_parameter_has_the_narrowest_type_that_fits(sweep, values, dtype, column):
    for trial, value in enumerate(values):
        sweep.start(trial, parameter=value)
    parameter = load_results(sweep.path).trials["parameter"]
    pd.testing.assert_series_equal(parameter, pd.Series(column, dtype=dtype, name="parameter"))


def test_a_parameter_named_like_another_column_is_prefixed(sweep):
    sweep.start(0, epochs=24, config_epochs=1, learning_rate=0.1, trial=7)
    trials = load_results(sweep.path).trials
    assert list(trials.columns)[:6] == [
        "sweep",
        "trial",
        "config_config_epochs",
        "config_epochs",
        "learning_rate",
        "config_trial",
    ]
    assert trials.iloc[0, 1:6].tolist() == [0, 24, 1, 0.1, 7]


def test_frames_survive_parquet_unchanged(four_trials, tmp_path):
    results = load_results(four_trials.path)
    for whole in (results.trials, results.epochs, results.decisions, results.sweeps):
        for frame in (whole, whole.iloc[:0]):
            frame.to_parquet(tmp_path / "frame.parquet")
            pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "frame.parquet"), frame)


def test_epochs_are_ordered_and_hold_every_metric(sweep):
    sweep.start(1)
    sweep.start(0)
    sweep.report(1, 1, wer=1.0, new_metric=3)
    sweep.report(0, 2, wer=0.5)
    sweep.report(0, 1, wer=0.75, infeasible_utterances=4)
    epochs = load_results(sweep.path).epochs
    assert epochs[["trial", "epoch"]].to_numpy().tolist() == [[0, 1], [0, 2], [1, 1]]
    assert epochs["wer"].tolist() == [0.75, 0.5, 1.0]
    assert epochs["infeasible_utterances"].tolist() == [4, pd.NA, pd.NA]
    assert epochs["new_metric"].dtype == "float64"
    assert epochs["new_metric"].iloc[2] == 3


def test_epoch_reported_twice_counts_once_and_the_first_wins(sweep):
    sweep.start(0)
    sweep.report(0, 1, wer=0.9, epoch_s=2.0)
    sweep.report(0, 2, wer=0.8, epoch_s=2.0)
    sweep.report(0, 2, wer=0.1, epoch_s=2.0)
    results = load_results(sweep.path)
    assert results.epochs["wer"].tolist() == [0.9, 0.8]
    assert results.best[["wer_best", "train_seconds"]].tolist() == [0.8, 4.0]


def test_trial_announced_twice_keeps_its_first_configuration(sweep):
    sweep.start(0, dropout=0.1)
    sweep.report(0, 1, wer=0.9)
    sweep.start(0, dropout=0.2)
    trials = load_results(sweep.path).trials
    assert trials[["dropout", "epochs"]].to_numpy().tolist() == [[0.1, 1]]


def test_trial_that_trains_on_after_its_end_is_running_again(sweep):
    sweep.start(0)
    sweep.report(0, 1, wer=0.9)
    sweep.end(0, "stopped", "rung 1")
    sweep.report(0, 1, wer=0.9)
    assert load_results(sweep.path).trials["status"].tolist() == ["stopped"]
    sweep.report(0, 2, wer=0.8)
    trials = load_results(sweep.path).trials
    assert trials["status"].tolist() == ["running"]
    assert trials["stop_reason"].isna().all()
    sweep.end(0, "finished", "all epochs")
    assert load_results(sweep.path).trials["status"].tolist() == ["finished"]


def test_figures_that_are_not_finite_are_missing(sweep):
    sweep.start(0)
    sweep.report(0, 1, wer=0.9, train_loss=2.0, grad_norm=float("inf"), nonfinite_steps=float("nan"))
    sweep.report(0, 2, wer=None, train_loss=float("nan"))
    results = load_results(sweep.path)
    assert results.best[["wer_best", "epoch_of_best", "loss_best"]].tolist() == [0.9, 1, 2.0]
    assert results.trials[["wer_last", "loss_last"]].isna().all(axis=None)
    assert results.epochs[["grad_norm", "nonfinite_steps"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (
            {"event": "sweep", "format": 3, "seeds": "not known yet"},
            "is of format 3, written by a newer",
        ),
        ({"event": "begin", "format": 2}, "is of format 2, .*; this one reads up to 1; install the newer one"),
        ({"event": "sweep"}, "says no format; it was written by another version"),
        ({"event": "sweep", "format": "new"}, "format: 'new' is no int"),
        ({"event": "trial", "trial": 0, "configuration": {}, "source": "tpe"}, "begins with the event 'sweep'"),
    ],
)
def test_a_record_of_another_format_is_told(tmp_path, line, complaint):
    (tmp_path / "record.jsonl").write_text(json.dumps(line) + "\nnot a line of JSON\n{}\n")
    with pytest.raises(FolderError, match=f"record.jsonl:1: .*{complaint}"):
        load_results(tmp_path)


def test_lines_of_other_kinds_are_passed_over(sweep):
    sweep.append(event="decision", trial=5, rung=3)
    assert load_results(sweep.path).trials.empty


def test_folder_that_is_no_sweep_says_which_file_is_missing(tmp_path):
    with pytest.raises(FolderError, match=r"record\.jsonl is missing"):
        load_results(tmp_path)
    with pytest.raises(FolderError, match="no such folder"):
        load_results(tmp_path / "nowhere")


def test_a_folder_of_sweeps_names_them(sweep):
    with pytest.raises(FolderError, match=rf"is missing; the sweeps below it are {re.escape(str(sweep.path))}$"):
        load_results(sweep.path.parent)


def test_record_that_cannot_be_read_is_an_error(tmp_path):
    (tmp_path / "record.jsonl").mkdir()
    with pytest.raises(FolderError, match="cannot be read"):
        load_results(tmp_path)


class Touch:
    """A pickle that makes a file when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_planted_pickles_are_never_opened(four_trials, tmp_path):
    sentinel = tmp_path / "opened"
    planted = pickle.dumps(Touch(sentinel))
    four_trials.add_file(0, "best.pt", planted)
    four_trials.add_file(0, "params.pkl", planted)
    (four_trials.path / "tuner.pkl").write_bytes(planted)
    results = load_results(four_trials.path)
    assert results.best["best_checkpoint"].endswith("best.pt")
    assert not sentinel.exists()
    pickle.loads(planted)
    assert sentinel.exists()  # the trap works


def test_what_is_no_folder_is_called_what_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    Path("loop").symlink_to("loop")
    for place, rule in (
        ("", "FOLDER: is empty; name the folder of a sweep, or . for this one"),
        ("file", "file: is a file; name the folder of a sweep"),
        ("loop", "loop: no such folder"),
        ("~nobody-of-this-name/a", "~nobody-of-this-name/a: no such folder"),
    ):
        with pytest.raises(FolderError, match=f"^{re.escape(rule)}$"):
            load_results(place)


def test_a_user_s_own_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    SweepFolder(tmp_path / "a").start(0)
    assert load_results("~/a").folder == tmp_path / "a"


def test_trials_whose_driver_was_killed_are_interrupted_and_not_running(tmp_path):
    sweep = SweepFolder(tmp_path / "a")
    sweep.start(0, learning_rate=1e-3)
    sweep.report(0, 1, wer=0.9)
    sweep.start(1, learning_rate=2e-3)
    sweep.decide("pause", 1, 0)
    before = sweep.record.read_bytes()
    with held(sweep.path / LOCK):
        assert list(load_results(sweep.path).trials["status"]) == ["running", "paused"]
    assert list(load_results(sweep.path).trials["status"]) == ["interrupted", "paused"]
    assert explain_trial(load_results(sweep.path), 0).startswith("trial 0 of a: interrupted after 1 epochs")
    with held(sweep.path / LOCK):  # somebody goes on
        assert list(load_results(sweep.path).trials["status"]) == ["running", "paused"]
    assert sweep.record.read_bytes() == before
