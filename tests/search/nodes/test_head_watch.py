"""A driver ends once its head is gone, and not before."""

import os
import socket
import sys
import threading

import pytest

from glosstune.search.nodes import head_watch
from glosstune.search.nodes.head_watch import STATUS, _watch, listens


def test_whether_anything_listens_is_seen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        head = f"127.0.0.1:{server.getsockname()[1]}"
        assert listens(head)
    assert not listens(head)


def test_the_process_ends_after_so_many_looks_in_a_row_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([True, False, False, True, False, False, False])
    answers = {"head:6379": looks, "node:1": iter([False] * 6)}
    told: list[str] = []
    monkeypatch.setattr(head_watch, "LOOK_S", 0.01)
    monkeypatch.setattr(head_watch, "listens", lambda address: next(answers[address]))
    monkeypatch.setattr(os, "_exit", sys.exit)
    with pytest.raises(SystemExit) as ended:
        _watch(
            {"head:6379": ("the head at head:6379", 0.03), "node:1": ("the node", 9.0)}, told.append, threading.Event()
        )
    assert ended.value.code == STATUS
    (line,) = told
    assert line.startswith("the head at head:6379 is gone: ")
    assert list(looks) == []
