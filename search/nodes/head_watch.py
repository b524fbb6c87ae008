"""Notice that Ray is gone: it would wait for a minute in calls that nothing interrupts, or end this process itself.

It does that without a word and with status 1, within a tenth of a second after its process on this machine (raylet) has
ended. So a connection to that process is held open, by which its end is heard at once.
"""

import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

# A head that is started again within this time is none that is gone; Ray's own patience is 60 s.
GONE_S = 30.0
# The process of Ray's that runs on this machine never comes back, but is slow to answer where the machine is busy.
NODE_GONE_S = 4.0
LOOK_S = 2.0
# That of an error which the user can mend.
STATUS = 2

_FEWER = "have fewer at a time with resources.concurrent, or smaller batches"

# Of the watches that there are, one in another: what hears of a loss.
_HEARERS: list[Callable[[str], object]] = []
# Says its arguments once its input ends without a line, as that of a process that is killed does.
_SAY = 'read -r line && exit; sleep 0.2; [ ! -t 2 ] || printf "\\033[?25h" >&2; printf "%s\\n" "$@" >&2'
_TELLERS: list["subprocess.Popen[bytes]"] = []
# The thread that ends the process; two may notice at once.
_LEAVING = threading.Lock()


@contextmanager
def watch_ray(head: str, node: str | None, lose: Callable[[str], object]) -> Iterator[None]:
    """End this process with status 2 once nothing listens any more where Ray did.

    The process ends where it stands, which loses nothing: whatever counts of a sweep is on the disk before it goes on.
    Inside of another watch, which is of the same Ray, only ``lose`` takes the place of the other one's.

    Args:
        head: ``HOST:PORT`` of the cluster's head.
        node: the same of Ray's process on this machine, where there is one.
        lose: hears it before.
    """
    _HEARERS.append(lose)
    over = threading.Event()
    if len(_HEARERS) == 1:
        watched = {head: (f"the head of the Ray cluster at {head}", GONE_S)}
        if node is not None:
            here = f"Ray's process on this machine (raylet) at {node}"
            watched[node] = here, NODE_GONE_S
            threading.Thread(target=_hear, args=(node, here, over), daemon=True).start()
        threading.Thread(target=_watch, args=(watched, over), daemon=True).start()
    try:
        yield
    finally:
        over.set()
        _HEARERS.pop()


@contextmanager
def last_words(lines: Sequence[str]) -> Iterator[None]:
    """Have lines said where this process ends inside without a word of its own, by a kill or by Ray.

    Where Ray's process on this machine is told to end (``ray stop``), Ray ends the driver in the same moment: the next
    time it looks for an object that lay there, which is ten times a second. No thread is always quicker.
    """
    # A session of its own, because Ctrl-C is for the driver. It waits, and is a megabyte small.
    command = ["sh", "-c", _SAY, "glosstune", *lines]
    teller = None
    with suppress(OSError):  # Windows has no shell, nor have some images
        teller = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)
        _TELLERS.append(teller)
    try:
        yield
    finally:
        _dismiss()
        if teller is not None:
            teller.wait()


def _dismiss() -> None:
    """Whoever was to say something need not."""
    while _TELLERS:
        with suppress(OSError):  # it was killed
            stdin = _TELLERS.pop().stdin
            if stdin is not None:
                stdin.write(b"\n")
                stdin.close()


def describe_death(told: str) -> str:
    """Why the process of a trial has ended, from what Ray has written of it, which may be a page."""
    if "low on memory" in told:
        used = re.search(r"([\d.]+) ?GB used / ([\d.]+) ?GB limit", told)
        there = f" ({used[1]} of {used[2]} GB are in use)" if used else ""
        return f"Ray has ended its process, since the machine runs out of memory{there}; {_FEWER}"
    if "node has died" in told or "temporarily unavailable" in told:
        return "its node is gone, or was silent for too long"
    if "worker process has died" in told or "Worker unexpectedly exits" in told:
        return f"its process was killed, most often by the system for want of memory, which dmesg tells; {_FEWER}"
    lines = told.strip().splitlines()
    return lines[-1] if lines else "its process died"


def listens(head: str) -> bool:
    """Whether anything takes connections at ``HOST:PORT``."""
    try:
        reach(head, LOOK_S)
    except OSError:
        return False
    return True


def reach(head: str, within_s: float) -> None:
    """Connect to ``HOST:PORT`` for a moment; OSError where nothing answers there."""
    connect(head, within_s).close()


def connect(address: str, within_s: float) -> socket.socket:
    """A connection to ``HOST:PORT``; OSError where nothing answers there."""
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=within_s)


def _watch(watched: Mapping[str, tuple[str, float]], over: threading.Event) -> None:
    """Look at every address from time to time."""
    silent = dict.fromkeys(watched, 0)  # looks, not seconds: a driver that was frozen itself has not looked
    while not over.wait(LOOK_S):
        for address, (what, patience_s) in watched.items():
            silent[address] = 0 if listens(address) else silent[address] + 1
            if silent[address] * LOOK_S >= patience_s and not over.is_set():
                _leave(what)


def _hear(node: str, what: str, over: threading.Event) -> None:
    """Wait for the end of a connection, after which nobody listens on this machine."""
    pause_s = 0.0
    while not over.wait(pause_s):
        begun, pause_s = time.monotonic(), 0.0
        try:
            with connect(node, LOOK_S) as line:
                _hold(line, over)
        except ConnectionRefusedError:
            if not over.is_set():
                _leave(what)
        except OSError:
            pass  # busy, maybe: ``_watch`` counts
        if time.monotonic() - begun < LOOK_S:  # it closes connections for a reason of its own
            pause_s = 0.05


def _hold(line: socket.socket, over: threading.Event) -> None:
    """Return once the other end has closed a connection, or nobody wants to know any more."""
    line.settimeout(LOOK_S)
    with suppress(ConnectionError):
        while not over.is_set():
            with suppress(TimeoutError):
                if not line.recv(1024):
                    return


def _leave(what: str) -> None:
    if not _LEAVING.acquire(blocking=False):
        return
    try:
        _HEARERS[-1](f"{what} is gone: somebody stopped it, or the system did, maybe for want of memory")
    finally:
        _dismiss()  # not before: Ray may be quicker yet
        os._exit(STATUS)
