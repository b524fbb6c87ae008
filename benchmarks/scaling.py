"""What a sweep of thousands of trials asks of its driver: python benchmarks/scaling.py [--short] [--json FILE]

Trials whose epochs are pauses and whose curves are a formula run through the whole stack: on 1, 2 and 4 nodes of one
machine in turn, then a hundred at a time. Then up to a thousand at a time through the driver alone, in whose loop Ray
is replaced by a queue, with 100, 1,000 and 10,000 trials in the record: reports a second and what their time goes to,
memory, and how long it takes to resume. --parts says which of these are run.
"""

import argparse
import json
from pathlib import Path

import optuna
from driver_load.alone import measure_record
from driver_load.nodes import measure_nodes
from driver_load.together import measure_driver


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measures = {"nodes": measure_nodes, "driver": measure_driver, "record": measure_record}
    parser.add_argument("--parts", nargs="+", choices=measures, default=list(measures))
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--short", action="store_true", help="only shows that it runs")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    figures = {part: measures[part](options.short) for part in options.parts}
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
