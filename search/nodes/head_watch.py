"""Notice that Ray is gone: it would wait for a minute in calls that nothing interrupts, or end this process itself."""

import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

# A head that is started again within this time is none that is gone; Ray's own patience is 60 s.
GONE_S = 30.0
# The process of Ray's that runs on this machine never comes back, and some ten seconds later Ray ends the driver.
NODE_GONE_S = 4.0
LOOK_S = 2.0
# That of an error which the user can mend.
STATUS = 2


@contextmanager
def watch_ray(head: str, node: str | None, lose: Callable[[str], object]) -> Iterator[None]:
    """End this process with status 2 once nothing listens any more where Ray did.

    The process ends where it stands, which loses nothing: whatever counts of a sweep is on the disk before it goes on.

    Args:
        head: ``HOST:PORT`` of the cluster's head.
        node: the same of Ray's process on this machine, where there is one.
        lose: hears it before.
    """
    over = threading.Event()
    watched = {head: (f"the head of the Ray cluster at {head}", GONE_S)}
    if node is not None:
        watched[node] = (f"Ray's process on this machine (raylet) at {node}", NODE_GONE_S)
    thread = threading.Thread(target=_watch, args=(watched, lose, over), daemon=True)
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


def _watch(watched: Mapping[str, tuple[str, float]], lose: Callable[[str], object], over: threading.Event) -> None:
    silent = dict.fromkeys(watched, 0)  # looks, not seconds: a driver that was frozen itself has not looked
    while not over.wait(LOOK_S):
        for address, (what, patience_s) in watched.items():
            silent[address] = 0 if listens(address) else silent[address] + 1
            if silent[address] * LOOK_S >= patience_s:
                try:
                    lose(f"{what} is gone: somebody stopped it, or the system did, maybe for want of memory")
                finally:
                    os._exit(STATUS)
