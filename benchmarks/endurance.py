"""What grows while a sweep runs for hours: python benchmarks/endurance.py [--trials N] [--epoch-s S] [--json FILE]

Trials whose epochs are pauses and whose curves are a formula run through the whole stack, two at a time: Ray, record,
study, TensorBoard, checkpoints. After each of fifty equal parts of the trials, memory and open files of the driver, of
trials and of Ray's processes are noted, what lies on the disk, and what the driver has written until then.

Printed are the sizes after a tenth, a half and all of the trials, and what each grows by a thousand trials: the slope
of a straight line through the second half, in which nothing loads any more. With --real the trials train, a small
student on 24 sentences. --short shows that it runs.
"""

import argparse
import json
from pathlib import Path

import optuna
from driver_load.lasting import measure_growth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=3_000, metavar="N")
    parser.add_argument("--epoch-s", type=float, default=0.5, metavar="S", help="how long an epoch takes")
    parser.add_argument("--real", action="store_true", help="trials that train")
    parser.add_argument("--json", type=Path, metavar="FILE", help="file for all that was noted")
    parser.add_argument("--short", action="store_true", help="only shows that it runs")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trials, epoch_s = (12, 0.0) if options.short else (options.trials, options.epoch_s)
    noted = measure_growth(trials, epoch_s, real=options.real)
    if options.json is not None:
        options.json.write_text(json.dumps(noted, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
