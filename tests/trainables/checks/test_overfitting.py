"""A sound model learns a few utterances by heart, one that cannot does not, and what went wrong is said."""

import math

import pandas as pd
import pytest

from glosstune.results.reading.epoch_metrics import METRICS
from glosstune.spaces.errors import CorpusError
from glosstune.trainables.checks.overfitting import PRESETS, OverfitSettings, _warnings, choose_samples, overfit
from glosstune.trainables.corpora import PackedCorpus
from glosstune.trainables.ctc.floor import corpus_floor
from glosstune.trainables.settings import CorpusSettings, Gains, ModelSettings

STUDENT = ModelSettings(width=0.25)
QUICK = OverfitSettings(samples=2, epochs=400, learning_rate=5e-3, warmup_epochs=5, dropout=0.0)


def _loud_hands(settings: CorpusSettings) -> CorpusSettings:
    return settings.model_copy(update={"gains": Gains(pose=0.2, face=0, velocity=0.2, acceleration=0.05)})


@pytest.mark.slow
def test_a_student_learns_two_utterances_by_heart(small_settings: CorpusSettings, small_corpus: PackedCorpus) -> None:
    heard: list[float] = []
    result = overfit(
        STUDENT, _loud_hands(small_settings), small_corpus, QUICK, lambda metrics: heard.append(metrics["epoch"])
    )
    assert result.passed
    last = result.curve.iloc[-1]
    assert last["train_loss"] < 0.1 and last["wer"] == 0
    assert heard == list(range(1, result.epochs + 1))
    assert set(METRICS) < set(result.curve)
    assert (result.utterances["reference"] == result.utterances["hypothesis"]).all()
    # Of the two utterances, which hold fewer glosses than the corpus, and is not taken for that of the corpus.
    assert result.floor < corpus_floor(small_corpus, "train", STUDENT.time_stride)
    again = overfit(STUDENT, _loud_hands(small_settings), small_corpus, QUICK)
    assert again.epochs == result.epochs


def test_a_rate_of_nothing_does_not_pass(small_settings: CorpusSettings, small_corpus: PackedCorpus) -> None:
    hopeless = QUICK.model_copy(update={"learning_rate": 1e-9, "epochs": 3})
    result = overfit(STUDENT, small_settings, small_corpus, hopeless)
    assert not result.passed and result.epochs == 3
    assert result.warnings == ("the loss never left the CTC floor: the model makes no use of its input",)


def test_samples_are_training_utterances_that_ctc_can_align(small_corpus: PackedCorpus) -> None:
    chosen = choose_samples(small_corpus, 5, 4, seed=0)
    assert len(set(chosen)) == 5 and set(chosen) <= set(small_corpus.rows("train"))
    assert chosen == choose_samples(small_corpus, 5, 4, seed=0) != choose_samples(small_corpus, 5, 4, seed=1)
    with pytest.raises(
        CorpusError, match=r"only \d+ training utterances can be aligned at model\.time_stride 4, 1000 are"
    ):
        choose_samples(small_corpus, 1000, 4, seed=0)


def test_presets_are_those_of_their_author() -> None:
    default, a, b, c = (PRESETS[name] for name in ("default", "A", "B", "C"))
    assert (default.samples, default.learning_rate, default.warmup_epochs, default.epochs) == (5, 1e-3, 50, 2000)
    assert (default.optimizer, default.dropout, default.weight_decay, default.clip_norm) == ("adam", 0.1, 0.0, 1.0)
    assert (a.learning_rate, a.warmup_epochs, a.dropout) == (5e-4, 100, 0.05)
    assert (b.optimizer, b.weight_decay) == ("adamw", 0.01)
    assert (c.samples, c.dropout, c.epochs) == (3, 0.0, 4000)


def _curve(**columns: list[float]) -> pd.DataFrame:
    frame = pd.DataFrame(columns)
    sound = {"nonfinite_steps": 0, "grad_norm": 1.0, "wer": 0.5, "loss_below_floor": 0.5, "blank_ratio": 0.5}
    return frame.assign(epoch=range(1, len(frame) + 1), **{k: v for k, v in sound.items() if k not in frame})


@pytest.mark.parametrize(
    ("curve", "told"),
    [
        (_curve(wer=[1, 0.5]), ()),
        (_curve(nonfinite_steps=[0, 1, 1]), ("NaN or infinity in 2 of 3 steps, first at epoch 2",)),
        (
            _curve(grad_norm=[1, 250, math.nan, 120]),
            ("gradient norm above 100 in 2 of 4 steps, highest 250 at epoch 2",),
        ),
        (_curve(blank_ratio=[0.5, 0.99]), ("blank collapse: 99.0% of the output is blank",)),
        (_curve(wer=[1, 0], loss_below_floor=[0, 0]), ()),
    ],
)
def test_what_should_not_happen_on_the_way_is_told(curve: pd.DataFrame, told: tuple[str, ...]) -> None:
    assert _warnings(curve) == told
