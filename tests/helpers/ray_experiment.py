"""The folder of a plain Ray Tune experiment, file by file as Ray writes it."""

import json
from pathlib import Path
from typing import Any

SECONDS = 1_760_000_000


def result(iteration: float, **metrics: Any) -> dict[str, Any]:
    """A line as Ray writes it."""
    kept = {"training_iteration": iteration, "timestamp": SECONDS + 10 * iteration, "time_this_iter_s": 4.0}
    return kept | {"trial_id": "ab1_00000", "hostname": "box", "pid": 7, "done": False, "config": {"lr": 0.1}} | metrics


def write_trial(folder: Path, *rows: dict[str, Any], **configuration: Any) -> Path:
    """A trial with its results."""
    folder.mkdir(parents=True)
    (folder / "params.json").write_text(json.dumps(configuration))
    (folder / "result.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def write_state(
    experiment: Path, statuses: dict[str, str], *, key: str = "trial_data", date: str = "2026-01-01"
) -> Path:
    """The state of an experiment, by the id of each trial.

    Args:
        key: ``trial_data`` as today, with what a trial has come to beside it, or ``checkpoints`` as Ray 2.4 writes.
        date: in its name.
    """
    told = [json.dumps({"stub": False, "trial_id": id, "status": status}) for id, status in statuses.items()]
    listed: list[Any] = [[trial, "{}"] for trial in told] if key == "trial_data" else list(told)
    path = experiment / f"experiment_state-{date}_00-00-00.json"
    path.write_text(json.dumps({key: listed, "runner_data": {}, "stats": {"start_time": SECONDS}}))
    return path
