"""Plain Ray Tune experiments load too, from their JSON and CSV alone."""

import json
import pickle
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ray import tune
from ray.tune.logger import CSVLoggerCallback, JsonLoggerCallback
from ray_experiment import SECONDS, result, write_state, write_trial

from glosstune.results import load_results, rank_trials, trace_incumbent
from glosstune.spaces.errors import FolderError


def test_an_experiment_has_the_same_frames_as_a_sweep(tmp_path):
    done = result(2, wer=0.4, nested={"loss": 1.5}, done=True)
    write_trial(tmp_path / "exp" / "train_00000", result(1, wer=0.9), done, lr=0.1, layers={"depth": 3})
    write_trial(tmp_path / "exp" / "train_00001", result(1, wer=float("nan"), trial_id="ab1_00001"), lr=0.2)
    (tmp_path / "exp" / "train_00001" / "error.txt").write_text("Traceback\nValueError: too wide\n")
    results = load_results(tmp_path / "exp")
    first, second = results.trials.to_dict("records")
    assert (first["trial"], first["trial_id"], first["lr"], first["layers/depth"]) == (0, "ab1_00000", 0.1, 3)
    assert (first["status"], first["epochs"], first["wer_best"], first["epoch_of_best"]) == ("finished", 2, 0.4, 2)
    assert (first["train_seconds"], first["node"]) == (8.0, "box")
    assert (second["status"], second["error"]) == ("failed", "ValueError: too wide")
    assert pd.isna(second["wer_best"])
    assert results.epochs["nested/loss"].tolist()[1] == 1.5
    assert "pid" not in results.epochs
    assert rank_trials(results)["trial"].tolist() == [0]
    assert trace_incumbent(results)["seconds"].tolist()[:2] == [4.0, 4.0]


def test_without_json_the_csv_is_read(tmp_path):
    folder = tmp_path / "exp" / "train_00000"
    folder.mkdir(parents=True)
    (folder / "progress.csv").write_text(
        "training_iteration,wer,config/lr,done\n1,0.5,0.01,False\n2,0.4,0.01,True\n3,0."
    )
    trial = load_results(tmp_path / "exp").trials.iloc[0]
    assert trial[["lr", "epochs", "wer_best", "status"]].tolist() == [0.01, 2, 0.4, "finished"]
    columns = "training_iteration,wer,config/name,config/depth,trial_id"
    (folder / "progress.csv").write_text(f"{columns}\n1,0.5,1_2,,04213_00000\n")
    trial = load_results(tmp_path / "exp").trials.iloc[0]
    assert trial[["name", "trial_id"]].tolist() == ["1_2", "04213_00000"]
    assert pd.isna(trial["depth"])


def test_the_state_of_the_experiment_says_how_a_trial_ended(tmp_path):
    """A function that returns leaves done: false; a trial that was tried again keeps its error.txt."""
    for number in range(2):
        folder = write_trial(tmp_path / "exp" / f"train_0000{number}", result(1, wer=0.9, trial_id=f"a_{number}"))
        (folder / "error.txt").write_text("ValueError: once\n")
    write_state(tmp_path / "exp", {"a_0": "TERMINATED", "a_1": "ERROR"})
    trials = load_results(tmp_path / "exp").trials
    assert trials["status"].tolist() == ["finished", "failed"]
    assert trials["error"].tolist() == [pd.NA, "ValueError: once"]


@pytest.mark.slow
def test_what_ray_itself_writes_loads(tmp_path, ray_cluster):
    def train(config):
        for epoch in range(3):
            if config["lr"] > 0.2:
                raise ValueError("too high")
            tune.report({"wer": config["lr"] + 1 / (epoch + 1)})

    tune.Tuner(
        train,
        param_space={"lr": tune.grid_search([0.1, 0.3])},
        # glosstune's own sweeps have switched Ray's loggers off in this process.
        run_config=tune.RunConfig(
            name="exp", storage_path=str(tmp_path), verbose=0, callbacks=[JsonLoggerCallback(), CSVLoggerCallback()]
        ),
    ).fit()
    trials = load_results(tmp_path / "exp").trials.sort_values("lr")
    assert trials["lr"].tolist() == [0.1, 0.3]
    assert trials["status"].tolist() == ["finished", "failed"]
    assert trials["epochs"].tolist() == [3, 0]
    assert trials["wer_best"].tolist()[0] == pytest.approx(0.1 + 1 / 3)
    assert "too high" in trials["error"].tolist()[1]


def test_lines_torn_by_a_crash_are_left_out_and_told_once(tmp_path):
    folder = write_trial(tmp_path / "exp" / "train_00000", result(1, wer=0.9))
    lines = (folder / "result.json").read_text()
    (folder / "result.json").write_text(lines + '{"training_it' + lines + json.dumps(result(2, wer=0.8)) + '\n{"train')
    with pytest.warns(UserWarning, match=r"result\.json:2: is no result, and is left out, like 1 more") as told:
        assert load_results(tmp_path / "exp").epochs["wer"].tolist() == [0.9, 0.8]
    assert len(told) == 1


