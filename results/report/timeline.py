"""Say which trial trained when, on lanes of which each had one trial at a time."""

import heapq

import pandas as pd

from glosstune.results.reading.columns import TIME
from glosstune.results.reading.frames import build_frame
from glosstune.results.reading.loading import Results

SEGMENT_COLUMNS = {
    "sweep": "string",
    "trial": "int64",
    "lane": "int64",
    "begun": TIME,
    "ended": TIME,
    "epochs": "int64",
}

# Between epochs of one segment lie checkpoints and Ray; a longer pause is a wait at a rung.
_PAUSE_S = 5.0

# Of an epoch; a record may come from elsewhere.
_LONGEST_S = 1e8


def list_segments(results: Results) -> pd.DataFrame:
    """A row for each time a trial trained without a pause, in order; lanes are counted from 0 in each sweep.

    What has no times, such as Ray's CSV alone, has no segments.
    """
    epochs = results.epochs[results.epochs["time"].notna()].sort_values(["sweep", "trial", "epoch"], kind="stable")
    rows = []
    for (sweep, trial), own in epochs.groupby(["sweep", "trial"], sort=False):
        ended = own["time"]
        begun = ended - pd.to_timedelta(own["epoch_s"].fillna(0.0).clip(0.0, _LONGEST_S), unit="s")
        pause_s = (begun - ended.shift()).dt.total_seconds()
        # Earlier than the epoch before: another driver went on under a clock that had been set back.
        segment = ((pause_s > _PAUSE_S + own["epoch_s"].fillna(0.0)) | (ended < ended.shift())).cumsum()
        for _, part in own.assign(begun=begun).groupby(segment):
            rows.append(
                {"sweep": sweep, "trial": trial, "begun": part["begun"].iloc[0], "ended": part["time"].iloc[-1]}
            )
            rows[-1]["epochs"] = len(part)
    rows.sort(key=lambda row: (row["sweep"], row["begun"]))
    free: dict[str, list[tuple[pd.Timestamp, int]]] = {}
    lanes: dict[str, int] = {}
    for row in rows:
        waiting = free.setdefault(row["sweep"], [])
        # An epoch's seconds are its own; a millisecond of overlap is no second worker.
        if waiting and waiting[0][0] <= row["begun"] + pd.Timedelta(seconds=1):
            row["lane"] = heapq.heappop(waiting)[1]
        else:
            row["lane"] = lanes.get(row["sweep"], 0)
            lanes[row["sweep"]] = row["lane"] + 1
        heapq.heappush(waiting, (row["ended"], row["lane"]))
    plain = [{**row, "begun": row["begun"].isoformat(), "ended": row["ended"].isoformat()} for row in rows]
    return build_frame(plain, SEGMENT_COLUMNS)
