"""The columns of the data frames that folders of sweeps are read into; ``docs/results.md`` has the same tables."""

from collections.abc import Mapping

from glosstune.results.reading.epoch_metrics import METRICS, Column
from glosstune.results.reading.indicators import INDICATORS
from glosstune.results.reading.objectives import COSTS

TIME = "datetime64[ns, UTC]"

_SWEEP = Column("string", "", "name of the folder, or as much of its path as tells sweeps apart")
_TRIAL = Column("int64", "", "its number in the sweep")

SWEEP_COLUMNS = {
    "sweep": _SWEEP,
    "folder": Column("string", "", "path or URI"),
    "metric": Column("string", "", "that trials are ranked by"),
    "objectives": Column("string", "", "that it weighs against each other, joined by commas; NA for the metric alone"),
    "target": Column("float64", "fraction", "the WER that it aims for"),
    "scoring": Column("string", "", "the rule that its WER is counted by (`corpus.scoring`), NA where nobody says"),
    "samples": Column("Int64", "", "trials that it was to have"),
    "epochs": Column("Int64", "", "of a full trial"),
    "cpus": Column("float64", "", "of a trial"),
    "gpus": Column("float64", "", "of a trial; a share where several trials have one together"),
    "began": Column(TIME, "", "when its first driver began"),
    "ended": Column(TIME, "", "when a driver was last heard of"),
    "seconds": Column("float64", "s", "that drivers ran for, pauses between them not counted"),
    "over": Column("string", "", "why it ended before its trials did, in words"),
}

# Which epoch a row is of; its metrics follow.
EPOCH_KEYS = {
    "sweep": _SWEEP,
    "trial": _TRIAL,
    "epoch": Column("int64", "", "counted from 1"),
    "time": Column(TIME, "", "when it was reported"),
    "node": Column("string", "", "the machine that trained it"),
}
EPOCH_COLUMNS = EPOCH_KEYS | METRICS

# What ``rank_trials`` puts before a frame of trials.
RANK_COLUMNS = ("rank", "value", "value_epoch")

TRIAL_COLUMNS = {
    "sweep": _SWEEP,
    "trial": _TRIAL,
    "trial_id": Column("string", "", "name of its folder below `trials/`, or Ray's own"),
    "source": Column("string", "", "what suggested it: `start point`, `queue`, `prior`, or the sampler"),
    "status": Column(
        "string",
        "",
        "`running`, `paused` (at a rung), `interrupted` (by a signal, or its driver was killed), `finished`, `stopped` "
        "or `failed`",
    ),
    "stop_rule": Column("string", "", "what ended or paused it, in a word"),
    "stop_reason": Column("string", "", "the same in full"),
    "error": Column("string", "", "of a failed trial"),
    "epochs": Column("int64", "", "that it reported"),
    "wer_last": Column("float64", "fraction", "of its last epoch; may exceed 1"),
    "wer_best": Column("float64", "fraction", "the lowest of any epoch"),
    "epoch_of_best": Column("Int64", "", "the first with the lowest WER"),
    "loss_last": Column("float64", "nats a gloss", "training loss of its last epoch"),
    "loss_best": Column("float64", "nats a gloss", "the lowest training loss of any epoch"),
    "train_seconds": Column("float64", "s", "of all its epochs"),
    "gpu_hours": Column("float64", "h", "the same times `resources.gpu`"),
    "node": Column("string", "", "the machine that trained its last epoch"),
    "trainable_params": Column("Int64", "", "in its last epoch"),
    **COSTS,
    **{name: Column("boolean", "", f"success indicator: {words}") for name, words in INDICATORS.items()},
    "best_checkpoint": Column("string", "", "path or URI of the weights with the lowest WER, where they exist"),
    "last_checkpoint": Column("string", "", "the same of the last epoch"),
}

DECISION_COLUMNS = {
    "sweep": _SWEEP,
    "time": Column(TIME, "", "when it was taken"),
    "trial": _TRIAL,
    "epoch": Column("int64", "", "the last that the trial had done"),
    "decision": Column(
        "string",
        "",
        "`begins`, `waits` (at a rung, or between rungs where it led), `goes on` (by rank, or as the best), "
        "`is carried on` (the best, when nobody else could go on), "
        "`goes on after a break`, `starts again` (its process died) or `ends`",
    ),
    "rung": Column("Int64", "", "counted from 0; this and the next four are NA where no rung was involved"),
    "rank": Column("Int64", "", "among those at the rung that can go on or have, counted from 1"),
    "rivals": Column("Int64", "", "trials that had come to the rung, itself included"),
    "quota": Column("Int64", "", "how many of them may go on"),
    "score": Column("float64", "", "that they are ranked by (see [docs/search.md](search.md))"),
    "rule": Column("string", "", "what ended it, in a word"),
    "reason": Column("string", "", "of the decision, in full"),
}

# What a confirmation came to; types alone.
CONFIRMATION_COLUMNS = {
    "scoring": "string",
    "trial": "int64",
    "seeds": "int64",
    "sweep_wer": "float64",
    "dev_wer": "float64",
    "dev_sd": "float64",
    "optimism": "float64",
    "test_wer": "float64",
    "test_sd": "float64",
    "test_low": "float64",
    "test_high": "float64",
    "behind": "float64",
    "behind_low": "float64",
    "behind_high": "float64",
}


def dtypes(columns: Mapping[str, Column]) -> dict[str, str]:
    """The types of columns, by name."""
    return {name: column.dtype for name, column in columns.items()}