@pytest.mark.parametrize(("torn", "rule"), [("", "is empty"), ("{", "is no JSON"), ("[" * 100_000, "is no JSON")])
def test_a_torn_file_of_parameters_costs_no_trial(tmp_path, torn, rule):
    folder = write_trial(tmp_path / "exp" / "train_00000", result(1, wer=0.9))
    (folder / "params.json").write_text(torn)
    with pytest.warns(UserWarning, match=rf"params\.json: {rule}.*; the results say what the trial was given"):
        assert load_results(tmp_path / "exp").trials["lr"].tolist() == [0.1]


def test_a_torn_state_is_told_and_an_older_one_taken(tmp_path):
    write_trial(tmp_path / "exp" / "train_00000", result(1, wer=0.9))
    write_state(tmp_path / "exp", {"ab1_00000": "TERMINATED"})
    newest = write_state(tmp_path / "exp", {"ab1_00000": "ERROR"}, date="2026-01-02")
    newest.write_text(newest.read_text()[:-9])
    with pytest.warns(UserWarning, match=r"experiment_state-2026-01-02_00-00-00\.json: cannot be read") as told:
        assert load_results(tmp_path / "exp").trials["status"].tolist() == ["finished"]
    assert len(told) == 1


def test_a_trial_that_a_state_garbles_hides_no_other(tmp_path):
    for number in range(2):
        write_trial(tmp_path / "exp" / f"train_{number}", result(1, wer=0.9, trial_id=f"a_{number}"))
    path = write_state(tmp_path / "exp", {"a_0": "TERMINATED", "a_1": "TERMINATED"})
    state = json.loads(path.read_text())
    state["trial_data"][0][0] = state["trial_data"][0][0][:-3]
    path.write_text(json.dumps(state))
    assert load_results(tmp_path / "exp").trials["status"].tolist() == ["running", "finished"]


def test_states_of_ray_2_4_say_how_trials_ended(tmp_path):
    """They list trials under another name and without what they have come to."""
    write_trial(tmp_path / "exp" / "train_00000", result(1, wer=0.9, experiment_id="0f", timesteps_total=None))
    write_state(tmp_path / "exp", {"ab1_00000": "TERMINATED"}, key="checkpoints")
    assert load_results(tmp_path / "exp").trials["status"].tolist() == ["finished"]


def test_what_ray_counts_itself_is_no_metric(tmp_path):
    own = {"timesteps_total": 3, "episodes_total": 0, "warmup_time": 0.1, "timesteps_since_restore": 3}
    write_trial(tmp_path / "exp" / "train_00000", result(1, wer=0.9, loss=1.0, **own))
    epochs = load_results(tmp_path / "exp").epochs
    assert "loss" in epochs and not own.keys() & set(epochs)


@pytest.mark.parametrize(
    "stamp",
    [SECONDS, SECONDS * 1e3, SECONDS * 10**6, SECONDS * 10**9, "2025-10-09T08:53:20Z", "2025-10-09T10:53:20+02:00"],
)
def test_times_in_any_unit_are_the_same(tmp_path, stamp):
    write_trial(tmp_path / "exp" / "train_00000", result(1, wer=0.9, timestamp=stamp))
    assert load_results(tmp_path / "exp").epochs["time"].tolist() == [pd.Timestamp("2025-10-09T08:53:20Z")]


def test_without_a_timestamp_the_date_is_taken(tmp_path):
    for number, stamp in enumerate((None, "today", -5, 1e300)):
        row = result(1, wer=0.9, trial_id=str(number), timestamp=stamp, date="2025-10-09_08-53-20")
        write_trial(tmp_path / "exp" / f"train_{number}", row)
    assert set(load_results(tmp_path / "exp").epochs["time"]) == {pd.Timestamp("2025-10-09T08:53:20Z")}


def test_cells_and_numbers_may_be_as_long_as_they_are(tmp_path):
    folder = write_trial(tmp_path / "exp" / "train_00000")
    long, digits = "x" * 200_000, "9" * 5000
    (folder / "progress.csv").write_text(f"training_iteration,wer,note,steps\n1,0.5,{long},{digits}\n2,0.4\0,,\n")
    assert load_results(tmp_path / "exp").epochs["wer"].tolist() == [0.5, 0.4]
    (folder / "params.json").write_text(f'{{"note": "{long}", "width": {digits}}}')
    assert load_results(tmp_path / "exp").trials["width"].tolist() == [float("inf")]


def test_half_a_character_is_no_reason_to_write_nothing(tmp_path):
    folder = write_trial(tmp_path / "exp" / "train_00000", result(1, wer=0.5))
    (folder / "params.json").write_text('{"name": "a\\ud800b"}')
    results = load_results(tmp_path / "exp")
    results.report(tmp_path / "report.html")
    assert results.trials["name"].tolist() == ["a\ufffdb"]


