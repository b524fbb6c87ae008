import pytest
from hypothesis import given
from hypothesis import strategies as st

from glosstune.trainables.training.schedule import FINAL_FACTOR, learning_rate_factor


def _factor(progress: float, **changes: object) -> float:
    settings = {"epochs": 20, "warmup_epochs": 4, "schedule": "constant", "final_decay": 0.2, **changes}
    return learning_rate_factor(progress, **settings)  # type: ignore[arg-type]  # values vary by test


def test_rate_rises_in_warmup_stays_and_falls_at_the_end() -> None:
    assert [_factor(p) for p in (1, 2, 4, 10, 16)] == [0.25, 0.5, 1, 1, 1]
    assert _factor(20) == pytest.approx(FINAL_FACTOR)
    assert FINAL_FACTOR < _factor(18) < 1


def test_runs_of_different_length_are_the_same_run_until_the_decay() -> None:
    for progress in range(1, 17):
        assert _factor(progress) == _factor(progress, epochs=100)


@given(st.floats(0, 20), st.integers(0, 10), st.sampled_from(["constant", "cosine"]), st.floats(0, 0.9))
def test_factor_lies_between_zero_and_one(progress: float, warmup: int, schedule: str, decay: float) -> None:
    assert 0 <= _factor(progress, warmup_epochs=warmup, schedule=schedule, final_decay=decay) <= 1


def test_cosine_ends_at_zero() -> None:
    assert abs(_factor(20, schedule="cosine")) < 1e-9
