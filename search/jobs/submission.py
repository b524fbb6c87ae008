"""Send a sweep to a Ray cluster: stage it, look at the cluster first, and submit it as a Ray job."""

import json
import os
import secrets
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from glosstune.results.reading.names import SWEEP
from glosstune.results.text import lines_to
from glosstune.search.config.sweep import Sweep
from glosstune.search.jobs.known_jobs import Job, remember
from glosstune.search.jobs.options import dated_name, find_place, list_overrides
from glosstune.search.jobs.ray_jobs import (
    PLACE,
    asks_for_token,
    connect,
    find_address,
    plain_errors,
    start_job,
    wait_for_end,
)
from glosstune.search.jobs.staging import Staged, stage
from glosstune.search.nodes import probe
from glosstune.search.nodes.judging import ask_about, judge, read_answer, read_requirements
from glosstune.search.nodes.tokens import OPEN_CLUSTER
from glosstune.spaces.errors import SettingError, quoted_command

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

# Until the probe, which takes seconds, has run; a job that nothing can start would stay pending for 15 minutes.
PROBE_WITHIN_S = 300.0


@dataclass(frozen=True)
class Plan:
    """A sweep as it is to be sent.

    Attributes:
        name: of the job.
        place: folder or URI of its results, as the cluster sees it.
        entrypoint: the command that the cluster runs.
        environment: variables that it sets for it.
        again: the command that goes on with the sweep.
    """

    sweep: Sweep
    name: str
    place: str
    entrypoint: str
    environment: dict[str, str]
    again: str


def plan_submission(
    sweep: Sweep,
    address: str,
    *,
    out: str | None = None,
    name: str | None = None,
    source: Path | str | None = None,
    overrides: Sequence[str] = (),
    wait_for_nodes: bool = False,
) -> Plan:
    """What ``submit`` would send; contacts nobody.

    Args:
        source: the sweep file, for the command that goes on.
        overrides: those that the sweep was loaded with; a sweep that lies at ``out`` takes them as changes.
        wait_for_nodes: what no node has yet is not refused, for one may join.

    Raises:
        SettingError: a name that is none for a folder.
    """
    name = name or dated_name(sweep)
    if name.startswith((".", "-")) or not all(letter.isalnum() or letter in "._-" for letter in name):
        raise SettingError(f"--name {name}: must be letters, digits, '.', '_' and '-', because a folder is called so")
    place = find_place(sweep, name, out)
    changes = list_overrides(sweep, overrides)
    run = ["python", "-m", "glosstune.search", "sweep", SWEEP, *changes, "--out", place, "--resume"]
    file = () if source is None else (str(Path(source).absolute() if Path(source).is_file() else source),)
    again = ["glosstune", "submit", *file, *overrides, *["--wait-for-nodes"] * wait_for_nodes]
    return Plan(
        sweep=sweep,
        name=name,
        place=place,
        entrypoint=shlex.join(run),
        environment={
            # Ray's own are SIGTERM and three seconds; an epoch is to be saved.
            "RAY_JOB_STOP_SIGNAL": "SIGINT",
            "RAY_JOB_STOP_WAIT_TIME_S": "30",
            "RAY_AUTH_MODE": os.environ.get("RAY_AUTH_MODE", "token"),
        },
        again=quoted_command([*again, "--to", "ray", "--address", address, "--out", place]),
    )


