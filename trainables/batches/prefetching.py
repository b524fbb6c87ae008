"""Batches made ahead of their use."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

T = TypeVar("T")

# Held while an item is made. Whoever captures a CUDA graph holds it too: memory that another thread asks for meanwhile
# would break the capture.
MAKING = Lock()

_AHEAD = 2


def prefetched(items: Iterable[T]) -> Iterator[T]:
    """The same items in the same order, each made in one thread while those before it are used.

    An error in making one is raised where its turn comes.
    """
    made, end = iter(items), object()

    def make() -> object:
        with MAKING:
            return next(made, end)

    with ThreadPoolExecutor(1) as thread:
        waiting = deque(thread.submit(make) for _ in range(_AHEAD))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(thread.submit(make))
            yield item  # type: ignore[misc]  # what is not the end is an item
