"""What a recogniser costs whoever runs it: parameters, bytes, and time on this device."""

from collections.abc import Sequence

from glosstune.results.reading.objectives import MEASURED
from glosstune.trainables.corpora import PackedCorpus
from glosstune.trainables.export.comparing import BATCH_SIZES, TIMED_UTTERANCES, spread_rows, time_in_turn
from glosstune.trainables.export.exporting import TrainedRecogniser

_ROUNDS = 5


def measure_costs(recogniser: TrainedRecogniser, corpus: PackedCorpus, objectives: Sequence[str]) -> dict[str, float]:
    """Every one of ``objectives.COSTS``; those that take time only where they are among the objectives.

    Time is rounded to two digits: what differs by less differs by chance.
    """
    costs = {
        "parameters": float(sum(parameter.numel() for parameter in recogniser.model.parameters())),
        "size_mb": sum(tensor.nbytes for tensor in recogniser.model.state_dict().values()) / 1e6,
    }
    if set(MEASURED) & set(objectives):
        rows, alone, together = spread_rows(corpus, TIMED_UTTERANCES), min(BATCH_SIZES), max(BATCH_SIZES)
        if "latency_ms" in objectives:
            (speed,) = time_in_turn([recogniser], corpus, rows, alone, _ROUNDS)
            costs["latency_ms"] = _in_two_digits(speed.utterance_ms_median)
        if "dev_frames_per_s" in objectives:
            (speed,) = time_in_turn([recogniser], corpus, rows, together, _ROUNDS)
            costs["dev_frames_per_s"] = _in_two_digits(speed.frames_per_s)
    return costs


def _in_two_digits(amount: float) -> float:
    return float(f"{amount:.2g}")
