"""Jobs under a real SLURM (see real_slurm): most with stand-ins for Ray and the sweep, one with both."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from job_programs import finish, install_programs, ray_starts
from real_slurm import ADDRESS, Slurm, real_slurm, why_not

from glosstune.results import load_results
from glosstune.search import load_sweep
from glosstune.search.jobs.known_jobs import Job, remember
from glosstune.search.jobs.options import read_options
from glosstune.search.jobs.slurm_jobs import describe_state, status_of, stop, submit_slurm
from glosstune.search.jobs.slurm_script import SlurmOptions, job_files
from glosstune.spaces.errors import SettingError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.skipif(why_not() is not None, reason=f"a real SLURM {why_not()}"),
]
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")


@dataclass(frozen=True)
class Jobs:
    """Sends sweeps to a SLURM; each has its place in ``folder``, named as the job."""

    slurm: Slurm
    folder: Path
    programs: Path
    sent: dict[str, str]

    def submit(self, name: str, sweep: tuple[str, ...] = ("student",), **options: object) -> str:
        values = {"time_limit_min": 60, "cpus_per_node": 1, **options}
        job = submit_slurm(
            load_sweep(sweep[0], sweep[1:]),
            name,
            str(self.folder / name),
            read_options(SlurmOptions, values),
            ["glosstune", "submit", name],
            run=True,
            dry_run=False,
            say=print,
        )
        assert job is not None
        self.sent[name] = job
        return job

    def log(self, name: str) -> str:
        log = job_files(str(self.folder / name)).log
        return log.read_text() if log.exists() else ""

    def node(self, name: str, turn: int = 0) -> str:
        """Where a turn of a job's stand-in runs, which is waited for."""
        file = self.folder / name / f"turn-{turn}"
        wait_until(lambda: file.exists() and bool(file.read_text()), lambda: self.log(name))
        return file.read_text().split()[0]


