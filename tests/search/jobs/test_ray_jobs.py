import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobStatus

from glosstune.search.jobs import ray_jobs
from glosstune.search.jobs.ray_jobs import connect, follow_log, job_info, plain_errors, start_job, wait_for_end
from glosstune.spaces import SettingError

ADDRESS = "http://head:8265"


def _details(status: JobStatus) -> JobDetails:
    return JobDetails(type="SUBMISSION", submission_id="a", status=status, entrypoint="true")


@dataclass
class FakeClient:
    """A job whose connections for its log end early, after so many characters each."""

    log: str = ""
    cuts: list[int] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    submitted: list[dict[str, Any]] = field(default_factory=list)

    async def tail_job_logs(self, name: str) -> AsyncIterator[str]:
        end = self.cuts.pop(0) if self.cuts else len(self.log)
        for begin in range(0, end, 7):
            yield self.log[begin : min(begin + 7, end)]
        raise RuntimeError("WebSocket connection closed unexpectedly")

    def get_job_info(self, name: str) -> JobDetails:
        if name != "a":
            raise RuntimeError(f"Request failed with status code 404: Job {name} does not exist.")
        return _details(JobStatus.RUNNING if self.cuts else JobStatus.FAILED)

    def get_job_logs(self, name: str) -> str:
        return self.log

    def submit_job(self, **job: Any) -> str:
        if self.refusals:
            raise RuntimeError(self.refusals.pop(0))
        self.submitted.append(job)
        return str(job["submission_id"])


@pytest.fixture(autouse=True, scope="module")
def _at_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray_jobs, "_POLL_S", 0.0)
        yield


@given(st.text(max_size=60), st.lists(st.integers(0, 60), max_size=4))
def test_a_log_is_written_whole_and_once_however_often_its_connection_ends(log: str, cuts: list[int]) -> None:
    written: list[str] = []
    status = follow_log(
        cast(Any, FakeClient(log, cuts=[min(cut, len(log)) for cut in cuts])), ADDRESS, "a", written.append
    )
    assert ("".join(written), status) == (log, JobStatus.FAILED)


def test_a_head_that_has_only_just_started_is_given_time() -> None:
    client = FakeClient(refusals=["status code 500: No available agent to submit job, please try again later."] * 3)
    start_job(cast(Any, client), ADDRESS, submission_id="a")
    assert client.submitted == [{"submission_id": "a"}]


def test_a_head_without_an_agent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_jobs, "_SILENCE_S", -1.0)
    with pytest.raises(SettingError, match="its head starts no jobs"):
        start_job(cast(Any, FakeClient(refusals=["No available agent"])), ADDRESS, submission_id="a")


def test_what_the_cluster_refuses_is_its_last_line() -> None:
    refusal = "Request failed with status code 400: Traceback:\nValueError: Job with submission_id a already exists.\n."
    with pytest.raises(SettingError) as told:
        start_job(cast(Any, FakeClient(refusals=[refusal])), ADDRESS, submission_id="a")
    assert str(told.value) == f"{ADDRESS}: ValueError: Job with submission_id a already exists."


def test_an_unknown_job_is_told() -> None:
    with pytest.raises(SettingError, match=f"{ADDRESS}: has no job b"):
        job_info(cast(Any, FakeClient()), ADDRESS, "b")


def test_waiting_ends_with_the_job_or_when_time_is_up() -> None:
    assert wait_for_end(cast(Any, FakeClient()), ADDRESS, "a") == JobStatus.FAILED
    assert wait_for_end(cast(Any, FakeClient(cuts=[1])), ADDRESS, "a", timeout_s=0.0) == JobStatus.RUNNING


@pytest.mark.parametrize(
    ("error", "rule"),
    [
        (AuthenticationError("Authentication required: Unauthorized"), "asks for a token; set RAY_AUTH_"),
        (AuthenticationError("Forbidden: Invalid authentication"), "refuses the token; set RAY_AUTH_MO"),
        (ConnectionError("Failed to connect"), r"no Ray cluster answers \(ConnectionError\)"),
    ],
)
def test_errors_of_the_client_are_one_line_with_the_way_out(error: Exception, rule: str) -> None:
    with pytest.raises(SettingError, match=f"^{ADDRESS}: {rule}") as told, plain_errors(ADDRESS):
        raise error
    assert "\n" not in str(told.value)


def test_without_the_extra_the_command_to_install_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_jobs, "find_spec", lambda name: None)
    with pytest.raises(SettingError, match=r'pip install "glosstune\[cluster\]"'):
        connect(ADDRESS)


def test_variables_of_the_environment_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    with ray_jobs._own_address():
        assert "RAY_ADDRESS" not in os.environ
    assert os.environ["RAY_ADDRESS"] == "10.0.0.1:6379"
