"""Ask the head of a Ray cluster whether it takes this driver: in a moment, and without a word of Ray's own.

Ray itself would try a wrong token or address for half a minute and log every try. What cannot be asked, with a Ray that
has changed or without grpcio, Ray has to find out.
"""

import os
from importlib.util import find_spec
from typing import Any

from glosstune.search.config.errors import Say
from glosstune.search.nodes.head_watch import reach
from glosstune.search.nodes.internals.private_ray import ALIVE, find_head, open_channel, runs_here
from glosstune.search.nodes.tokens import GIVE_TOKEN, OPEN_CLUSTER
from glosstune.spaces.errors import SettingError

ANSWER_WITHIN_S = 5.0


def check_address(address: str, key: str = "--address") -> None:
    """Raise SettingError where an address is not one that a driver attaches to."""
    if address.startswith("ray://"):
        rule = (
            "would run the driver, its lock, display and record, on the head; run the command on a node of the cluster"
        )
        raise SettingError(f"{rule} with HOST:PORT or auto, or use glosstune submit; got {address}", key=key)
    host, _, port = address.rpartition(":")
    if address != "auto" and ("/" in address or not host or not port.isdigit() or int(port) > 65535):
        rule = "must be auto, or HOST:PORT of the head, whose port is 6379 unless ray start was told another"
        raise SettingError(f"{rule}; got {address} (http://HOST:8265 is for glosstune submit)", key=key)


def check_head(address: str, say: Say, key: str = "--address") -> None:
    """Raise SettingError where no head answers or it refuses this driver; say what can happen where it refuses nobody.

    Args:
        address: see ``check_address``.
        key: the setting that the address is from.
    """
    check_address(address, key)
    import ray

    if ray.is_initialized():
        return
    try:
        head = find_head() if address == "auto" else address
        if head is None:
            return
        reach(head, ANSWER_WITHIN_S)
    except (OSError, ValueError) as error:
        rule = f"no Ray cluster answers at {address} ({error})"
        raise SettingError(f"{rule}; start one with ray start, or correct the address", key=key) from None
    refusal = _ask(head)
    if refusal is not None:
        raise SettingError(refusal, key=key)
    if not runs_here():
        rule = f"this machine is no node of the cluster at {head}; run the command on one, or use glosstune submit"
        raise SettingError(rule, key=key)
    if _is_open(head):
        say(f"warning: {head}: {OPEN_CLUSTER}")


def _ask(head: str) -> str | None:
    """Why a head refuses this driver, if it does."""
    channel = open_channel(head)
    if channel is None:
        return None
    import grpc

    try:
        _call(channel)
        return None
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.UNAUTHENTICATED:
            return f"{head}: is no head of a Ray cluster, whose port is 6379 unless ray start was told another"
    what = "refuses the token" if os.environ.get("RAY_AUTH_MODE") == "token" else "asks for a token"
    return f"{head}: {what}; {GIVE_TOKEN}"


def _is_open(head: str) -> bool:
    """Whether a head answers who shows no token."""
    if find_spec("grpc") is None or os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
        return os.environ.get("RAY_AUTH_MODE") != "token"  # it may be; who has no certificate gets no answer
    import grpc

    try:
        _call(grpc.insecure_channel(head))
    except grpc.RpcError:
        return False
    return True


def _call(channel: Any) -> None:
    with channel:
        channel.unary_unary(ALIVE)(b"", timeout=ANSWER_WITHIN_S)