def wait_until(done: Callable[[], bool], tell: Callable[[], object], seconds: float = 300.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, tell()
        time.sleep(0.1)


@pytest.fixture(scope="module")
def jobs(tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    """Has sent already what takes long, under the names ``limited``, ``lost`` and ``swept``."""
    folder = tmp_path_factory.mktemp("slurm")
    with (
        real_slurm(folder / "slurm", install_programs(folder / "programs")) as slurm,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("PATH", str(slurm.commands), prepend=os.pathsep)
        jobs = Jobs(slurm, folder, folder / "programs", {})
        jobs.submit("limited", time_limit_min=2, save_before_s=119)
        jobs.submit("lost")
        submit_swept(jobs, tiny)
        slurm.kill_slurmd(jobs.node("lost"))
        yield jobs


def submit_swept(jobs: Jobs, tiny: list[str]) -> None:
    """A real sweep under a real Ray on two nodes, where another Ray lives already, cut off after its first epoch."""
    programs = jobs.folder / "real"
    programs.mkdir()
    (programs / "ray").symlink_to(Path(sys.executable).with_name("ray"))
    (programs / "glosstune").write_text(f'#!/bin/bash\nexec {sys.executable} -m glosstune.search "$@"\n')
    (programs / "glosstune").chmod(0o755)
    own = Path(f"/tmp/glosstune-{jobs.sent['limited']}-other")  # short, as sockets have to be; real_slurm removes it
    own.mkdir()
    foreign = ["RAY_AUTH_MODE=disabled", f"RAY_TMPDIR={own}", str(programs / "ray")]
    jobs.slurm.start(*foreign, "start", "--head", "--block", "--num-cpus=0", f"--node-ip-address={ADDRESS}")
    wait_until(lambda: bool(jobs.slurm.processes("/raylet ")), lambda: "no other Ray", seconds=60)
    whole = ("halving.kind=none", "stopping.stuck_wer=null", "stopping.blank_ratio=null", "training.epochs=4")
    path = shlex.quote(os.pathsep.join(sys.path))
    setup = [f"export PATH={programs}:$PATH", f"export PYTHONPATH={path}", "export OMP_NUM_THREADS=1"]
    job = jobs.submit("swept", (*tiny, *whole, "search.samples=2"), nodes=2, setup=setup)
    record = shlex.quote(str(jobs.folder / "swept" / "record.jsonl"))
    # As SLURM does before the limit.
    cut = f"until grep -qs '\"report\"' {record}; do sleep 0.1; done; scancel --batch --signal=USR1 {job}"
    jobs.slurm.start("bash", "-c", cut)


def reports(place: Path) -> list[tuple[int, int]]:
    events = [json.loads(line) for line in (place / "record.jsonl").read_text().splitlines()]
    return [(event["trial"], event["epoch"]) for event in events if event["event"] == "report"]


def test_a_job_on_two_nodes_runs_to_the_end_beside_others_on_its_ports(jobs: Jobs) -> None:
    number = int(jobs.slurm.call("bash", "-c", "scontrol show config | awk '/NEXT_JOB_ID/ { print $3 }'"))
    port = 20_000 + number % 10_000
    listen = f"import socket, time; server = socket.create_server(('', {port})); time.sleep(600)"
    jobs.slurm.start(sys.executable, "-c", listen)
    wait_until(lambda: bool(jobs.slurm.call("ss", "-ltnH", f"sport = :{port}")), lambda: "nobody listens")
    job = jobs.submit("two", nodes=2)
    assert int(job) == number
    jobs.node("two")
    wait_until(
        lambda: sum(f"glosstune-{job}-" in line for line in ray_starts(jobs.programs)) == 2, lambda: jobs.log("two")
    )
    assert status_of(job) == "RUNNING"
    finish(jobs.folder / "two")
    assert jobs.slurm.wait_for(job, *ENDED) == status_of(job) == "COMPLETED"
    starts = [line for line in ray_starts(jobs.programs) if f"glosstune-{job}-" in line]
    assert {line.split()[1] for line in starts} == {f"{ADDRESS}:{port + 1}"}
    wait_until(lambda: not list(Path("/tmp").glob(f"glosstune-{job}-*")), lambda: "folders of the job are left")


@pytest.mark.parametrize("status", ["1", "2"])
def test_a_job_has_the_status_of_its_sweep(jobs: Jobs, status: str) -> None:
    job = jobs.submit(f"status-{status}")
    jobs.node(f"status-{status}")
    finish(jobs.folder / f"status-{status}", status)
    assert jobs.slurm.wait_for(job, *ENDED) == "FAILED"
    assert f"ExitCode={status}:0" in jobs.slurm.call("scontrol", "show", "job", job)


def test_sweeps_that_share_a_node_do_not_meet(jobs: Jobs) -> None:
    shared = ["--oversubscribe", "--mem=200", "--nodelist=n8"]
    names = [f"shared-{number}" for number in range(2)]
    sent = {name: jobs.submit(name, sbatch=shared) for name in names}
    assert [jobs.node(name) for name in names] == ["n8", "n8"]
    finish(jobs.folder / names[0])
    jobs.slurm.wait_for(sent[names[0]], "COMPLETED")
    assert status_of(sent[names[1]]) == "RUNNING"
    finish(jobs.folder / names[1])
    jobs.slurm.wait_for(sent[names[1]], "COMPLETED")


def test_an_array_of_one_sweep_is_told(jobs: Jobs) -> None:
    script = job_files(str(jobs.folder / "arrayed")).script
    job_of_itself = jobs.submit("arrayed", sbatch=["--begin=now+1hour"])
    subprocess.run(["scancel", job_of_itself], check=True)
    done = subprocess.run(
        ["sbatch", "--parsable", "--begin=now", "--array=0-1", str(script)], capture_output=True, text=True, check=True
    )
    job = done.stdout.strip()
    wait_until(lambda: set(jobs.slurm.state(job).split()) == {"FAILED"}, lambda: jobs.log("arrayed"))
    assert jobs.log("arrayed").count("an array would run one sweep several times") == 2


def test_stop_lets_a_sweep_save_and_a_waiting_job_leave(
    jobs: Jobs,
    run: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    job = jobs.submit("stopped")
    jobs.node("stopped")
    files = job_files(str(jobs.folder / "stopped"))
    remember("stopped", Job("slurm", "/p", "2026", f"sbatch {files.script}", id=job, log=str(files.log)))
    capsys.readouterr()
    assert run("status") == 0
    assert capsys.readouterr().out.startswith(f"stopped  RUNNING  job {job}, ")
    assert run("stop", "stopped") == 0
    assert "was told to save and end" in capsys.readouterr().out
    jobs.slurm.wait_for(job, "FAILED")
    assert (jobs.folder / "stopped" / "saved-SIGTERM").exists()
    assert "ExitCode=143:0" in jobs.slurm.call("scontrol", "show", "job", job)
    assert run("status", "stopped") == 0 and run("logs", "stopped") == 0
    assert capsys.readouterr().out.startswith(f"stopped  FAILED  job {job}, ")
    waiting = jobs.submit("waiting", sbatch=["--begin=now+1hour"])
    assert describe_state(waiting) == "PENDING (BeginTime)"
    assert stop(waiting) == f"job {waiting} was PENDING and left the queue"
    assert status_of(waiting) == "CANCELLED"


def test_a_plain_scancel_ends_ray_and_the_sweep(jobs: Jobs) -> None:
    job = jobs.submit("cancelled")
    jobs.node("cancelled")
    jobs.slurm.call("scancel", job)
    assert jobs.slurm.wait_for(job, *ENDED) == "CANCELLED"
    wait_until(lambda: not jobs.slurm.processes("cancelled"), lambda: jobs.slurm.processes("cancelled"))
    assert not (jobs.folder / "cancelled" / "turn-1").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"partition": "none"}, "Invalid partition name specified"),
        ({"partition": "theirs", "account": "me"}, "Invalid account or account/partition combination specified"),
        ({"nodes": 99}, "More processors requested than permitted|Node count specification invalid"),
    ],
)
def test_what_slurm_refuses_is_one_line(jobs: Jobs, options: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError) as refused:
        jobs.submit("refused", **options)
    assert re.search(message, str(refused.value)) and "\n" not in str(refused.value)


