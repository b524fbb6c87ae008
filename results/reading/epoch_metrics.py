"""What is measured in every epoch: the one table that sessions report, records keep and data frames show."""

from typing import Final, NamedTuple

from glosstune.results.text import printable

# The rule of ``corpus.scoring`` that counts glosses as they are annotated.
PLAIN: Final = "plain"


class Column(NamedTuple):
    """A column of a data frame.

    Attributes:
        dtype: of pandas.
        unit: of its values; empty where they have none.
        meaning: one line, as ``docs/results.md`` has it.
    """

    dtype: str
    unit: str
    meaning: str


METRICS = {
    "wer": Column("float64", "fraction", "word error rate on dev by `corpus.scoring`, decoded greedily; may exceed 1"),
    "best_wer": Column("float64", "fraction", "the lowest `wer` so far"),
    "wer_plain": Column("float64", "fraction", "the same of glosses as they are annotated, by plain edit distance"),
    "train_loss": Column("float64", "nats a gloss", "CTC loss of the training utterances as they were learned from"),
    "dev_loss": Column("float64", "nats a gloss", "CTC loss on dev"),
    "distillation_loss": Column("float64", "nats a frame", "divergence from the teacher; 0 without one"),
    "loss_below_floor": Column("float64", "fraction", "how far `train_loss` is below the CTC floor"),
    "loss_below_floor_se": Column("float64", "fraction", "its standard error over the utterances of the epoch"),
    "blank_ratio": Column("float64", "fraction", "output frames on dev of which blank is the likeliest"),
    "deletion_rate": Column("float64", "fraction", "glosses left out, over those of the references on dev"),
    "insertion_rate": Column("float64", "fraction", "glosses too many, over the same"),
    "substitution_rate": Column("float64", "fraction", "glosses taken for others, over the same"),
    "grad_norm": Column("float64", "", "norm of the gradient before it is clipped, mean over steps"),
    "learning_rate": Column("float64", "", "of the last step"),
    "frames_per_s": Column("float64", "frames/s", "frames of the training split over the seconds it took"),
    "epoch_s": Column("float64", "s", "training and scoring"),
    "trainable_params": Column("Int64", "", "parameters that were not frozen"),
    "infeasible_utterances": Column("Int64", "", "training utterances with too few frames for their glosses"),
    "nonfinite_steps": Column("Int64", "", "steps left out, their loss or gradient being no finite number"),
    "micro_batches": Column("Int64", "", "parts that each batch went through the model in; 2 after memory ran out"),
    "peak_gpu_mb": Column("float64", "MiB", "most memory of the GPU in use at once; 0 on the CPU"),
}


def by_scoring(scoring: str | None) -> str:
    """What stands behind a WER: the rule that it is counted by, where it is another one than the plain."""
    return "" if scoring is None or scoring == PLAIN else f" by {printable(scoring)}"
