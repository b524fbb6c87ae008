"""The walk through the results guide runs as it is printed, on sweeps that the search itself has recorded."""

import json
import re
import warnings
from pathlib import Path

import pytest
import yaml
from replay import Tape, drive, learning, sweep

from glosstune.search.scheduler.scheduler import Scheduler

GUIDE = Path(__file__).parents[2] / "docs" / "results.md"
SPACE = (
    "{strategy: {choice: [baseline, progressive]}, unfreeze_stages: {int: [2, 5], when: {strategy: progressive}}, "
    "learning_rate: {float: [1e-5, 1e-1], log: true}, dropout: {float: [0, 0.5]}}"
)


def record(folder: Path, seed: int) -> None:
    """Leave a replayed sweep of 32 trials in a folder."""
    plan = sweep(
        f"space={SPACE}", "pretrained=auto", "search.samples=32", f"search.seed={seed}", "halving.min_epochs=2"
    )
    search = plan.search
    tape = Tape()
    known = {"samples": search.samples, "epochs": plan.training.epochs, "metric": "wer", "target": search.target}
    tape.append("sweep", format=1, id="a", **known)
    scheduler = Scheduler(plan, tape.append, slots=lambda: 2, events=tape.told)
    drive(scheduler, learning, seed=seed)
    folder.mkdir(parents=True)
    (folder / "sweep.yaml").write_text(yaml.safe_dump(plan.resolved()))
    (folder / "record.jsonl").write_text("".join(json.dumps(event) + "\n" for event in tape.events))


def test_the_walk_runs_as_it_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("a", "b")):
        record(tmp_path / "runs" / name, seed)
    names: dict[str, object] = {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "importance of")  # which the guide explains
        for code in re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL):
            exec(compile(code, str(GUIDE), "exec"), names)
    printed = capsys.readouterr().out
    for told in ("epoch_of_best", "incumbent", "went_on", "saved_share", "ped-anova", "ahead", "rung 0, epoch 2"):
        assert told in printed
