"""Notice that Ray is gone: it would wait for a minute in calls that nothing interrupts, or end this process itself.

It does that without a word and with status 1, within a tenth of a second after its process on this machine (raylet) has
ended. So a connection to that process is held open, by which its end is heard at once.
"""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

# A head that is started again within this time is none that is gone; Ray's own patience is 60 s.
GONE_S = 30.0
# The process of Ray's that runs on this machine never comes back, but is slow to answer where the machine is busy.
NODE_GONE_S = 4.0
LOOK_S = 2.0
# That of an error which the user can mend.
STATUS = 2

_FEWER = "have fewer at a time with resources.concurrent, or smaller batches"

# Who hears of a loss: the last one.
_HEARERS: list[Callable[[str], object]] = []
_KILLED = "glosstune: this process was ended from outside, or by Ray, which somebody may have stopped (ray stop)"
# Once nobody can write into its input any more, it says the last line of that, unless it is empty.
_SAY = (
    'said=; while IFS= read -r line; do said=$line; done; [ -n "$said" ] || exit 0; sleep 0.2; '
    '[ ! -t 2 ] || printf "\\033[?25h" >&2; printf "%s\\n" "$1" "$said" >&2'
)
_WORDS: list[str] = []
# The only end at which the input of whoever says them is written to.
_ENDS: list[int] = []
# The thread that ends the process; two may notice at once.
_LEAVING = threading.Lock()


@contextmanager
def watch_ray(head: str, node: str | None, lose: Callable[[str], object]) -> Iterator[None]:
    """End this process with status 2 once nothing listens any more where Ray did.

    The process ends where it stands, which loses nothing: whatever counts of a sweep is on the disk before it goes on.

    Args:
        head: ``HOST:PORT`` of the cluster's head.
        node: the same of Ray's process on this machine, where there is one.
        lose: hears it before; it must not wait for anything.
    """
    over = threading.Event()
    watched = {head: (f"the head of the Ray cluster at {head}", GONE_S)}
    if node is not None:
        watched[node] = (f"Ray's process on this machine (raylet) at {node}", NODE_GONE_S)
    with hearing(lose):
        if node is not None:
            threading.Thread(target=_hear, args=(node, watched[node][0], over), daemon=True).start()
        threading.Thread(target=_watch, args=(watched, over), daemon=True).start()
        try:
            yield
        finally:
            over.set()


@contextmanager
def hearing(lose: Callable[[str], object]) -> Iterator[None]:
    """Inside of a watch, hear of a loss in its hearer's place."""
    _HEARERS.append(lose)
    try:
        yield
    finally:
        _HEARERS.pop()


@contextmanager
def last_words(line: str) -> Iterator[None]:
    """Have a line said where this process ends inside without a word of its own, by a kill or by Ray.

    Where Ray's process on this machine is told to end (``ray stop``), Ray ends the driver in the same moment: the next
    time it looks for an object that lay there, which is ten times a second. No thread is always quicker. Inside of
    another one, the line takes the place of that one's. Nothing is said where there is no ``sh``, as on Windows.
    """
    teller = None if _WORDS else _start_teller()
    _WORDS.append(line)
    _tell(line)
    try:
        yield
    finally:
        _WORDS.pop()
        _tell(_WORDS[-1] if _WORDS else "")
        if teller is not None:
            _let_go()
            teller.wait()


def _start_teller() -> "subprocess.Popen[bytes] | None":
    if sys.platform == "win32":
        return None
    theirs, ours = os.pipe()
    try:
        # A session of its own, because Ctrl-C is for the driver. It waits, and is a megabyte small.
        command = ["sh", "-c", _SAY, "glosstune", _KILLED]
        teller = subprocess.Popen(command, stdin=theirs, stdout=subprocess.DEVNULL, start_new_session=True)
    except OSError:  # some images have no shell
        os.close(ours)
        return None
    finally:
        os.close(theirs)
    _ENDS.append(ours)
    return teller


def _tell(line: str) -> None:
    """What is to be said where this process ends now; nothing if it is empty. It never fails."""
    for end in tuple(_ENDS):
        with suppress(OSError, ValueError):  # it was killed, or another thread has ended it; or no encoding has it
            os.write(end, os.fsencode(line.replace("\n", " ")) + b"\n")


def _let_go() -> None:
    while _ENDS:
        os.close(_ENDS.pop())


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_let_go)  # which may outlive the process whose end is told


def describe_death(told: str) -> str:
    """Why the process of a trial has ended, from what Ray has written of it, which may be a page."""
    if "low on memory" in told:
        used = re.search(r"([\d.]+) ?GB used / ([\d.]+) ?GB limit", told)
        there = f" ({used[1]} of {used[2]} GB are in use)" if used else ""
        return f"Ray has ended its process, since the machine runs out of memory{there}; {_FEWER}"
    if "node has died" in told or "temporarily unavailable" in told:
        return "its node is gone, or was silent for too long"
    if "worker process has died" in told or "Worker unexpectedly exits" in told:
        return f"its process ended without a word: crashed, or killed, most often for want of memory (dmesg); {_FEWER}"
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
        try:
            _tell("")  # not before: Ray may be quicker yet
        finally:
            os._exit(STATUS)
