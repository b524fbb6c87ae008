"""Plain Ray Tune experiments load too, from their JSON and CSV alone."""

import json
import pickle
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ray import tune
from ray.tune.logger import CSVLoggerCallback, JsonLoggerCallback

from glosstune.results import load_results, rank_trials, trace_incumbent


def result(iteration: int, **metrics: Any) -> dict[str, Any]:
    """A line as Ray writes it."""
    kept = {"training_iteration": iteration, "timestamp": 1_760_000_000 + 10 * iteration, "time_this_iter_s": 4.0}
    return kept | {"trial_id": "ab1_00000", "hostname": "box", "pid": 7, "done": False, "config": {"lr": 0.1}} | metrics


def write_trial(folder: Path, *rows: dict[str, Any], **configuration: Any) -> Path:
    folder.mkdir(parents=True)
    (folder / "params.json").write_text(json.dumps(configuration))
    (folder / "result.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


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
    states = [
        [json.dumps({"trial_id": f"a_{n}", "status": state}), "{}"] for n, state in enumerate(("TERMINATED", "ERROR"))
    ]
    (tmp_path / "exp" / "experiment_state-2026.json").write_text(json.dumps({"trial_data": states}))
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


def test_a_line_torn_by_a_crash_is_left_out_and_told(tmp_path):
    folder = write_trial(tmp_path / "exp" / "train_00000", result(1, wer=0.9))
    lines = (folder / "result.json").read_text()
    (folder / "result.json").write_text(lines + '{"training_it' + lines + json.dumps(result(2, wer=0.8)) + '\n{"train')
    with pytest.warns(UserWarning, match=r"result\.json:[24]: is no result, and is left out") as told:
        assert load_results(tmp_path / "exp").epochs["wer"].tolist() == [0.9, 0.8]
    assert len(told) == 2
    (folder / "params.json").write_text("{")


@pytest.mark.parametrize("torn", ["", "{", "[" * 100_000])
def test_a_torn_file_of_parameters_costs_no_trial(tmp_path, torn):
    folder = write_trial(tmp_path / "exp" / "train_00000", result(1, wer=0.9))
    (folder / "params.json").write_text(torn)
    with pytest.warns(UserWarning, match=r"params\.json: cannot be read .*; the results say what the trial was given"):
        assert load_results(tmp_path / "exp").trials["lr"].tolist() == [0.1]


def test_numbers_that_no_column_holds_are_missing(tmp_path):
    wild = {"timestamp": 1e300, "time_this_iter_s": 1e300, "wer": 10**400}
    rows = result(1, **wild), result(2, wer=0.5), result(1e300), result(10**400), result(3, timestamp=float("inf"))
    write_trial(tmp_path / "exp" / "train_00000", *rows, width=10**400, lr=0.1)
    write_trial(tmp_path / "exp" / "train_00001", result(1, wer=0.6, trial_id="b"), width=1, lr=float("nan"))
    results = load_results(tmp_path / "exp")
    assert results.epochs["epoch"].tolist() == [1, 2, 3, 1]
    assert results.epochs["wer"].dropna().tolist() == [0.5, 0.6]
    assert results.trials["width"].tolist() == [str(10**400), "1"]


def test_wer_in_percent_is_told_and_becomes_a_fraction(tmp_path):
    write_trial(tmp_path / "exp" / "train_00000", result(1, wer=90.0), result(2, wer=1.5), result(3, wer=45.0))
    with pytest.warns(UserWarning, match=r"exp: wer is read as percentages, for most are above 2"):
        assert load_results(tmp_path / "exp").epochs["wer"].tolist() == [0.9, 0.015, 0.45]


def test_a_wer_of_many_insertions_stays_what_it_is(tmp_path):
    write_trial(tmp_path / "exp" / "train_00000", result(1, wer=7.0), result(2, wer=1.0), result(3, wer=0.9))
    assert load_results(tmp_path / "exp").epochs["wer"].tolist() == [7.0, 1.0, 0.9]


def test_another_metric_than_wer_is_named(tmp_path):
    write_trial(tmp_path / "exp" / "train_00000", result(1, val_wer=0.9))
    with pytest.warns(UserWarning, match=r"exp: no trial has reported wer, but val_wer, epoch_s; rank_trials"):
        load_results(tmp_path / "exp")


def test_a_trial_without_a_result_has_the_state_that_ray_gave_it(tmp_path):
    write_trial(tmp_path / "exp" / "train_ab1_00000_0_lr=0.1", lr=0.1)
    states = [[json.dumps({"trial_id": "ab1_00000", "status": "ERROR"}), "{}"]]
    (tmp_path / "exp" / "experiment_state-2026.json").write_text(json.dumps({"trial_data": states}))
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
