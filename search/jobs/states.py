"""How jobs on clusters are doing, and how they are ended."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from glosstune.search.jobs import slurm_jobs
from glosstune.search.jobs.known_jobs import Job, list_jobs, recall
from glosstune.search.jobs.ray_jobs import PLACE, connect, find_address, job_info, plain_errors, wait_for_end
from glosstune.spaces.errors import SettingError, quoted

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient


@dataclass(frozen=True)
class RayJob:
    """A job as its cluster has it."""

    client: "JobSubmissionClient"
    address: str
    info: "JobDetails"


def slurm_job(name: str, address: str | None) -> Job | None:
    """The job of SLURM that a name stands for; None where it is Ray's, which an address says."""
    job = recall(name)
    return job if address is None and job is not None and job.kind == "slurm" else None


def ray_job(name: str, address: str | None) -> RayJob:
    """A job of Ray, on the cluster of an address, else on the one that this machine remembers, else on the default.

    Raises:
        SettingError: its cluster cannot be reached or has no such job.
    """
    job = recall(name)
    known = address or (None if job is None else job.address) or os.environ.get("RAY_API_SERVER_ADDRESS")
    where = find_address(known)
    try:
        client = connect(where)
        return RayJob(client, where, job_info(client, where, name))
    except SettingError as error:
        if known is not None:
            raise
        sent = f"those are {', '.join(list_jobs())}" if list_jobs() else "it has sent none"
        raise SettingError(f"{name}: this machine has sent no job of that name ({sent}); {error}") from error


def read_log(name: str, address: str | None) -> str:
    """What a job has written so far.

    Raises:
        SettingError, FolderError: its cluster cannot be reached or has no such job, or there is no log yet.
    """
    job = slurm_job(name, address)
    if job is not None:
        return slurm_jobs.read_log(Path(str(job.log)))
    found = ray_job(name, address)
    with plain_errors(found.address):
        return found.client.get_job_logs(name)


def describe_job(name: str, address: str | None) -> str:
    """A line or two on one job.

    Raises:
        SettingError: its cluster cannot be reached or has no such job.
    """
    job = slurm_job(name, address)
    if job is not None:
        return _describe_slurm(name, job)
    found = ray_job(name, address)
    return _describe(name, found.address, found.info)


def describe_jobs(jobs: Mapping[str, Job]) -> Iterator[str]:
    """A line or two for each job, whether its cluster answers or not; each cluster is tried once."""
    clients: dict[str, JobSubmissionClient | SettingError] = {}
    for name, job in jobs.items():
        if job.address is None:
            yield _describe_slurm(name, job)
            continue
        if job.address not in clients:
            try:
                clients[job.address] = connect(job.address)
            except SettingError as error:
                clients[job.address] = error
        client = clients[job.address]
        try:
            if isinstance(client, SettingError):
                raise client
            yield _describe(name, job.address, job_info(client, job.address, name))
        except SettingError as error:
            yield f"{name}  unknown  {error}; its results: {job.place}"


def stop_job(name: str, address: str | None, say: Callable[[str], None]) -> str:
    """End a job, wait until it has, and say what goes on with its sweep.

    Raises:
        SettingError: its cluster cannot be reached or has no such job.
    """
    job = slurm_job(name, address)
    if job is not None:
        return f"{name}: {slurm_jobs.stop(str(job.id))}\ngo on with: {job.again}"
    found = ray_job(name, address)
    client, address, info = found.client, found.address, found.info
    if not info.status.is_terminal():
        say(f"{name}: stopping, which saves the sweep")
        with plain_errors(address):
            client.stop_job(name)
    status, place, job = wait_for_end(client, address, name), _place(name, info), recall(name)
    if str(status) == "SUCCEEDED":
        return f"{name}: {status}; results: {place}"
    again = f"glosstune submit SWEEP.yaml --to ray --address {address} --out {place}" if job is None else job.again
    return f"{name}: {status}\ngo on with: {again}\nor, where {place} is at hand: glosstune resume {quoted(place)}"


def _describe_slurm(name: str, job: Job) -> str:
    try:
        state = slurm_jobs.describe_state(str(job.id))
    except SettingError as error:
        state = f"unknown  {error}"
    return f"{name}  {state}  job {job.id}, sent {job.submitted}; results: {job.place}"


def _describe(name: str, address: str, info: "JobDetails") -> str:
    line = f"{name}  {info.status}  {_times(info)}; results: {_place(name, info)}; cluster: {address}"
    failed = str(info.status) == "FAILED" and info.message
    return f"{line}\n  {str(info.message).strip().splitlines()[-1]}" if failed else line


def _place(name: str, info: "JobDetails") -> str:
    job = recall(name)
    return str((info.metadata or {}).get(PLACE) or (job.place if job is not None else "unknown"))


def _times(info: "JobDetails") -> str:
    begun, ended = (
        datetime.fromtimestamp(time / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M") if time else ""
        for time in (info.start_time, info.end_time)
    )
    return f"{begun} to {ended}" if ended else f"since {begun}"
