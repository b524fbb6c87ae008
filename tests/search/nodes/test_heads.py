"""A driver knows in a moment whether a head takes it, and why not."""

import socket
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
import ray
from ray._private import gcs_utils, services

from glosstune.search.nodes.heads import check_address, check_head
from glosstune.spaces import SettingError

TOKEN = (("authorization", "Bearer right"),)


class _Head(grpc.GenericRpcHandler):
    """Answers whoever shows one of these tokens."""

    def __init__(self, *taken: str | None) -> None:
        self.taken = taken

    def service(self, details: Any) -> Any:
        shown = dict(details.invocation_metadata).get("authorization")

        def answer(request: bytes, context: Any) -> bytes:
            if shown not in self.taken:
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken")
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
def head(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Start a head that takes some tokens; this driver shows the right one."""
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(services, "find_node_ids", lambda: {"here"})
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    started = []

    def show(token: str) -> None:
        def channel(address: str) -> Any:
            class Show(grpc.UnaryUnaryClientInterceptor):
                def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
                    return continuation(details._replace(metadata=(("authorization", token),)), request)

            return grpc.intercept_channel(grpc.insecure_channel(address), Show())

        monkeypatch.setattr(gcs_utils, "create_gcs_channel", channel)

    def start(*taken: str | None, shows: str = "right") -> str:
        show(shows)
        server = grpc.server(futures.ThreadPoolExecutor(1))
        server.add_generic_rpc_handlers((_Head(*taken),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        started.append(server)
        return f"127.0.0.1:{port}"

    yield start
    for server in started:
        server.stop(0).wait()


def test_a_head_that_takes_the_token_and_asks_for_it_is_nothing_to_talk_about(head: Callable[..., str]) -> None:
    said: list[str] = []
    check_head(head("right"), said.append)
    assert said == []


def test_a_head_that_asks_nobody_for_a_token_gets_a_warning_that_says_what_can_happen(
    head: Callable[..., str],
) -> None:
    said: list[str] = []
    address = head("right", None)
    check_head(address, said.append)
    (warning,) = said
    assert warning.startswith(f"warning: {address}: asks for no token: whoever reaches this port runs any code there")
    assert "RAY_AUTH_MODE=token" in warning


@pytest.mark.parametrize(("mode", "rule"), [("token", "refuses the token"), ("disabled", "asks for a token")])
def test_a_head_that_refuses_is_one_line(
    head: Callable[..., str], monkeypatch: pytest.MonkeyPatch, mode: str, rule: str
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    address = head("right", shows="wrong")
    with pytest.raises(SettingError) as refused:
        check_head(address, print)
    assert str(refused.value).startswith(f"--address: {address}: {rule}; set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN")


def test_a_machine_that_is_no_node_is_told(head: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "find_node_ids", lambda: set())
    with pytest.raises(SettingError, match=r"this machine is no node of the cluster at .*; run the command on one"):
        check_head(head("right"), print)


def test_another_server_and_none_at_all_are_told_apart(head: Callable[..., str]) -> None:
    head("right")
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(SettingError, match="is no head of a Ray"):
        server.settimeout(0)
        check_head(f"127.0.0.1:{server.getsockname()[1]}", print)
    with pytest.raises(SettingError, match=r"RAY_ADDRESS: no Ray cluster answers at 127\.0\.0\.1:1 .*; start one with"):
        check_head("127.0.0.1:1", print, "RAY_ADDRESS")


@pytest.mark.parametrize(
    ("address", "rule"),
    [
        ("ray://head:10001", "would run the driver, its lock, display and record, on the head"),
        ("http://head:8265", "must be auto, or HOST:PORT of the head, .*; got http://head:8265"),
        ("head", "must be auto, or HOST:PORT of the head"),
        ("head:", "must be auto, or HOST:PORT of the head"),
        (":6379", "must be auto, or HOST:PORT of the head"),
        ("head:port", "must be auto, or HOST:PORT of the head"),
        ("head:65536", "must be auto, or HOST:PORT of the head"),
        ("head:6379/", "must be auto, or HOST:PORT of the head"),
    ],
)
def test_an_address_of_another_kind_is_refused(address: str, rule: str) -> None:
    with pytest.raises(SettingError, match=f"--address: {rule}"):
        check_address(address)


@pytest.mark.parametrize("address", ["auto", "head:6379", "10.0.0.1:1", "[fe80::1]:6379"])
def test_an_address_of_the_right_kind_is_taken(address: str) -> None:
    check_address(address)
