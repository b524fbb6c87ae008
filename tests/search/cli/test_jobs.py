"""What users type to send a sweep, and what they read when it cannot be sent."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from glosstune.search.cli import main as command_line

Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command as a shell would, in a folder of its own, and give its exit status."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["glosstune", *arguments])
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        return int(ended.value.code or 0)

    return run


def _program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_a_folder_that_is_no_sweep_is_not_taken_for_a_job(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "file").touch()
    for name, rule in (("a", "not the folder of a sweep"), ("file", "is a file"), ("", "FOLDER: is empty")):
        assert run("status", name) == 2
        assert rule in capsys.readouterr().err


def test_a_manifest_is_all_that_is_printed(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--image", "me/it:1", "--gpus-per-node", "2", "--set", "head_cpus=4", "--out", "s3://bucket/runs/a"]
    assert run("submit", "student", "--to", "kuberay", *asked, "search.samples=3") == 0
    files, job = yaml.safe_load_all(capsys.readouterr().out)
    assert yaml.safe_load(files["data"]["sweep.yaml"])["search"]["samples"] == 3
    head = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    assert head["resources"]["requests"]["cpu"] == "4"


def test_a_script_is_written_submitted_and_found_again(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    programs = tmp_path / "bin"
    _program(programs, "sbatch", "echo 17")
    _program(programs, "squeue", "echo RUNNING")
    _program(programs, "scancel", f'echo "$@" > {tmp_path}/cancelled')
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    asked = ["--cpus-per-node", "2", "--time-limit-min", "60", "--setup", "module load x", "--out", "runs/a"]
    assert run("submit", "student", "--to", "slurm", *asked, "--name", "first") == 0
    assert f"submit it with: sbatch {tmp_path}/runs/a.sbatch" in capsys.readouterr().out
    assert run("submit", "student", "--to", "slurm", *asked, "--name", "first", "--run", "search.samples=9") == 0
    assert capsys.readouterr().out.endswith("\nfirst\n")
    script = (tmp_path / "runs" / "a.sbatch").read_text()
    assert f" {tmp_path}/runs/a.sweep.yaml search.samples=9 --out {tmp_path}/runs/a --resume" in script
    assert "\nmodule load x\n" in script and "#SBATCH --time=60" in script
    assert run("status") == 0
    assert capsys.readouterr().out.startswith("first  RUNNING  job 17, sent ")
    assert run("logs", "first") == 2
    assert "runs/a.log: no such log; no job of this place has begun yet" in capsys.readouterr().err
    (tmp_path / "runs" / "a.log").write_text("trial 0\n")
    assert run("logs", "first") == 0
    assert capsys.readouterr().out == "trial 0\n"
    assert run("logs", "first", "--follow") == 2
    assert f"--follow: is not for jobs of SLURM; use: tail -f {tmp_path}/runs/a.log" in capsys.readouterr().err
    assert run("stop", "first") == 0
    assert f"go on with: sbatch {tmp_path}/runs/a.sbatch" in capsys.readouterr().out
    assert (tmp_path / "cancelled").read_text() == "--batch --signal=TERM 17\n"


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["--to", "slurm"], "time_limit_min: must be given"),
        (["--to", "slurm", "--image", "x", "--time-limit-min", "9"], "--image: is not for --to slurm; leave it out"),
        (["--to", "kuberay", "--image", "x", "--partition", "p"], "--partition: is not for --to kuberay; leave it out"),
        (["--to", "kuberay", "--image", "x", "--run"], "--run: is not for --to kuberay"),
        (["--to", "ray", "--nodes", "2"], "--nodes: is not for --to ray; leave it out"),
        (["--to", "slurm", "--address", "http://h:1"], "--address: is not for --to slurm"),
        (["--to", "slurm", "--time-limit-min", "9", "--set", "x"], "--set: must be KEY=VALUE; got 'x'"),
        (["--to", "slurm", "--time-limit-min", "9", "--set", "requeue=1"], "unknown key; did you mean 'requeues'?"),
        (["--to", "kuberay", "--image", "x", "--out", "s3://k:secret@b/a"], "--out: must hold no credentials"),
        (["--to", "slurm", "--time-limit-min", "9"], "cpus_per_node: must be given where trials use no GPU"),
    ],
)
def test_options_that_do_not_belong_are_refused(
    run: Run, capsys: pytest.CaptureFixture[str], arguments: list[str], rule: str
) -> None:
    assert run("submit", "student", *arguments) == 2
    told = capsys.readouterr()
    assert rule in told.err and "secret" not in told.err + told.out


def test_a_driver_attaches_on_a_node_of_the_cluster_alone(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("sweep", "student", "--address", "ray://head:10001") == 2
    assert "would run the driver, its lock, display and record, on the head" in capsys.readouterr().err
