"""How jobs on clusters are doing, and how they are ended."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from glosstune.search.cluster import slurm_jobs
from glosstune.search.cluster.jobs import Job, recall, require_kind
from glosstune.search.cluster.ray_jobs import PLACE, connect, find_address, job_info, plain_errors, wait_for_end
from glosstune.spaces.errors import SettingError

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient


def locate(name: str, address: str | None) -> str:
    """The address of the cluster that has a job: the given one, else what this machine remembers, else the default."""
    job = recall(name)
    if address is None and job is not None:
        require_kind(name, job, "ray")
        address = job.address
    return find_address(address)


def describe_job(name: str, address: str | None) -> str:
    """A line or two on one job.

    Raises:
        SettingError: its cluster cannot be reached or has no such job.
    """
    job = recall(name)
    if address is None and job is not None and job.kind == "slurm":
        return _describe_slurm(name, job)
    address = locate(name, address)
    return _describe(name, address, job_info(connect(address), address, name))


def describe_jobs(jobs: Mapping[str, Job]) -> Iterator[str]:
    """A line or two for each job, whether its cluster answers or not; each cluster is tried once."""
    clients: dict[str, JobSubmissionClient | SettingError] = {}
    for name, job in jobs.items():
        if job.kind == "slurm":
            yield _describe_slurm(name, job)
            continue
        if job.kind != "ray" or job.address is None:
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
    known = recall(name)
    if address is None and known is not None and known.kind == "slurm":
        return f"{name}: {slurm_jobs.stop(str(known.id))}\ngo on with: {known.again}"
    address = locate(name, address)
    client = connect(address)
    info = job_info(client, address, name)
    if not info.status.is_terminal():
        say(f"{name}: stopping, which saves the sweep")
        with plain_errors(address):
            client.stop_job(name)
    status, place, job = wait_for_end(client, address, name), _place(name, info), recall(name)
    if str(status) == "SUCCEEDED":
        return f"{name}: {status}; results: {place}"
    again = f"glosstune submit SWEEP.yaml --to ray --address {address} --out {place}" if job is None else job.again
    return f"{name}: {status}\ngo on with: {again}\nor, where {place} is at hand: glosstune resume {place}"


def _describe_slurm(name: str, job: Job) -> str:
    try:
        state = slurm_jobs.status_of(str(job.id))
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
