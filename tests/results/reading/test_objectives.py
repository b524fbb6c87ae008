"""Fronts and hypervolumes against brute force, and against what Optuna computes inside."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna._hypervolume import compute_hypervolume
from optuna.study._multi_objective import _fast_non_domination_rank

from glosstune.results.reading.objectives import (
    COSTS,
    METRICS,
    FrontOrder,
    check_objectives,
    front_numbers,
    hypervolume,
    weigh,
)
from glosstune.search.config.settings import SearchSettings

# Few values, so that points are often equal in an objective or in all.
COORDINATE = st.integers(0, 5).map(float)


@st.composite
def clouds(draw: st.DrawFn, most: int = 12) -> np.ndarray:
    width = draw(st.integers(2, 4))
    points = draw(st.lists(st.lists(COORDINATE, min_size=width, max_size=width), min_size=1, max_size=most))
    return np.array(points)


def _dominates(points: np.ndarray, one: int, other: int) -> bool:
    as_good = bool((points[one] <= points[other]).all())
    return as_good and (bool((points[one] < points[other]).any()) or one < other)


@given(clouds())
def test_a_front_is_whom_nobody_of_it_or_a_later_one_dominates(points: np.ndarray) -> None:
    numbers = front_numbers(points)
    for other in range(len(points)):
        before = [numbers[one] for one in range(len(points)) if _dominates(points, one, other)]
        assert numbers[other] == max(before, default=-1) + 1


@given(clouds())
def test_different_points_are_on_the_fronts_that_optuna_puts_them_on(points: np.ndarray) -> None:
    points = np.unique(points, axis=0)
    assert front_numbers(points).tolist() == _fast_non_domination_rank(points).tolist()


@given(clouds(most=6))
@settings(max_examples=50)
def test_a_hypervolume_is_the_cells_that_are_dominated(points: np.ndarray) -> None:
    corner = [5] * points.shape[1]
    cells = itertools.product(range(5), repeat=points.shape[1])
    dominated = sum(any((point <= cell).all() for point in points) for cell in map(np.array, cells))
    assert hypervolume(points, corner) == dominated


@given(clouds(), st.integers(0, 100))
def test_a_hypervolume_is_that_of_optuna(points: np.ndarray, seed: int) -> None:
    scattered = points + np.random.default_rng(seed).random(points.shape)
    reference = np.full(points.shape[1], 7.0)
    assert hypervolume(scattered, reference) == pytest.approx(compute_hypervolume(scattered, reference))


@given(clouds(), st.integers(0, 11))
def test_the_order_goes_front_by_front_with_the_best_metric_first_and_then_by_volume(
    points: np.ndarray, broken: int
) -> None:
    points = points.copy()
    points[broken:, -1] = math.inf
    order, whole = FrontOrder(points), min(broken, len(points))
    places = [order.position(point) for point in range(len(points))]
    assert sorted(places) == list(range(len(points)))
    ranked = [places.index(place) for place in range(len(points))]
    numbers = front_numbers(points[:whole])
    assert sorted(ranked[:whole]) == list(range(whole))
    assert [numbers[point] for point in ranked[:whole]] == sorted(numbers)
    assert ranked[whole:] == sorted(range(whole, len(points)), key=lambda point: (points[point, 0], point))
    assert order.first_of(range(len(points))) == ranked[0]
    if whole:
        span = np.ptp(points[:whole], axis=0)
        scaled = (points[:whole] - points[:whole].min(axis=0)) / np.where(span > 0, span, 1.0)
        reference = np.full(points.shape[1], 1.1)
        for number in set(numbers.tolist()):
            front = [point for point in ranked[:whole] if numbers[point] == number]
            assert points[front[0], 0] == points[front, 0].min()
            for length in range(1, len(front)):
                volumes = [hypervolume(scaled[[*front[:length], point]], reference) for point in front[length:]]
                assert volumes[0] == pytest.approx(max(volumes))


def test_half_the_size_is_worth_the_same_at_every_size_and_more_frames_are_better() -> None:
    sizes = [weigh({"parameters": amount}, ["parameters"])[0] for amount in (1e3, 2e3, 4e3)]
    assert sizes[1] - sizes[0] == pytest.approx(sizes[2] - sizes[1])
    slow, fast = (weigh({"dev_frames_per_s": amount}, ["dev_frames_per_s"]) for amount in (100.0, 200.0))
    assert fast < slow
    for unknown in ({}, {"parameters": None}, {"parameters": 0.0}, {"parameters": math.nan}):
        assert weigh(unknown, ["parameters"]) == (math.inf,)


def test_the_objectives_of_a_sweep_file_are_those_that_are_known() -> None:
    schema = SearchSettings.model_json_schema()["properties"]["objectives"]["items"]["enum"]
    assert schema == [*METRICS, *COSTS]


@pytest.mark.parametrize("names", [["parameters"], ["wer", "dev_loss"], ["wer", 3], ["wer", "size_mb", "size_mb"]])
def test_a_record_cannot_say_other_objectives(names: list[object]) -> None:
    with pytest.raises(ValueError, match=r"^objectives: "):
        check_objectives(names)
