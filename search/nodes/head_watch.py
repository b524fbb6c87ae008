"""Notice that the head is gone: Ray would wait for a minute in calls that nothing interrupts, and then abort."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# A head that is started again within this time is none that is gone; Ray's own patience is 60 s.
GONE_S = 30.0
LOOK_S = 2.0
# That of an error which the user can mend.
STATUS = 2


@contextmanager
def watch_head(head: str, lose: Callable[[str], object]) -> Iterator[None]:
    """End this process with status 2 once nothing has listened at the head's address for half a minute.

    The process ends where it stands, which loses nothing: whatever counts of a sweep is on the disk before it goes on.

    Args:
        head: ``HOST:PORT``.
        lose: hears it before.
    """
    over = threading.Event()
    thread = threading.Thread(target=_watch, args=(head, lose, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()


def listens(head: str) -> bool:
    """Whether anything takes connections at ``HOST:PORT``."""
    try:
        reach(head, LOOK_S)
    except OSError:
        return False
    return True


def reach(head: str, within_s: float) -> None:
    """Connect to ``HOST:PORT`` for a moment; OSError where nothing answers there."""
    host, _, port = head.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=within_s).close()


def _watch(head: str, lose: Callable[[str], object], over: threading.Event) -> None:
    silent = 0  # looks, not seconds: a driver that was frozen itself has not looked
    while not over.wait(LOOK_S):
        silent = 0 if listens(head) else silent + 1
        if silent * LOOK_S >= GONE_S:
            try:
                lose(f"the head of the Ray cluster at {head} is gone")
            finally:
                os._exit(STATUS)
