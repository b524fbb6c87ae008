"""A driver to be killed: python crash_driver.py FOLDER SAMPLES WORKERS [RAY ADDRESS]"""

import os
import sys
from pathlib import Path

os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ["RAY_AIR_NEW_OUTPUT"] = "0"

import ray
from player import SlowPlayer, play
from replay import crash_plan
from rich.console import Console

from glosstune.results.record import read_record
from glosstune.search.driving import RECORD, drive, write_sweep
from glosstune.search.ownership import owned
from glosstune.search.record import Record


def main() -> None:
    folder, samples, workers = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    plan = crash_plan(samples, f"resources.concurrent={workers}")
    options = {"address": sys.argv[4]} if len(sys.argv) > 4 else {"num_cpus": 2, "include_dashboard": False}
    ray.init(log_to_driver=False, logging_level="ERROR", **options)
    record = Record(folder / RECORD)
    with owned(folder):
        if record.path.exists():
            record.repair()
            events = [*read_record(folder).events, record.append("resume", changes={})]
        else:
            write_sweep(plan, folder)
            events = [record.append("sweep", id="crash", samples=samples, epochs=18, metric="wer", target=0.3)]
        drive(plan, folder, events, Console(stderr=True), print, trainable=play(plan, folder, SlowPlayer))


main()