def submit(
    sweep: Sweep,
    address: str | None = None,
    *,
    out: str | None = None,
    name: str | None = None,
    source: Path | str | None = None,
    overrides: Sequence[str] = (),
    wait_for_nodes: bool = False,
    console: Console | None = None,
) -> str:
    """Check a Ray cluster and start a sweep there; return the name of its job.

    Args:
        sweep: what to search (see ``load_sweep``); paths in it are those of the cluster.
        address: of the cluster's dashboard; default RAY_API_SERVER_ADDRESS, else http://127.0.0.1:8265.
        out: folder or URI of the results, as the cluster sees it; default ``<storage>/<name>``. A sweep that lies
            there goes on.
        name: of the job; default ``<sweep.name>-<date>``.
        source, overrides, wait_for_nodes: see ``plan_submission``.
        console: where checks are told; default standard error.

    Raises:
        SettingError: the cluster cannot be reached, lacks something, or has a job of that name.
    """
    say = lines_to(console or Console(stderr=True))
    address = find_address(address)
    plan = plan_submission(
        sweep, address, out=out, name=name, source=source, overrides=overrides, wait_for_nodes=wait_for_nodes
    )
    with staged(plan) as files:
        client = connect(address)
        if not asks_for_token(address):
            say(f"warning: {address}: {OPEN_CLUSTER}")
        _check_name(client, address, plan.name)
        say(f"{address}: looking at its nodes")
        _check_cluster(client, address, plan, files, wait_for_nodes, say)
        say(f"{address}: sending {files.size_bytes / 1e6:.1f} MB")
        _start(client, address, plan, files)
    submitted = datetime.now(UTC).isoformat(timespec="seconds")
    remember(plan.name, Job("ray", plan.place, submitted, plan.again, address=address))
    return plan.name


@contextmanager
def staged(plan: Plan) -> Iterator[Staged]:
    """The files to send, in a folder that is removed afterwards."""
    requirements = read_requirements(plan.sweep, plan.place)
    with tempfile.TemporaryDirectory(prefix="glosstune-") as folder:
        files = stage(plan.sweep, Path(folder))
        shutil.copyfile(probe.__file__, files.working_dir / "probe.py")
        question = ask_about(plan.sweep, plan.place, requirements)
        (files.working_dir / probe.QUESTION).write_text(json.dumps(question, indent=1), encoding="utf-8")
        yield files


def _check_name(client: "JobSubmissionClient", address: str, name: str) -> None:
    with plain_errors(address):
        if any(job.submission_id == name for job in client.list_jobs()):
            raise SettingError(f"--name {name}: the cluster has a job of that name; choose another")


def _check_cluster(
    client: "JobSubmissionClient", address: str, plan: Plan, files: Staged, may_join: bool, say: Any
) -> None:
    """Raise SettingError, a line for each reason, where the sweep cannot run there; tell what else differs."""
    requirements = read_requirements(plan.sweep, plan.place)
    nodes = read_answer(_run_probe(client, address, plan, files))
    judge(nodes, plan.sweep, requirements, may_join=may_join).tell(say, address)


def _run_probe(client: "JobSubmissionClient", address: str, plan: Plan, files: Staged) -> str:
    """The log of the probe."""
    name = f"probe-{plan.name}-{secrets.token_hex(3)}"
    environment = {"RAY_AUTH_MODE": plan.environment["RAY_AUTH_MODE"]}
    runtime = {"working_dir": str(files.working_dir), "env_vars": environment}
    start_job(client, address, entrypoint="python probe.py", submission_id=name, runtime_env=runtime)
    with plain_errors(address):
        status = wait_for_end(client, address, name, PROBE_WITHIN_S)
        if not status.is_terminal():
            client.stop_job(name)
            raise SettingError(
                f"{address}: did not start a job within {PROBE_WITHIN_S:.0f} s; see glosstune logs {name}"
            )
        return client.get_job_logs(name) or client.get_job_info(name).message or ""


def _start(client: "JobSubmissionClient", address: str, plan: Plan, files: Staged) -> None:
    runtime = {
        "working_dir": str(files.working_dir),
        "py_modules": [str(files.package)],
        "env_vars": plan.environment,
    }
    # Without CPUs or GPUs of its own: it only drives, and a request that no node meets would wait for ever.
    job = {"entrypoint": plan.entrypoint, "submission_id": plan.name, "metadata": {PLACE: plan.place}}
    start_job(client, address, runtime_env=runtime, **job)
