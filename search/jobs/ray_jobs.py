"""Talk to the job server of a Ray cluster; whatever goes wrong is one line that says what to do."""

import asyncio
import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from glosstune.spaces.errors import SettingError

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient
from glosstune.search.nodes.internals.private_ray import quieten
from glosstune.search.nodes.tokens import GIVE_TOKEN, OPEN_CLUSTER

DEFAULT_ADDRESS = "http://127.0.0.1:8265"
PLACE = "glosstune_place"

_ANSWER_WITHIN_S = 15.0
_POLL_S = 1.0
_SILENCE_S = 60.0


def find_address(given: str | None = None) -> str:
    """The address of a cluster: the given one, else that of RAY_API_SERVER_ADDRESS, else this machine's.

    Raises:
        SettingError: it is no HTTP address.
    """
    address = given or os.environ.get("RAY_API_SERVER_ADDRESS") or DEFAULT_ADDRESS
    address = address if "://" in address else f"http://{address}"
    try:
        parts = urlsplit(address)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a port that is none
        sound = False
    if not sound:
        rule = "must be that of the dashboard of a Ray cluster, such as http://head:8265"
        raise SettingError(f"--address {address}: {rule}")
    return address.rstrip("/")


def asks_for_token(address: str) -> bool:
    """Whether a cluster refuses whoever shows no token; nothing is sent but the question.

    Raises:
        SettingError: no Ray cluster answers.
    """
    try:
        with urllib.request.urlopen(f"{address}/api/jobs/", timeout=_ANSWER_WITHIN_S) as answer:
            # A proxy may answer with a page to log in at.
            return not isinstance(json.load(answer), list)
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            return True
        raise SettingError(f"{address}: is no Ray cluster's dashboard; it answers {error.code}") from None
    except ValueError:
        return True
    except http.client.HTTPException:
        rule = "is no dashboard of a Ray cluster, whose port is 8265 unless ray start was told another"
        raise SettingError(f"{address}: {rule}") from None
    except OSError as error:
        raise _no_answer(address, error) from error


def connect(address: str) -> "JobSubmissionClient":
    """A client of the cluster's job server.

    Raises:
        SettingError: the extra is missing here, no cluster answers, or it refuses the token.
    """
    if find_spec("aiohttp") is None or find_spec("requests") is None:
        raise SettingError('the job client of Ray is not installed here; run: pip install "glosstune[cluster]"')
    # Ray 2.59 and newer decide on authentication at import.
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    asks = asks_for_token(address)
    if not asks and os.environ["RAY_AUTH_MODE"] == "token":
        raise SettingError(f"{address}: {OPEN_CLUSTER}; or use it as it is with RAY_AUTH_MODE=disabled")
    from ray.job_submission import JobSubmissionClient

    quieten()
    with plain_errors(address), _own_address():
        return JobSubmissionClient(address)


@contextmanager
def plain_errors(address: str) -> Iterator[None]:
    """Turn what Ray's client raises into a SettingError of one line."""
    from ray.exceptions import AuthenticationError

    try:
        yield
    except AuthenticationError as error:
        what = "refuses the token" if "Invalid" in str(error) else "asks for a token"
        raise SettingError(f"{address}: {what}; {GIVE_TOKEN}") from error
    except OSError as error:  # which those of requests are
        raise _no_answer(address, error) from error
    except RuntimeError as error:
        raise SettingError(f"{address}: {_last_line(error)}") from error


def start_job(client: "JobSubmissionClient", address: str, **job: Any) -> None:
    """Submit a job (see Ray's ``submit_job``); a head that has only just started is given time.

    Raises:
        SettingError: the cluster refuses it.
    """
    begun = time.monotonic()
    while True:
        with plain_errors(address):
            try:
                client.submit_job(**job)
                return
            except RuntimeError as error:
                if "No available agent" not in str(error):
                    raise
                if time.monotonic() - begun > _SILENCE_S:
                    rule = "its head starts no jobs; see dashboard_agent.log there, whose port another Ray may hold"
                    raise SettingError(f"{address}: {rule}") from error
        time.sleep(_POLL_S)


def job_info(client: "JobSubmissionClient", address: str, name: str) -> "JobDetails":
    """What the cluster knows of a job.

    Raises:
        SettingError: there is no job of that name.
    """
    with plain_errors(address):
        try:
            return client.get_job_info(name)
        except RuntimeError as error:
            if "does not exist" in str(error):
                raise SettingError(f"{address}: has no job {name}; was it started again since?") from None
            raise


def follow_log(client: "JobSubmissionClient", address: str, name: str, write: Callable[[str], None]) -> "JobStatus":
    """Write the log of a job as it grows, until the job has ended, and return how it did.

    A connection that is lost is made again; what was written is not written twice.
    """
    return asyncio.run(_follow(client, address, name, write))


def wait_for_end(client: "JobSubmissionClient", address: str, name: str, timeout_s: float | None = None) -> "JobStatus":
    """Wait until a job has ended; after ``timeout_s`` return the status that it still has."""
    begun = time.monotonic()
    while True:
        status = job_info(client, address, name).status
        if status.is_terminal() or (timeout_s is not None and time.monotonic() - begun > timeout_s):
            return status
        time.sleep(_POLL_S)


async def _follow(client: "JobSubmissionClient", address: str, name: str, write: Callable[[str], None]) -> "JobStatus":
    written, heard = 0, time.monotonic()
    while True:
        seen = 0
        async for chunk in _tail(client, name):
            seen += len(chunk)
            if seen > written:
                write(chunk[written - seen :])
                written = seen
        try:
            status = job_info(client, address, name).status
            heard = time.monotonic()
            if status.is_terminal():
                with plain_errors(address):
                    write(client.get_job_logs(name)[written:])
                return status
        except SettingError:
            if time.monotonic() - heard > _SILENCE_S:
                raise
        await asyncio.sleep(_POLL_S)


async def _tail(client: "JobSubmissionClient", name: str) -> AsyncIterator[str]:
    """The log from its beginning; ends with the job, or early (ray-project/ray#51601, #57002, #60665)."""
    import aiohttp

    try:
        async for chunk in client.tail_job_logs(name):
            yield chunk
    except (aiohttp.ClientError, OSError, RuntimeError):
        return


@contextmanager
def _own_address() -> Iterator[None]:
    """Ray's client prefers what these variables say to the address that it is given."""
    kept: dict[str, Any] = {
        name: os.environ.pop(name) for name in ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS") if name in os.environ
    }
    try:
        yield
    finally:
        os.environ.update(kept)


def _no_answer(address: str, error: OSError) -> SettingError:
    reason = error.reason if isinstance(error, urllib.error.URLError) else type(error).__name__
    return SettingError(f"{address}: no Ray cluster answers ({reason}); name the head's dashboard with --address")


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" .")]
    return lines[-1] if lines else type(error).__name__
