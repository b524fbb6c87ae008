"""Have whatever Ray starts here ask for a token that only this user can read."""

import os
import secrets
import sys
from contextlib import suppress
from pathlib import Path

from glosstune.search.config.errors import Say
from glosstune.search.nodes.internals.private_ray import read_environment_again
from glosstune.spaces.files.atomic import put_new

OPEN_CLUSTER = (
    "asks for no token: whoever reaches this port runs any code there as the user of the cluster (CVE-2023-48022); "
    "start all its nodes with RAY_AUTH_MODE=token and a token (docs/cluster.md)"
)
GIVE_TOKEN = "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH to the token of the cluster"
_MODE = "RAY_AUTH_MODE"


def ask_for_tokens(say: Say, address: str | None = None) -> None:
    """Turn Ray's authentication on, unless the environment says otherwise; to be called before Ray starts.

    Args:
        say: hears of a token that others may read.
        address: of a cluster to attach to, which has a token already.
    """
    if _MODE not in os.environ:
        os.environ[_MODE] = "token"
        if "ray" in sys.modules:  # which has read the environment when it was imported
            read_environment_again()
    if os.environ[_MODE] == "token" and not (
        address or os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    ):
        _keep_token(Path.home() / ".ray" / "auth_token", say)


def _keep_token(path: Path, say: Say) -> None:
    """Make the file of the token where there is none: the one that Ray makes can be read by all."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with suppress(OSError):  # Ray says what is wrong there
        if path.exists():
            if os.name == "posix" and path.stat().st_mode & 0o077:
                say(f"warning: {path}: others here may read this token, and with it run code as you; chmod 600 it")
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32))
            put_new(partial, path)  # so that the token stays of whoever was faster
        finally:
            partial.unlink(missing_ok=True)
