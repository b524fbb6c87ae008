import socket
import threading
import time
from types import SimpleNamespace

import pytest

from glosstune.search.nodes.joining import VARIABLE, joining_nodes, wait_for_head, wait_for_nodes
from glosstune.spaces.errors import SettingError


def _nodes(monkeypatch: pytest.MonkeyPatch, *counts: int) -> None:
    """Let a cluster have so many nodes when it is asked for the first time, the second, and so on."""
    left = list(counts)

    def nodes() -> list[dict[str, bool]]:
        return [{"Alive": True}] * (left.pop(0) if len(left) > 1 else left[0]) + [{"Alive": False}]

    monkeypatch.setattr("ray.nodes", nodes)
    monkeypatch.setattr("glosstune.search.nodes.joining._LOOK_S", 0.0)


def test_a_cluster_that_was_there_before_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert joining_nodes() == 0
    monkeypatch.setenv(VARIABLE, "2")
    assert joining_nodes() == 2
    monkeypatch.setenv(VARIABLE, "two")
    with pytest.raises(SettingError, match="GLOSSTUNE_NODES: must be the number of nodes to wait for; got 'two'"):
        joining_nodes()


def test_nodes_that_join_late_are_waited_for_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    said = list[str]()
    _nodes(monkeypatch, 1, 1, 2)
    wait_for_nodes(2, said.append)
    assert not said


def test_a_node_that_does_not_join_is_told_and_not_waited_for_any_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    said = list[str]()
    _nodes(monkeypatch, 1)
    wait_for_nodes(2, said.append, within_s=0.0)
    assert said == [
        "cluster: 1 of 2 nodes have joined in 0 s; the sweep begins, and the others get trials when they join"
    ]


def test_a_head_is_waited_for_until_it_listens_and_ray_runs_here(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([[], ["node"]])
    monkeypatch.setattr("ray._private.services.find_node_ids", lambda: next(looks))
    monkeypatch.setattr("glosstune.search.nodes.joining._LOOK_S", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    late = SimpleNamespace(server=None)

    def listen() -> None:
        late.server = socket.create_server(("127.0.0.1", port))

    timer = threading.Timer(0.2, listen)
    timer.start()
    wait_for_head(f"127.0.0.1:{port}")
    timer.join()
    assert late.server is not None and next(looks, "asked twice") == "asked twice"
    late.server.close()


def test_a_head_that_never_listens_is_left_to_the_check_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glosstune.search.nodes.joining._LOOK_S", 0.01)
    begun = time.monotonic()
    wait_for_head("127.0.0.1:1", within_s=0.05)
    assert time.monotonic() >= begun + 0.05
