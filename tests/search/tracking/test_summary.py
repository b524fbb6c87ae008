import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from sweep_folder import SweepFolder

from glosstune.results import load_results
from glosstune.search.storage.record import Record
from glosstune.search.tracking.summary import summarise


class Sweep:
    """Writes a record, trial by trial, and reads the summary of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = Record(folder / "record.jsonl")
        self.record.append("sweep", format=1, id="1", samples=4, epochs=12, metric="wer", target=0.3)
        self.trials = 0

    def add(self, configuration: dict[str, Any], wers: list[float], status: str = "finished") -> None:
        self.record.append("trial", trial=self.trials, configuration=configuration, source="tpe")
        for epoch, wer in enumerate(wers, start=1):
            metrics = {"wer": wer, "train_loss": 4 / epoch, "dev_loss": 5 / epoch}
            self.record.append("report", trial=self.trials, epoch=epoch, metrics=metrics)
        self.record.append("end", trial=self.trials, status=status, rule=status, reason="all epochs")
        self.trials += 1

    def summary(self, *, terminal: bool = False, width: int = 80) -> list[str]:
        console = Console(file=io.StringIO(), force_terminal=terminal, width=width)
        summarise(load_results(self.folder), console)
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue().splitlines()


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return Sweep(tmp_path)


def _compared(lines: list[str]) -> list[list[str]]:
    """The cells of the table of strategies, heading first."""
    start = next(place for place, line in enumerate(lines) if line.startswith("strategy"))
    table = [lines[start], *(line for line in lines[start + 1 :] if line.startswith(" "))]
    return [re.split(r"\s{2,}", line.strip()) for line in table]


def test_each_strategy_is_a_line_with_its_best_trial(sweep: Sweep) -> None:
    sweep.add({"strategy": "progressive", "learning_rate": 1e-4}, [0.9, 0.25, 0.28])
    sweep.add({"strategy": "baseline", "learning_rate": 5e-4}, [0.99, 0.98])
    sweep.add({"strategy": "baseline", "learning_rate": 3e-4}, [0.99, 0.97])
    lines = sweep.summary()
    assert _compared(lines) == [
        ["strategy", "trials", "best WER", "at epoch", "learning rate", "epochs spent"],
        ["baseline (from scratch)", "2", "97.0%", "2", "0.0003", "4"],
        ["progressive", "1", "25.0%", "2", "0.0001", "3"],
    ]
    assert lines[1] == "best      trial 0: WER 25.0% on dev at epoch 2"


def test_columns_of_the_table_are_aligned_whatever_the_console(sweep: Sweep) -> None:
    sweep.add({"strategy": "full-finetune", "learning_rate": 1e-5}, [0.5])
    sweep.add({"strategy": "baseline", "learning_rate": 5e-4}, [1.25] * 12)
    for terminal, width in ((False, 80), (False, 20), (True, 120)):
        lines = sweep.summary(terminal=terminal, width=width)
        table = [line for line in lines if line.startswith(("strategy ", "  "))]
        assert len({len(line) for line in table}) == 1
        assert not any("\x1b" in line for line in lines)


def test_strategy_none_of_whose_trials_reported_says_so(sweep: Sweep) -> None:
    sweep.add({"strategy": "fine-tune"}, [], status="failed")
    sweep.add({"strategy": "baseline"}, [0.9])
    assert _compared(sweep.summary())[1:] == [
        ["baseline (from scratch)", "1", "90.0%", "1", "-", "1"],
        ["fine-tune", "1", "none reported", "-", "-", "0"],
    ]


@pytest.mark.parametrize("configuration", [{"dropout": 0.1}, {"strategy": "baseline"}])
def test_sweep_of_one_strategy_compares_nothing(sweep: Sweep, configuration: dict[str, Any]) -> None:
    sweep.add(configuration, [0.9])
    sweep.add(configuration, [0.8])
    labels = [line.split()[0] for line in sweep.summary()]
    assert labels == ["trials", "best", "target", "success", "recipe", "folder", "weights", "picture", "look", "next"]


def test_indicators_of_the_best_trial_are_told_in_words(sweep: Sweep) -> None:
    sweep.add({"dropout": 0.1}, [0.95] * 9 + [0.65, 0.5])
    (line,) = (line for line in sweep.summary() if line.startswith("success"))
    assert line == (
        "success   reached: training loss < 3.0, dev loss follows training loss; missed: WER < 60% by epoch 10; "
        "not decided: WER < 40% by epoch 20, WER < 30% by epoch 40"
    )


def test_sweep_without_a_report_says_where_to_look(sweep: Sweep) -> None:
    line, again = sweep.summary()
    assert line == "no trial reported a WER (none started); it ended before the first trial"
    assert again == f"next      glosstune resume {sweep.folder}"
    sweep.add({"strategy": "baseline"}, [], status="failed")
    sweep.add({"strategy": "fine-tune"}, [], status="failed")
    line, again = sweep.summary(terminal=False)
    assert again == f"next      glosstune explain {sweep.folder} 0"
    assert line == f"no trial reported a WER (2 failed); read {sweep.folder}/trials/*/trial.log"


@pytest.mark.parametrize(("wer", "told"), [(0.2, "better by 5.0%"), (0.4, "worse by 15.0%")])
def test_a_teacher_is_set_against_the_best_trial(sweep: Sweep, wer: float, told: str) -> None:
    sweep.add({"alpha": 0.7}, [0.9, 0.25])
    assert not any(line.startswith("teacher") for line in sweep.summary())
    manifest = {
        "corpus": {"key": "a", "scoring": "plain"},
        "pretrained": None,
        "gains": {},
        "versions": {},
        "machine": {},
    }
    teacher = {"sha256": "b", "wer": wer}
    (sweep.folder / "manifest.json").write_text(json.dumps({**manifest, "teacher": teacher}))
    lines = sweep.summary()
    assert f"teacher   WER {wer:.1%} on dev, {told}" in lines
    warning = [line for line in lines if line.startswith("warning")]
    assert bool(warning) == (wer > 0.25)
    assert all("40.0%" in line and "25.0%" in line for line in warning)


def _ending(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith(("ended", "cut off", "look", "next"))]


def test_the_end_of_a_budget_says_what_was_cut_off_and_how_to_go_on(sweep: Sweep) -> None:
    (sweep.folder / "sweep.yaml").write_text("search: {time_budget_min: 7.5, epoch_budget: 90}")
    sweep.add({"dropout": 0.1}, [0.9, 0.5], status="interrupted")
    for rule, command in (("time budget", "search.time_budget_min=15"), ("epoch budget", "search.epoch_budget=180")):
        sweep.record.append("over", rule=rule, reason=f"{rule} used up")
        assert _ending(sweep.summary()) == [
            f"ended     {rule} used up",
            "cut off   trial 0, the best, after 2 of 12 epochs",
            f"look      glosstune report {sweep.folder}",
            f"next      glosstune resume {sweep.folder} {command}",
        ]


def test_what_is_next_after_the_last_trial_depends_on_the_target(sweep: Sweep) -> None:
    sweep.add({"dropout": 0.1}, [0.5] * 12)
    look = f"look      glosstune report {sweep.folder}"
    assert _ending(sweep.summary()) == [look, f"next      glosstune resume {sweep.folder} --samples +4"]
    sweep.add({"dropout": 0.1}, [0.2] * 12)
    assert _ending(sweep.summary()) == [look, f"next      glosstune confirm {sweep.folder}"]


def test_after_a_sweep_that_stayed_on_the_plateau_a_diagnosis_is_next(sweep: Sweep) -> None:
    sweep.add({"dropout": 0.1}, [0.97] * 12)
    assert _ending(sweep.summary())[-1] == f"next      glosstune diagnose --trial {sweep.folder} 0"


def test_a_sweep_that_was_resumed_has_not_ended_as_before(sweep: Sweep) -> None:
    sweep.add({"dropout": 0.1}, [0.2] * 12)
    sweep.record.append("over", rule="interrupt", reason="interrupted by SIGINT")
    assert _ending(sweep.summary())[-1] == f"next      glosstune resume {sweep.folder}"
    sweep.record.append("resume", changes={})
    assert _ending(sweep.summary())[-1] == f"next      glosstune confirm {sweep.folder}"


def test_with_several_objectives_each_trial_of_the_front_is_a_line(tmp_path: Path) -> None:
    record = Record(tmp_path / "record.jsonl")
    known = {"format": 1, "id": "1", "samples": 12, "epochs": 1, "metric": "wer", "target": 0.3}
    record.append("sweep", **known, objectives=["wer", "parameters", "latency_ms"])
    for trial in range(11):
        record.append("trial", trial=trial, configuration={"width": 1 / (trial + 1)}, source="tpe")
        costs = {"parameters": 98765.0 - trial, "size_mb": 1.0, "latency_ms": 1.5 - trial / 10}
        metrics = {"wer": 0.2 + trial / 100, "train_loss": 1.0, "dev_loss": 1.0}
        record.append("report", trial=trial, epoch=1, metrics=metrics, costs=costs)
    console = Console(file=io.StringIO(), width=80)
    summarise(load_results(tmp_path), console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]  # a StringIO
    place = next(place for place, line in enumerate(lines) if line.startswith("front "))
    assert [line.split() for line in lines[place : place + 3]] == [
        ["front", "trial", "WER", "parameters", "latency_ms"],
        ["0", "20.0%", "98,765", "1.5"],
        ["1", "21.0%", "98,764", "1.4"],
    ]
    assert lines[place + 9] == f"{'':10}and 3 more: glosstune results {tmp_path} --front"


def test_a_front_of_a_loss_shows_that_loss_beside_wer(tmp_path: Path) -> None:
    sweep = SweepFolder(tmp_path / "a", objectives=["dev_loss", "parameters"])
    sweep.start(0, width=0.5, strategy="baseline")
    sweep.report(0, 1, wer=0.25, dev_loss=1.5, costs={"parameters": 5e4})
    console = Console(file=io.StringIO(), width=80)
    summarise(load_results(sweep.path), console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]  # a StringIO
    place = next(place for place, line in enumerate(lines) if line.startswith("front "))
    assert lines[place].split() == ["front", "trial", "WER", "dev_loss", "parameters"]
    assert lines[place + 1].split() == ["0", "25.0%", "1.5", "50,000"]


def test_with_one_objective_there_is_no_front(sweep: Sweep) -> None:
    sweep.add({"strategy": "baseline"}, [0.9])
    assert not any(line.startswith("front") for line in sweep.summary())
