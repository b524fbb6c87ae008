from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from glosstune.search.config.settings import HalvingSettings
from glosstune.search.scheduler.halving import Halving


def _halving(epochs: int = 27, **settings: object) -> Halving:
    return Halving(HalvingSettings.model_validate({"min_epochs": 3, "reduction": 3, **settings}), epochs)


def _rungs(halving: Halving, warmup_epochs: int = 0, epoch_s: float = 1.0) -> dict[int, int]:
    """Rung by the epoch at which a trial comes to it."""
    reached = {done: halving.rung_reached([epoch_s] * done, warmup_epochs) for done in range(1, halving.epochs + 1)}
    return {done: rung for done, rung in reached.items() if rung is not None}


class Sorting:
    """Who goes on, worked out anew from all that has happened."""

    def __init__(self, reduction: int) -> None:
        self.reduction = reduction
        self.rungs: list[dict[int, float]] = [{}, {}]
        self.promoted: set[tuple[int, int]] = set()
        self.out: set[int] = set()

    def ranked(self, rung: int) -> list[int]:
        inside = [trial for trial in self.rungs[rung] if trial not in self.out or (trial, rung) in self.promoted]
        return sorted(inside, key=self.rungs[rung].__getitem__)

    def next_promotion(self) -> tuple[int, int, int] | None:
        for rung in (1, 0):
            for rank, trial in enumerate(self.ranked(rung)[: len(self.rungs[rung]) // self.reduction], start=1):
                if (trial, rung) not in self.promoted:
                    return trial, rung, rank
        return None


def test_rungs_lie_at_powers_of_the_reduction_and_none_at_the_end() -> None:
    assert _rungs(_halving(27)) == {3: 0, 9: 1}
    assert _rungs(_halving(28)) == {3: 0, 9: 1, 27: 2}
    assert _rungs(_halving(3)) == {}
    assert _rungs(_halving(27, kind="none")) == {}


def test_a_trial_that_is_spared_skips_the_rungs_below_its_grace() -> None:
    spared = {"spare_warmup": True}
    assert _rungs(_halving(81, **spared), warmup_epochs=1) == {9: 1, 27: 2}
    assert _rungs(_halving(81, **spared), warmup_epochs=7) == {27: 2}
    # At most a full trial divided by the reduction: 27 epochs / 3.
    assert _rungs(_halving(27, **spared), warmup_epochs=20) == {9: 1}
    assert _rungs(_halving(81), warmup_epochs=7) == {3: 0, 9: 1, 27: 2}


@given(st.integers(1, 60), st.integers(1, 20), st.integers(2, 5), st.integers(0, 30))
def test_grace_is_never_more_than_a_full_trial_divided_by_the_reduction(
    epochs: int, first: int, reduction: int, warmup: int
) -> None:
    halving = _halving(epochs, min_epochs=first, reduction=reduction, spare_warmup=True)
    assert halving.grace([1.0], warmup) == min(first + warmup, epochs / reduction)
    for epoch, rung in _rungs(halving, warmup).items():
        assert epoch == first * reduction**rung >= halving.grace([1.0], warmup)


@given(st.lists(st.floats(0.1, 50), min_size=1, max_size=30), st.integers(0, 3))
def test_rungs_in_seconds_are_reached_once_each_and_in_order(seconds: list[float], warmup: int) -> None:
    halving = _halving(100, resource="seconds", min_seconds=10.0)
    reached = [halving.rung_reached(seconds[:done], 0) for done in range(1, len(seconds) + 1)]
    found = [rung for rung in reached if rung is not None]
    assert all(a < b for a, b in pairwise(found))
    for done, rung in enumerate(reached, start=1):
        if rung is not None:
            assert sum(seconds[: done - 1]) < halving.milestone(rung) <= sum(seconds[:done]) + 1e-9
    # A cheap epoch and a dear one come to the same rung at different epochs.
    assert _rungs(halving, epoch_s=1.0) == {10: 0, 30: 1, 90: 2}
    assert _rungs(halving, epoch_s=5.0) == {2: 0, 6: 1, 18: 2, 54: 3}


def test_the_best_of_the_highest_rung_goes_on_first() -> None:
    halving = _halving()
    for trial, score in enumerate([0.5, 0.9, 0.7, 0.8, 0.4, 0.6]):
        halving.arrive(trial, 0, score)
    standing = halving.next_promotion()
    assert standing is not None
    assert (standing.trial, standing.rung, standing.rank, standing.rivals, standing.quota) == (4, 0, 1, 6, 2)
    halving.promote(4, 0)
    assert (second := halving.next_promotion()) is not None and second.trial == 0
    halving.promote(0, 0)
    assert halving.next_promotion() is None
    for trial, score in ((4, 0.2), (0, 0.3), (2, 0.1)):
        halving.arrive(trial, 1, score)
    assert (higher := halving.next_promotion()) is not None and (higher.trial, higher.rung) == (2, 1)


def test_ties_pass_nobody() -> None:
    halving = _halving()
    for trial in range(30):
        halving.arrive(trial, 0, 1.0)
    promoted = []
    while (standing := halving.next_promotion()) is not None:
        promoted.append(standing.trial)
        halving.promote(standing.trial, 0)
    assert promoted == list(range(10))


def test_in_the_stopping_type_a_tie_with_somebody_earlier_ends_a_trial() -> None:
    halving = _halving(kind="stop")
    kept = []
    for trial in range(9):
        halving.arrive(trial, 0, 1.0)
        kept.append(halving.keeps(halving.standing(trial, 0)))
    assert kept == [True, *[False] * 8]


def test_who_is_out_counts_as_a_rival_and_takes_no_place() -> None:
    halving = _halving()
    for trial, score in enumerate([0.1, 0.2, 0.3]):
        halving.arrive(trial, 0, score)
    halving.remove(0)
    assert (standing := halving.next_promotion()) is not None and standing.trial == 1
    assert standing.rivals == 3 and standing.quota == 1


def test_a_later_score_at_a_rung_does_not_count() -> None:
    halving = _halving()
    halving.arrive(0, 0, 0.9)
    halving.arrive(0, 0, 0.1)
    assert halving.rungs[0] == {0: 0.9}


@given(st.lists(st.floats(0, 3), min_size=1, max_size=40), st.integers(2, 5))
def test_never_more_than_one_of_reduction_goes_on_and_always_the_best(scores: list[float], reduction: int) -> None:
    halving = _halving(reduction=reduction)
    promoted: list[int] = []
    for trial, score in enumerate(scores):
        halving.arrive(trial, 0, score)
        while (standing := halving.next_promotion()) is not None:
            assert standing.rank <= standing.quota == (trial + 1) // reduction
            promoted.append(standing.trial)
            halving.promote(standing.trial, 0)
    # Each went on at a time when it was among the best, so the quota of today can be passed by old promotions only.
    best = sorted(range(len(scores)), key=lambda trial: scores[trial])[: len(scores) // reduction]
    assert set(best) <= set(promoted)
    assert len(promoted) == len(set(promoted))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["arrive", "arrive", "arrive", "promote", "remove", "next"]),
            st.integers(0, 12),
            st.integers(0, 1),
            st.sampled_from([0.1, 0.2, 0.3, 1.0, float("inf")]),
        ),
        max_size=60,
    ),
    st.integers(2, 4),
)
def test_whatever_happens_in_whatever_order_the_same_goes_on_as_if_all_were_sorted_anew(
    steps: list[tuple[str, int, int, float]], reduction: int
) -> None:
    halving, sorting = _halving(reduction=reduction), Sorting(reduction)
    for step, trial, rung, score in steps:
        if step == "arrive":
            halving.arrive(trial, rung, score)
            sorting.rungs[rung].setdefault(trial, score)
        elif step == "remove":
            halving.remove(trial)
            sorting.out.add(trial)
        elif step == "promote":
            halving.promote(trial, rung)
            sorting.promoted.add((trial, rung))
        chosen, expected = halving.next_promotion(), sorting.next_promotion()
        assert (chosen and (chosen.trial, chosen.rung, chosen.rank)) == expected
        for number in range(len(halving.rungs)):
            assert halving.rungs[number] == sorting.rungs[number]
            for rank, other in enumerate(sorting.ranked(number), start=1):
                assert halving.standing(other, number).rank == rank
        if step == "next" and chosen is not None:
            halving.promote(chosen.trial, chosen.rung)
            sorting.promoted.add((chosen.trial, chosen.rung))
