"""What a short decay and averaged weights give: python benchmarks/finishes.py [--short]

Read from the recorded tasks (see record_tasks.py), nothing is trained. At the end of each recorded decay of two epochs
stand the WER of its weights, of the weights that went on at a constant rate instead, and of their average over an
epoch. Ratios are geometric means over all decays of a task; below 1 the first is better. Then the device-seconds of the
recorded run that is quickest to what a fifth and a tenth of the configurations come to, scored by the weights of the
last step and by their average.
"""

import argparse
import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from replay.tasks import TASKS, seconds_to

SHARES = (0.2, 0.1)
FLOOR = 0.005  # a WER of 0 has no logarithm


def decays(table: pd.DataFrame) -> Iterator[tuple[float, float, float]]:
    """WER after a decay, at a constant rate until the same epoch, and averaged there."""
    for _, rows in table.groupby("configuration"):
        trunk = rows[rows["branch"] == 0].set_index("epoch")
        for _, branch in rows[rows["branch"] > 0].groupby("branch"):
            last = branch.iloc[-1]
            if last["epoch"] in trunk.index:
                constant = trunk.loc[last["epoch"]]
                yield last["wer"], constant["wer"], constant["wer_averaged"]


def ratio(pairs: list[tuple[float, float]]) -> str:
    logs = [math.log(max(one, FLOOR) / max(other, FLOOR)) for one, other in pairs]
    return f"{math.exp(float(np.mean(logs))):.2f}" if logs else "none"


def quickest(table: pd.DataFrame, score: str, target: float) -> float:
    """Device-seconds of the quickest trunk to a WER below the target."""
    trunks = table[table["branch"] == 0].groupby("configuration")
    return min(seconds_to(rows, target, score) for _, rows in trunks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="the first task only")
    options = parser.parse_args()
    heads = ["task", "configurations", "decays", "decay / constant", "average / constant", "decay / average"]
    heads += [f"{share:.0%}: WER, last step, average" for share in SHARES]
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    for path in sorted(TASKS.glob("*.parquet"))[: 1 if options.short else None]:
        table = pd.read_parquet(path)
        ends = list(decays(table))
        cells = [path.stem, table["configuration"].nunique(), len(ends)]
        cells += [
            ratio([(decayed, constant) for decayed, constant, _ in ends]),
            ratio([(averaged, constant) for _, constant, averaged in ends]),
            ratio([(decayed, averaged) for decayed, _, averaged in ends]),
        ]
        best = table[table["branch"] == 0].groupby("configuration")["wer_averaged"].min()
        for share in SHARES:
            target = float(np.quantile(best, share, method="lower")) + 1e-6
            latest, averaged = (quickest(table, score, target) for score in ("wer", "wer_averaged"))
            cells.append(f"{target:.1%}: {'never' if math.isinf(latest) else f'{latest:.0f} s'}, {averaged:.0f} s")
        print(f"| {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    main()
