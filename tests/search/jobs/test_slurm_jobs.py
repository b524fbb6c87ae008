"""Jobs really run here, under a SLURM of our own (see fake_slurm)."""

import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_slurm import wait_for, wait_until_over
from job_programs import finish, install_programs, ray_starts
from real_slurm import why_not

from glosstune.results import load_results
from glosstune.search import load_sweep
from glosstune.search.jobs.options import read_options
from glosstune.search.jobs.slurm_jobs import describe_state, read_log, status_of, stop, submit_slurm
from glosstune.search.jobs.slurm_script import SlurmOptions, job_files
from glosstune.spaces.errors import FolderError, SettingError

COMMAND = ["glosstune", "submit", "student", "--to", "slurm"]


def _program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _log(place: Path) -> str:
    return read_log(job_files(str(place)).log)


def _wait_until(done: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)


def _taken() -> socket.socket:
    """Somebody who listens on one of the ports that jobs begin with."""
    while True:
        try:
            return socket.create_server(("", random.randrange(20_000, 30_000)))
        except OSError:
            continue


@pytest.fixture
def programs(slurm: Path) -> Path:
    """Stand-ins for ray and glosstune on PATH."""
    return install_programs(Path(os.environ["PATH"].split(os.pathsep)[0]))


@pytest.fixture
def submitted(slurm: Path, programs: Path, tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Submit a sweep; gives the folder of the job and the place of the sweep."""

    def submit(place: Path = tmp_path / "a $HOME & place", **options: object) -> tuple[Path, Path]:
        values = {"time_limit_min": 60, "cpus_per_node": 2, **options}
        job = submit_slurm(
            load_sweep("student"),
            "a",
            str(place),
            read_options(SlurmOptions, values),
            COMMAND,
            run=True,
            dry_run=False,
            say=print,
        )
        assert job is not None
        return slurm / job, place

    return submit


def test_a_job_runs_to_the_end_with_one_driver_on_two_nodes(
    programs: Path, submitted: Callable[..., tuple[Path, Path]]
) -> None:
    job, place = submitted(nodes=2)
    wait_for(place / "turn-0")
    assert status_of(job.name) == describe_state(job.name) == "RUNNING"
    _wait_until(lambda: len(ray_starts(programs)) == 2)
    finish(place)
    assert wait_until_over(job) == "COMPLETED"
    assert status_of(job.name) == "COMPLETED"
    assert not (place / "turn-1").exists()
    assert (place / "turn-0").read_text().split()[-1] == "2"
    head, worker = (line.split(" ") for line in ray_starts(programs))
    assert head[0] == "0" and worker[0] == "1" and head[1:4] == worker[1:4]
    assert head[5] == worker[5] == "700" and head[4] != worker[4]
    host, _, port = head[1].partition(":")
    assert head[8:11] == ["--head", f"--node-ip-address={host}", f"--port={port}"]
    assert worker[8] == f"--address={head[1]}"
    assert not list(Path("/tmp").glob(f"glosstune-{job.name}*"))


def test_the_token_is_new_for_each_run_and_on_no_command_line(
    slurm: Path, programs: Path, submitted: Callable[..., tuple[Path, Path]], tmp_path: Path
) -> None:
    tokens = set()
    for count, name in enumerate(("a", "b"), start=1):
        job, place = submitted(tmp_path / name)
        wait_for(place / "turn-0")
        _wait_until(lambda count=count: len(ray_starts(programs)) == count)
        finish(place)
        wait_until_over(job)
        _, address, mode, token, folder, _, *arguments = ray_starts(programs)[-1].split(" ")
        assert mode == "token" and len(token) == 64 and token not in arguments
        assert address.rpartition(":")[2] == str(20_000 + int(job.name) % 10_000)
        assert not address.startswith("127.") and folder.startswith(f"/tmp/glosstune-{job.name}-")
        for text in (job / "script", slurm / "srun.log", place.with_name(f"{name}.log")):
            assert token not in text.read_text()
        tokens.add(token)
    assert len(tokens) == 2


def test_a_job_saves_before_the_limit_and_goes_on_from_the_queue(
    submitted: Callable[..., tuple[Path, Path]],
) -> None:
    job, place = submitted()
    wait_for(place / "turn-0")
    (job / "signal-USR1").touch()
    wait_for(place / "turn-1")
    assert (place / "saved-SIGUSR1").exists()
    finish(place)
    assert wait_until_over(job) == "COMPLETED"
    assert _log(place).count("queued again, to go on") == 1


def test_a_head_that_was_too_slow_for_ray_is_started_again(
    programs: Path, submitted: Callable[..., tuple[Path, Path]]
) -> None:
    (programs / "slow-ray").touch()
    job, place = submitted()
    wait_for(place / "turn-0")
    assert len([line for line in ray_starts(programs) if "--head" in line]) == 2
    finish(place)
    assert wait_until_over(job) == "COMPLETED"
    assert _log(place).count("glosstune: Ray did not come up on ") == 1


def test_a_limit_that_comes_while_nodes_still_join_queues_the_job_again(
    programs: Path, submitted: Callable[..., tuple[Path, Path]]
) -> None:
    (programs / "joining").touch()
    job, place = submitted()
    wait_for(programs / "begun")
    (job / "signal-USR1").touch()
    wait_for(job / "requeue-seen")
    assert not place.exists()
    (programs / "joining").unlink()
    wait_for(place / "turn-0")
    finish(place)
    assert wait_until_over(job) == "COMPLETED"
    assert _log(place).count("queued again, to go on") == 1


def test_a_port_that_another_ray_has_is_gone_around(
    programs: Path, submitted: Callable[..., tuple[Path, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with _taken() as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("FAKE_SLURM_NUMBER", str(1_000_000 + port % 10_000))
        job, place = submitted()
        wait_for(place / "turn-0")
        _wait_until((programs / "ray.log").exists)
    finish(place)
    wait_until_over(job)
    assert f":{port} " not in (programs / "ray.log").read_text()


def test_a_ray_that_does_not_start_tells_why(programs: Path, submitted: Callable[..., tuple[Path, Path]]) -> None:
    (programs / "no-ray").touch()
    job, place = submitted()
    wait_for(place / "turn-0")
    _wait_until(lambda: "no Ray today" in _log(place))
    finish(place, "2")
    assert wait_until_over(job) == "FAILED"
    assert (job / "status").read_text() == "2"


@pytest.mark.parametrize(("status", "state"), [("0", "COMPLETED"), ("1", "FAILED"), ("2", "FAILED")])
def test_a_sweep_that_ends_by_itself_leaves_its_status_and_is_not_queued_again(
    submitted: Callable[..., tuple[Path, Path]], status: str, state: str
) -> None:
    job, place = submitted(nodes=2)
    wait_for(place / "turn-0")
    finish(place, status)
    assert wait_until_over(job) == state
    assert (job / "status").read_text() == status
    assert not (place / "turn-1").exists()


def test_a_job_that_is_stopped_saves_and_is_not_queued_again(submitted: Callable[..., tuple[Path, Path]]) -> None:
    job, place = submitted()
    wait_for(place / "turn-0")
    assert stop(job.name) == f"job {job.name} was told to save and end"
    assert wait_until_over(job) == "FAILED"
    assert (place / "saved-SIGTERM").exists() and not (place / "turn-1").exists()
    assert (job / "status").read_text() == "143"
    assert stop(job.name) == f"job {job.name} is over already: FAILED"


def test_a_job_that_was_queued_again_often_enough_ends(submitted: Callable[..., tuple[Path, Path]]) -> None:
    job, place = submitted(requeues=1)
    for turn in range(2):
        wait_for(place / f"turn-{turn}")
        (job / "signal-USR1").touch()
    assert wait_until_over(job) == "FAILED"
    assert (job / "status").read_text() == "138" and not (place / "turn-2").exists()
    assert "queued again 1 times, so no more" in _log(place)


def test_a_job_that_may_not_be_queued_again_fails_with_the_status_of_its_sweep(
    slurm: Path, submitted: Callable[..., tuple[Path, Path]]
) -> None:
    (slurm / "no-requeue").touch()
    job, place = submitted()
    wait_for(place / "turn-0")
    (job / "signal-USR1").touch()
    assert wait_until_over(job) == "FAILED"
    assert (job / "status").read_text() == "138"


def test_a_job_without_glosstune_on_its_nodes_says_so(
    programs: Path, submitted: Callable[..., tuple[Path, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (programs / "glosstune").unlink()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    job, place = submitted()
    assert wait_until_over(job) == "FAILED"
    assert "glosstune: not found on" in _log(place)


def test_a_waiting_job_leaves_the_queue(slurm: Path, submitted: Callable[..., tuple[Path, Path]]) -> None:
    (slurm / "hold").touch()
    job, place = submitted()
    assert describe_state(job.name) == "PENDING (Resources)"
    assert stop(job.name) == f"job {job.name} was PENDING and left the queue"
    assert status_of(job.name) == "CANCELLED"
    with pytest.raises(FolderError, match="no job of this place has begun yet"):
        _log(place)


def test_what_slurm_refuses_is_one_line(slurm: Path, submitted: Callable[..., tuple[Path, Path]]) -> None:
    (slurm / "refuse").touch()
    with pytest.raises(SettingError, match=r"^sbatch: sbatch: error: .*Invalid account$"):
        submitted()
    with pytest.raises(SettingError, match="job 17: SLURM knows no such job"):
        status_of("17")
    with pytest.raises(SettingError, match="job '--user=root': must be the number"):
        stop("--user=root")


def test_a_machine_without_slurm_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingError, match="sacct: not found; run this where SLURM is"):
        status_of("17")


def test_files_are_written_but_not_submitted_without_run(tmp_path: Path) -> None:
    options, said = SlurmOptions(time_limit_min=60, cpus_per_node=2), list[str]()
    sweep = load_sweep("student")
    place = "s3://bucket/prefix/a?region=us-east-1"
    for dry_run in (True, False):
        submit_slurm(
            sweep, "a", place, options, COMMAND, run=False, dry_run=dry_run, say=said.append, folder=tmp_path / "jobs"
        )
        assert (tmp_path / "jobs").exists() is not dry_run
    script = (tmp_path / "jobs" / "a.sbatch").read_text()
    assert script in said[1] and f"sbatch {tmp_path}/jobs/a.sbatch" in said[2]
    assert "--out 's3://bucket/prefix/a?region=us-east-1' --resume" in script
    assert load_sweep(tmp_path / "jobs" / "a.sweep.yaml") == sweep


ALONE = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]


def _can_be_alone() -> bool:
    try:
        return subprocess.run([*ALONE, "true"], capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(why_not() is None, reason="runs under a real SLURM here (test_real_slurm)")
@pytest.mark.skipif(not _can_be_alone(), reason="needs a process tree of its own, with which all that it starts ends")
def test_a_real_sweep_under_ray_is_cut_at_the_limit_and_goes_on_to_its_end(
    slurm: Path, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = Path(os.environ["PATH"].split(os.pathsep)[0])
    (commands / "ray").symlink_to(Path(sys.executable).with_name("ray"))
    _program(commands / "glosstune", f'#!/bin/bash\nexec {sys.executable} -m glosstune.search "$@"\n')
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    # A first process that waits for orphans, without which ``ray stop`` would wait for their remains.
    monkeypatch.setenv("FAKE_SLURM_ALONE", json.dumps([*ALONE, "bash", "-c", '"$@"; exit $?', "init"]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    path, *overrides = tiny
    whole = ["halving.kind=none", "stopping.stuck_wer=null", "stopping.blank_ratio=null", "training.epochs=9"]
    sweep = load_sweep(path, [*overrides, *whole, "search.samples=3"])
    options = SlurmOptions(time_limit_min=60, cpus_per_node=1)
    place = tmp_path / "sweep"
    job = submit_slurm(sweep, "tiny", str(place), options, COMMAND, run=True, dry_run=False, say=print)
    assert job is not None

    def epochs() -> list[tuple[int, int]]:
        try:
            events = [json.loads(line) for line in (place / "record.jsonl").read_text().splitlines(keepends=True)]
        except (FileNotFoundError, ValueError):
            return []
        return [(event["trial"], event["epoch"]) for event in events if event["event"] == "report"]

    while not epochs():
        assert not (slurm / job / "over").exists(), _log(place)
        time.sleep(0.1)
    (slurm / job / "signal-USR1").touch()
    assert wait_until_over(slurm / job, 600) == "COMPLETED", _log(place)
    assert "queued again, to go on" in _log(place)
    assert "interrupted by SIGUSR1" in _log(place) and "(going on)" in _log(place)
    assert sorted(epochs()) == [(trial, epoch) for trial in range(3) for epoch in range(1, 10)]
    assert set(load_results(place).trials["status"]) == {"finished"}
