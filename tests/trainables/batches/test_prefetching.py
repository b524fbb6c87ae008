"""Batches made ahead."""

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glosstune.trainables.batches.prefetching import prefetched


@given(st.lists(st.integers()))
def test_all_items_come_in_their_order(items: list[int]) -> None:
    assert list(prefetched(iter(items))) == items


def test_the_next_is_made_while_one_is_used() -> None:
    second = threading.Event()

    def make() -> Iterator[int]:
        yield 0
        second.set()
        yield 1

    for item in prefetched(make()):
        if item == 0:
            assert second.wait(timeout=60)


def test_an_error_comes_when_its_turn_does() -> None:
    def make() -> Iterator[int]:
        yield 0
        raise ValueError("broken")

    items = prefetched(make())
    assert next(items) == 0
    with pytest.raises(ValueError, match="broken"):
        next(items)


def test_what_is_left_early_leaves_no_thread() -> None:
    before = threading.active_count()
    items = prefetched(iter(range(100)))
    assert next(items) == 0
    del items
    assert threading.active_count() == before