def test_a_job_that_nobody_knows_is_one_line(jobs: Jobs) -> None:
    with pytest.raises(SettingError, match=r"^job 99999999: SLURM knows no such job, or has forgotten it"):
        status_of("99999999")


def test_a_job_whose_node_is_lost_goes_on_on_another(jobs: Jobs) -> None:
    job = jobs.sent["lost"]
    assert jobs.node("lost", 1) != jobs.node("lost", 0)
    finish(jobs.folder / "lost")
    assert jobs.slurm.wait_for(job, *ENDED) == "COMPLETED"


def test_a_job_that_runs_into_its_limit_twice_goes_on_from_the_queue(jobs: Jobs) -> None:
    job = jobs.sent["limited"]
    jobs.node("limited", 2)
    finish(jobs.folder / "limited")
    assert jobs.slurm.wait_for(job, *ENDED) == "COMPLETED"
    assert jobs.log("limited").count("queued again, to go on") >= 2  # SLURM may be quicker than the sweep begins
    assert (jobs.folder / "limited" / "saved-SIGUSR1").exists()


def test_a_sweep_under_ray_on_two_nodes_is_cut_and_goes_on_and_leaves_another_ray_alone(jobs: Jobs) -> None:
    job, place = jobs.sent["swept"], jobs.folder / "swept"
    assert jobs.slurm.wait_for(job, *ENDED, seconds=400) == "COMPLETED", jobs.log("swept")
    log = jobs.log("swept")
    assert log.count("queued again, to go on") == 1 and "interrupted by SIGUSR1" in log and "(going on)" in log
    assert "nodes have joined" not in log and "looking at its nodes" in log
    assert sorted(reports(place)) == [(trial, epoch) for trial in range(2) for epoch in range(1, 5)]
    assert set(load_results(place).trials["status"]) == {"finished"}
    # Nothing of the job is left, and everything of the other Ray.
    assert not jobs.slurm.processes(f"glosstune-{job}-") and not jobs.slurm.processes(f":2{job[-4:]}")
    wait_until(lambda: not list(Path("/tmp").glob(f"glosstune-{job}-*")), lambda: "folders of the job are left")
    assert len(jobs.slurm.processes("/gcs_server ")) == len(jobs.slurm.processes("/raylet ")) == 1
    assert len(jobs.slurm.processes("ray.util.client.server ")) <= 1
