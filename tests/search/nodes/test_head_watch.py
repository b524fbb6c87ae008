"""A driver ends once its Ray is gone, and not before."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from glosstune.search.nodes import head_watch
from glosstune.search.nodes.head_watch import STATUS, _hear, _leave, _watch, describe_death, hearing, listens, watch_ray


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is heard of a loss; the process ends by SystemExit."""
    told: list[str] = []
    monkeypatch.setattr(head_watch, "_HEARERS", [told.append])
    monkeypatch.setattr(head_watch, "_LEAVING", threading.Lock())
    monkeypatch.setattr(os, "_exit", sys.exit)
    return told


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def _address(server: socket.socket) -> str:
    return f"127.0.0.1:{server.getsockname()[1]}"


def test_whether_anything_listens_is_seen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        head = _address(server)
        assert listens(head)
    assert not listens(head)


def test_the_process_ends_after_so_many_looks_in_a_row_in_vain(
    monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    looks = iter([True, False, False, True, False, False, False])
    answers = {"head:6379": looks, "node:1": iter([False] * 6)}
    monkeypatch.setattr(head_watch, "LOOK_S", 0.01)
    monkeypatch.setattr(head_watch, "listens", lambda address: next(answers[address]))
    with pytest.raises(SystemExit) as ended:
        _watch({"head:6379": ("the head at head:6379", 0.03), "node:1": ("the node", 9.0)}, threading.Event())
    assert ended.value.code == STATUS
    (line,) = told
    assert line.startswith("the head at head:6379 is gone: ")
    assert list(looks) == []


def test_the_process_ends_as_soon_as_that_of_ray_on_this_machine_has(told: list[str], server: socket.socket) -> None:
    def end() -> None:
        line, _ = server.accept()
        server.close()
        line.close()

    threading.Thread(target=end).start()
    with pytest.raises(SystemExit) as ended:  # though its address is never looked at again
        _hear(_address(server), "the raylet", threading.Event())
    assert ended.value.code == STATUS
    assert [line.partition(":")[0] for line in told] == ["the raylet is gone"]


def test_a_process_that_only_closes_its_connections_is_not_gone(told: list[str], server: socket.socket) -> None:
    over = threading.Event()

    def close() -> None:
        for _ in range(3):
            server.accept()[0].close()
        over.set()

    threading.Thread(target=close).start()
    _hear(_address(server), "the raylet", over)
    assert told == []


def test_what_heard_last_is_told_and_of_two_threads_that_notice_one_tells(
    told: list[str], server: socket.socket
) -> None:
    inner: list[str] = []
    with watch_ray(_address(server), None, told.append), hearing(inner.append), pytest.raises(SystemExit):
        _leave("Ray")
    _leave("Ray, once more")
    assert [told, len(inner)] == [[], 1]


def test_the_process_ends_also_where_what_it_would_say_fails(told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(line: str) -> None:
        raise ValueError("write to closed file")  # as the main thread may have ended it meanwhile

    monkeypatch.setattr(head_watch, "_HEARERS", [fail])
    monkeypatch.setattr(head_watch, "_tell", fail)
    with pytest.raises(SystemExit) as ended:
        _leave("Ray")
    assert ended.value.code == STATUS


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (
            "Failure # 1\n1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: "
            "192.0.2.2) was 5.24GB used / 23.54GB limit (0.22)\nRefer to the documentation: https://docs.ray.io",
            "Ray has ended its process, since the machine runs out of memory (5.24 of 23.54 GB are in use); have fewer",
        ),
        (
            "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: "
            "Worker unexpectedly exits with a connection error code 2. End of file. Some common causes include: (1)",
            "its process ended without a word: crashed, or killed, most often for want of memory (dmesg); have fewer",
        ),
        (
            "The actor died.\nThe actor is dead because its node has died. Node Died Reason: x",
            "its node is gone, or was",
        ),
        ("Traceback\nOSError: no space left on the disk\n", "OSError: no space left on the disk"),
        ("", "its process died"),
    ],
)
def test_why_a_process_of_a_trial_has_ended_is_told_in_a_line(told: str, why: str) -> None:
    line = describe_death(told)
    assert line.startswith(why)
    assert "\n" not in line and "docs.ray.io" not in line


_DRIVER = """
import os, sys, time
from glosstune.search.nodes.head_watch import _leave, last_words, watch_ray

end = sys.argv[1]
with last_words("go on with: the same command"):
    with last_words("go on with: resume 'a  b'"):
        if end == "forked" and os.fork() == 0:  # which outlives its parent, and has no output of it
            os.closerange(0, 3)
            time.sleep(60)
        if end in ("killed inside", "forked"):
            os.kill(os.getpid(), 9)
        if end == "lost":
            with watch_ray(sys.argv[2], None, lambda what: print(what, file=sys.stderr)):
                _leave("Ray")
    if end == "killed":
        os.kill(os.getpid(), 9)
"""
_WORD = head_watch._KILLED + "\n"


@pytest.mark.skipif(sys.platform == "win32", reason="nobody is left there to say it")
@pytest.mark.parametrize(
    ("end", "status", "told"),
    [
        ("killed", -9, f"{_WORD}go on with: the same command\n"),
        ("killed inside", -9, f"{_WORD}go on with: resume 'a  b'\n"),
        ("forked", -9, f"{_WORD}go on with: resume 'a  b'\n"),
        ("lost", 2, "Ray is gone: somebody stopped it, or the system did, maybe for want of memory\n"),
        ("well", 0, ""),
    ],
)
def test_a_process_that_ends_without_a_word_leaves_one_and_no_other_does(
    server: socket.socket, end: str, status: int, told: str
) -> None:
    command = [sys.executable, "-c", _DRIVER, end, _address(server)]
    # Until nobody holds its output, as the one does who says the last words.
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=40)
    assert (done.returncode, done.stderr) == (status, told)
