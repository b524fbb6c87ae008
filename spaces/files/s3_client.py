"""One client of S3 for all of a process that speaks to the same server: to make one takes a second."""

import os
import sys
import threading
from collections.abc import Mapping
from typing import Any

from glosstune.spaces.errors import SettingError

CONNECTIONS = 16
# What a client is made of beside its options, and keeps.
_VARIABLES = ("HOME", "USERPROFILE", "BOTO_CONFIG", "REQUESTS_CA_BUNDLE")
_FILES = {"AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials", "AWS_CONFIG_FILE": "~/.aws/config"}

Origin = tuple[object, ...]

_lock = threading.Lock()
_clients: dict[tuple[tuple[str, str], ...], tuple[Origin, Any]] = {}


def s3_client(options: Mapping[str, str]) -> Any:
    """The client for the options of an address, which any thread may use; a new one where credentials have changed.

    Args:
        options: see ``addresses.OPTIONS``.

    Raises:
        SettingError: boto3 is not installed, or a profile or an endpoint is none.
    """
    key, origin = tuple(sorted(options.items())), _origin()
    with _lock:
        known = _clients.get(key)
        if known is None or known[0] != origin:
            _clients[key] = known = origin, _connect(options)
        return known[1]


def _origin() -> Origin:
    """What changes where the environment or the files that AWS's own tools read do."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("AWS_") or name.lower().endswith("_proxy") or name in _VARIABLES
    }
    # Not by ``Path``, which fails where a pod has neither HOME nor a name for its user.
    files = [os.path.expanduser(variables.get(name, place)) for name, place in _FILES.items()]
    return tuple(sorted(variables.items())), tuple(map(_state, files))


def _state(path: str) -> tuple[int, int] | None:
    try:
        state = os.stat(path)
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size


def _forget() -> None:
    """In a forked process: connections are its parent's, and so may be the lock."""
    global _lock
    _lock = threading.Lock()
    _clients.clear()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_forget)


def _connect(options: Mapping[str, str]) -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        rule = 'needs boto3 where it is an s3:// address; install it with: pip install "glosstune[s3]"'
        raise SettingError(rule, key="storage") from None
    endpoint = options.get("endpoint_override")
    if endpoint is not None and "://" not in endpoint:
        endpoint = f"{options.get('scheme', 'https')}://{endpoint}"
    config = Config(
        connect_timeout=5, read_timeout=60, retries={"total_max_attempts": 1}, max_pool_connections=CONNECTIONS
    )
    try:
        # A session of its own: the one that all of a process share keeps the first credentials, and is for one thread.
        return boto3.session.Session().client(
            "s3", region_name=options.get("region"), endpoint_url=endpoint, config=config
        )
    except Exception as error:  # botocore's, of a profile or an endpoint that is none
        raise SettingError(f"cannot be reached as S3 ({error})", key="storage") from error
