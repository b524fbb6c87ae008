"""Batches made ahead of their use."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_AHEAD = 2


def prefetched(items: Iterable[T]) -> Iterator[T]:
    """The same items in the same order, each made in one thread while those before it are used.

    An error in making one is raised where its turn comes.
    """
    made, end = iter(items), object()
    with ThreadPoolExecutor(1) as thread:
        waiting = deque(thread.submit(next, made, end) for _ in range(_AHEAD))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(thread.submit(next, made, end))
            yield item  # type: ignore[misc]  # what is not the end is an item
