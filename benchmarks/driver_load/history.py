"""The record of a driver that was killed after thousands of trials."""

import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from driver_load.made_up import EPOCHS, MIN_EPOCHS, REDUCTION, replayed
from glosstune.results.reading.events import FORMAT
from glosstune.results.reading.names import RECORD
from glosstune.search import Sweep
from glosstune.search.storage.sweep_folder import SweepFolder, write_sweep


def write_history(folder: Path, sweep: Sweep, trials: int, running: int) -> None:
    """Write the record of a driver that was killed: trials compared at all rungs, and others in their first epochs."""
    generator, lines = random.Random(0), []
    now = datetime.now(UTC).isoformat(timespec="milliseconds")

    def tell(event: str, **fields: Any) -> None:
        lines.append(json.dumps({"event": event, "time": now, **fields}))

    def train(number: int, first: int, last: int) -> None:
        for epoch in range(first, last + 1):
            metrics = replayed(configurations[number], epoch)
            tell("report", trial=number, epoch=epoch, metrics=metrics, node="node-17")

    told = {"samples": sweep.search.samples, "metric": sweep.search.metric, "target": sweep.search.target}
    tell("sweep", format=FORMAT, id="1", epochs=EPOCHS, **told)
    configurations = [sweep.space.sample(generator) for _ in range(trials)]
    for number, configuration in enumerate(configurations):
        tell("trial", trial=number, configuration=configuration, source="tpe")
    stay = range(trials - running, trials)
    for number in stay:
        train(number, 1, 1)
    going, done, rung = list(range(trials - running)), 0, 0
    while (milestone := MIN_EPOCHS * REDUCTION**rung) < EPOCHS:
        for number in going:
            train(number, done + 1, milestone)
        scored = sorted((replayed(configurations[number], milestone)["wer"], number) for number in going)
        quota = len(going) // REDUCTION
        for rank, (score, number) in enumerate(scored, start=1):
            told = {"trial": number, "rung": rung, "rank": rank, "rivals": len(going), "quota": quota, "score": score}
            tell("pause", **told, reason=f"halving: waits, {rank} of {len(going)} at rung {rung}")
        going = [number for _, number in scored[:quota]]
        for rank, number in enumerate(going, start=1):
            told = {"trial": number, "rung": rung, "rank": rank, "rivals": len(scored), "quota": quota}
            tell("promote", **told, reason=f"halving: goes on, {rank} of {len(scored)}", carried=False)
        done, rung = milestone, rung + 1
    for number in going:
        train(number, done + 1, EPOCHS)
        reason = f"all {EPOCHS} epochs"
        tell("end", trial=number, status="finished", rule="finished", reason=reason)
    (folder / RECORD).write_text("\n".join(lines) + "\n")
    write_sweep(sweep, SweepFolder(folder))
