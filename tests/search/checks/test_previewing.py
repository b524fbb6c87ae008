"""A sweep that is checked says what it would do, and runs, packs and makes nothing."""

import json
import re

import pytest

from glosstune.search.checks.previewing import describe_preview, preview, timed
from glosstune.search.config.loading import load_sweep
from glosstune.trainables.corpora import open_corpus


def test_trials_epochs_and_steps_are_counted():
    seen = preview(load_sweep("teacher", ["search.samples=10", "training.epochs=20", "corpus.sentences=100"]))
    assert seen.utterances == {"train": 100, "dev": 20, "test": 20}
    assert (seen.trials, seen.epochs, seen.epochs_at_most) == (10, 20, 200)
    assert seen.steps_at_most == 200 * 7  # batches of 16 out of 100
    assert seen.rungs == [8, 16]
    searched = ["search.samples=10", "corpus.sentences=100", "space.batch_size={choice: [8, 32]}"]
    assert preview(load_sweep("teacher", searched)).steps_at_most == 200 * 13
    # All ten to the first rung, half of them to the second, a quarter to the end.
    assert seen.epochs_expected == 10 * 8 + 5 * 8 + 2.5 * 4
    assert "made first: 1,500 steps of 32" in seen.weights
    assert seen.missing == [] and seen.hours_at_most is None


@pytest.mark.parametrize(
    ("changes", "rungs", "expected"),
    [
        (["halving.kind=none"], [], 14 * 20),
        (["training.epochs=4"], [], 14 * 4),
        (["halving.resource=seconds", "halving.min_seconds=30"], [30, 60, 120], None),
    ],
)
def test_without_rungs_of_epochs_halving_promises_nothing(changes, rungs, expected):
    seen = preview(load_sweep("teacher", changes))
    assert (seen.rungs, seen.epochs_expected) == (rungs, expected)


def test_start_points_strategies_and_limits_are_told():
    changes = ["search.start_points=strategies", "search.epoch_budget=100", "search.stop_at_target=true"]
    seen = preview(load_sweep("teacher", [*changes, "search.patience_trials=9", "space.dropout=0.1"]))
    assert seen.start_points == len(seen.strategies) == 5
    assert "dropout" not in seen.searched and "learning_rate" in seen.searched
    assert seen.limits == [
        "after 15 min of searching at the latest",
        "after 100 epochs",
        "after 9 trials that are no better",
        "below 30% WER",
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["corpus.root=nowhere"], "nowhere: corpus.root is no folder"),
        (["corpus.root=nowhere.csv"], "nowhere.csv"),
        (["pretrained=weights.pt"], "pretrained: .*weights.pt: no such file"),
        (["teacher=/"], "teacher: /: is a folder, not a file"),
        (["teacher=teacher.safetensors"], "teacher: .*teacher.safetensors: no such file"),
        (["pretraining.labels=aligned", "pretraining.align_with=a.pt"], "pretraining.align_with: .*a.pt: no such file"),
        (["search.warm_start=[runs/a]"], "search.warm_start: .*runs/a: no such folder"),
        (["search.prior=runs/a"], "search.prior: .*runs/a: no such folder"),
    ],
)
def test_what_is_named_and_not_there_is_missing(arguments, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sweep = load_sweep("teacher", arguments)
    (missing,) = preview(sweep).missing
    assert re.search(told, missing)
    assert any(line.startswith("missing") for line in describe_preview(preview(sweep), sweep))
    assert list(tmp_path.iterdir()) == []


def test_utterances_of_a_folder_are_counted_and_one_file_is_read(phoenix_folder, tmp_path):
    root = phoenix_folder(False)
    settings = [f"corpus.root={root}", "corpus.layout=base", f"corpus.cache={tmp_path / 'cache'}"]
    sweep = load_sweep("student", settings)
    first, *others = open_corpus(sweep.corpus).paths
    for file in others:
        file.write_bytes(b"no features")
    seen = preview(sweep)
    assert seen.missing == [] and seen.utterances["train"] > 0
    first.write_bytes(b"no features")
    (missing,) = preview(sweep).missing
    assert str(first) in missing
    assert not (tmp_path / "cache").exists()


def test_a_layout_of_another_width_is_told_before_anything_is_packed(phoenix_folder):
    root = phoenix_folder(False)
    (missing,) = preview(load_sweep("student", [f"corpus.root={root}", "corpus.layout=hands-2d"])).missing
    assert "1629 values a frame, but corpus.layout" in missing and "that width fits base" in missing


def test_lines_fit_into_eighty_columns():
    sweep = load_sweep("teacher", ["training.epochs=4"])
    lines = describe_preview(preview(sweep), sweep)
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("note") and "halving.min_epochs" in line for line in lines)


def test_hours_are_those_of_the_epochs_that_are_expected(monkeypatch):
    sweep = load_sweep("teacher", ["resources.concurrent=1"])
    monkeypatch.setattr("glosstune.search.driver.timing.mean_epoch_s", lambda sweep, say, device: 36.0)
    seen = timed(preview(sweep), sweep, print)
    assert seen.hours_at_most == pytest.approx(280 * 36 / 3600)
    assert seen.hours_expected == pytest.approx(182 * 36 / 3600)
    assert any("about 1.82 h, at most 2.8 h" in line for line in describe_preview(seen, sweep))


def test_a_check_is_a_command_and_its_answer_data(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("sweep", "student", "--check") == 0
    assert "all keys are in order" in capsys.readouterr().out
    assert run("sweep", "student", "--check", "--json", "search.warm_start=[runs/a]") == 1
    assert json.loads(capsys.readouterr().out)["epochs_at_most"] == 16 * 18
    assert run("sweep", "--check", "search.target=30") == 2
    assert "did you mean 0.3?" in capsys.readouterr().err
    assert run("sweep", "student", "--json") == 2
    assert "--json: goes with --check alone" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