def test_values_nested_deeper_than_anybody_nests_cost_no_other_trial(tmp_path):
    deep = "[" * 400 + "]" * 400
    folder = write_trial(tmp_path / "exp" / "train_00000", result(1, wer=0.5))
    (folder / "params.json").write_text(f'{{"a": {deep}}}')
    write_trial(tmp_path / "exp" / "train_00001", result(1, wer=0.4, trial_id="b"), lr=0.3)
    with pytest.warns(UserWarning, match=r"train_00000/params\.json: is no JSON of parameters"):
        assert load_results(tmp_path / "exp").trials["lr"].tolist() == [0.1, 0.3]


def test_a_folder_above_experiments_names_them(tmp_path):
    write_trial(tmp_path / "runs" / "tuner" / "exp" / "train_00000", result(1, wer=0.9))
    (tmp_path / "runs" / "sweep").mkdir()
    (tmp_path / "runs" / "sweep" / "record.jsonl").write_text("")
    below = f"{tmp_path}/runs/sweep, {tmp_path}/runs/tuner/exp"
    with pytest.raises(FolderError, match=f"the sweeps below it are {re.escape(below)}$"):
        load_results(tmp_path / "runs")


def test_an_experiment_inside_a_trial_is_no_trial_of_the_outer_one(tmp_path):
    trial = write_trial(tmp_path / "exp" / "train_00000", result(1, wer=0.9))
    write_trial(trial / "inner" / "train_00000", result(1, wer=0.1))
    assert load_results(tmp_path / "exp").trials["wer_best"].tolist() == [0.9]
    assert load_results(trial / "inner").trials["wer_best"].tolist() == [0.1]


def test_of_a_single_trial_its_experiment_is_named(tmp_path):
    write_trial(tmp_path / "exp" / "train_00000", result(1, wer=0.9))
    with pytest.raises(FolderError, match=rf"is a single trial of Ray Tune's; name its experiment, {tmp_path}/exp$"):
        load_results(tmp_path / "exp" / "train_00000")


def test_numbers_that_no_column_holds_are_missing(tmp_path):
    wild = {"timestamp": 1e300, "time_this_iter_s": 1e300, "wer": 10**400}
    rows = result(1, **wild), result(2, wer=0.5), result(1e300), result(10**400), result(3, timestamp=float("inf"))
    write_trial(tmp_path / "exp" / "train_00000", *rows, width=10**400, lr=0.1)
    write_trial(tmp_path / "exp" / "train_00001", result(1, wer=0.6, trial_id="b"), width=1, lr=float("nan"))
    results = load_results(tmp_path / "exp")
    assert results.epochs["epoch"].tolist() == [1, 2, 3, 1]
    assert results.epochs["wer"].dropna().tolist() == [0.5, 0.6]
    assert results.trials["width"].tolist() == [str(10**400), "1"]


def test_a_trial_without_a_result_has_the_state_that_ray_gave_it(tmp_path):
    write_trial(tmp_path / "exp" / "train_ab1_00000_0_lr=0.1", lr=0.1)
    write_state(tmp_path / "exp", {"ab1_00000": "ERROR"})
    trial = load_results(tmp_path / "exp").trials.iloc[0]
    assert trial[["trial_id", "status", "epochs"]].tolist() == ["ab1_00000", "failed", 0]


def test_an_iteration_that_was_run_again_counts_once(tmp_path):
    write_trial(tmp_path / "exp" / "train_00000", result(1, wer=0.9), result(2, wer=0.5), result(2, wer=0.1))
    assert load_results(tmp_path / "exp").epochs["wer"].tolist() == [0.9, 0.5]


def test_no_pickle_of_the_folder_runs(tmp_path):
    trial = write_trial(tmp_path / "exp" / "train_00000", result(1, wer=0.9))

    class Planted:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "planted",)

    for folder in (tmp_path / "exp", trial):
        for name in ("tuner.pkl", "params.pkl", "error.pkl", "trainable.pkl", "searcher-state.pkl"):
            (folder / name).write_bytes(pickle.dumps(Planted()))
    text = json.dumps({"_type": "CLOUDPICKLE_FALLBACK", "value": pickle.dumps(Planted()).hex()})
    (tmp_path / "exp" / "experiment_state-2026.json").write_text(text)
    (trial / "params.json").write_text(text)
    assert len(load_results(tmp_path / "exp").trials) == 1
    assert not (tmp_path / "planted").exists()


def test_sweeps_and_experiments_load_together(tmp_path, four_trials):
    write_trial(tmp_path / "exp" / "train_00000", result(1, wer=0.25), learning_rate=0.1, lr=2)
    results = load_results([four_trials.path, tmp_path / "exp"])
    assert results.trials["sweep"].tolist() == ["demo"] * 4 + ["exp"]
    assert results.trials["lr"].isna().tolist() == [True] * 4 + [False]
    assert results.best["sweep"] == "exp"
    assert results.target == 0.3
