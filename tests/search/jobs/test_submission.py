import json
import os
import shlex
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from glosstune.search import load_sweep
from glosstune.search.jobs import known_jobs as jobs
from glosstune.search.jobs import ray_jobs, states
from glosstune.search.jobs.known_jobs import Job, remember
from glosstune.search.jobs.ray_jobs import asks_for_token, connect, find_address
from glosstune.search.jobs.states import ray_job, slurm_job
from glosstune.search.jobs.submission import Plan, plan_submission
from glosstune.spaces import SettingError

Run = Callable[..., int]

ADDRESS = "http://head:8265"


@pytest.fixture(autouse=True)
def _memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "user_state_path", lambda name: tmp_path / "state")
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS", raising=False)


@pytest.fixture
def server() -> Iterator[Callable[[int, str], str]]:
    """Give the address of a server that answers everybody the same."""
    started: list[HTTPServer] = []

    def serve(status: int, body: str) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        started.append(HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=started[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{started[-1].server_port}"

    yield serve
    for each in started:
        each.shutdown()
        each.server_close()


def _plan(*overrides: str, **options: str | None) -> Plan:
    return plan_submission(load_sweep("student", overrides), ADDRESS, overrides=overrides, **options)


def test_the_entrypoint_begins_or_goes_on_at_the_place() -> None:
    plan = _plan("search.samples=3", "training.epochs=7", out="s3://bucket/runs/it's a", name="a")
    assert plan.place == "s3://bucket/runs/it's a"
    command = ["python", "-m", "glosstune.search", "sweep", "sweep.yaml", "search.samples=3", "--out"]
    assert shlex.split(plan.entrypoint) == [*command, plan.place, "--resume"]


def test_changes_are_sent_with_paths_that_do_not_depend_on_a_folder() -> None:
    plan = _plan("search.warm_start=[runs/a]", "storage=runs", "corpus.cache=packed", name="a")
    assert f'corpus.cache="{Path.cwd()}/packed"' in shlex.split(plan.entrypoint)
    earlier = json.dumps([f"{Path.cwd()}/runs/a"])
    assert f"search.warm_start={earlier}" in shlex.split(plan.entrypoint)
    assert plan.place == f"{Path.cwd()}/runs/a"


def test_the_job_is_stopped_gently_and_no_token_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    assert _plan().environment == {
        "RAY_JOB_STOP_SIGNAL": "SIGINT",
        "RAY_JOB_STOP_WAIT_TIME_S": "30",
        "RAY_AUTH_MODE": os.environ["RAY_AUTH_MODE"],
    }
    assert "secret" not in repr(_plan())


def test_the_command_that_goes_on_names_the_sweep_its_changes_and_the_place(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("{}")
    plan = plan_submission(load_sweep(file), ADDRESS, out="/shared/a", source=file)
    assert plan.again == f"glosstune submit {file} --to ray --address {ADDRESS} --out /shared/a"
    waiting = plan_submission(load_sweep(file), ADDRESS, out="/shared/a", source=file, wait_for_nodes=True)
    assert waiting.again == f"glosstune submit {file} --wait-for-nodes --to ray --address {ADDRESS} --out /shared/a"


@pytest.mark.parametrize("name", ["../a", ".a", "-a", "a b", "a/b"])
def test_a_name_that_is_none_for_a_folder_is_refused(name: str) -> None:
    with pytest.raises(SettingError, match=r"--name .*: must be letters"):
        _plan(name=name)


def test_a_dry_run_prints_what_would_be_sent_and_remembers_nothing(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["student", "search.samples=3", "--to", "ray", "--address", "http://127.0.0.1:1", "--name", "a"]
    assert run("submit", *arguments, "--out", str(tmp_path / "runs"), "--dry-run") == 0
    told = capsys.readouterr().out
    for part in (
        "entrypoint: python -m glosstune.search sweep",
        "  glosstune/search/nodes/probe.py",
        "  work/probe.py",
    ):
        assert part in told
    sweep = told[told.index("name: student") :]
    assert yaml.safe_load(sweep) == load_sweep("student", ["search.samples=3"]).resolved()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("status", "body", "asks"),
    [
        (401, "Unauthorized", True),
        (403, "Forbidden", True),
        (200, "[]", False),
        (200, "<html>log in</html>", True),
        (200, "{}", True),
    ],
)
def test_whether_a_cluster_asks_for_a_token_is_seen_from_its_answer(
    server: Callable[[int, str], str], status: int, body: str, asks: bool
) -> None:
    assert asks_for_token(server(status, body)) is asks


def test_another_server_is_no_cluster(server: Callable[[int, str], str]) -> None:
    with pytest.raises(SettingError, match="is no Ray cluster's dashboard; it answers 404"):
        asks_for_token(server(404, ""))


def test_an_open_cluster_is_not_used_unawares(
    server: Callable[[int, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    with pytest.raises(SettingError, match=r"CVE-2023-48022.* RAY_AUTH_MODE=disabled"):
        connect(server(200, "[]"))


def test_a_cluster_that_does_not_answer_is_one_line(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("logs", "a", "--address", "http://127.0.0.1:1") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("glosstune: http://127.0.0.1:1: no Ray cluster answers (")


def test_the_port_of_the_head_is_told_from_that_of_its_dashboard(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            connection.sendall(b"\0\0\x12\x04\0\r\n")  # as one for gRPC does
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        assert run("logs", "a", "--address", f"127.0.0.1:{server.getsockname()[1]}") == 2
        thread.join()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("is no dashboard of a Ray cluster, whose port is 8265 unless ray start was told another")


def test_the_address_is_given_or_remembered_or_set_or_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "connect", lambda address: None)
    monkeypatch.setattr(states, "job_info", lambda client, address, name: None)
    remember("a", Job("ray", "/shared/a", "2026-05-04T10:15:00+00:00", "", address=ADDRESS))
    assert ray_job("b", None).address == "http://127.0.0.1:8265"
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://other:8265/")
    assert ray_job("a", None).address == ADDRESS
    assert ray_job("b", None).address == "http://other:8265"
    assert ray_job("a", "third:1").address == "http://third:1"


def test_a_job_of_slurm_is_rays_where_an_address_says_so() -> None:
    job = Job("slurm", "/shared/a", "2026-05-04T10:15:00+00:00", "sbatch a.sbatch", id="7", log="/shared/a.log")
    remember("a", job)
    assert slurm_job("a", None) == job
    assert slurm_job("a", ADDRESS) is None
    assert slurm_job("b", None) is None


def test_a_name_that_nobody_knows_is_told_with_those_that_are_known(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ray_jobs, "DEFAULT_ADDRESS", "http://127.0.0.1:1")
    remember("first", Job("ray", "/shared/a", "2026-05-04T10:15:00+00:00", "", address=ADDRESS))
    for command in (["status"], ["logs"], ["logs", "--follow"], ["stop"]):
        assert run(*command, "frist") == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "frist: this machine has sent no job of that name (those are first); http://127.0.0.1:1: no Ray" in line
        assert line.endswith("name the head's dashboard with --address")


@pytest.mark.parametrize("address", ["ray://head:10001", "http://", "http://:8265", "http://head:port"])
def test_an_address_of_another_kind_is_refused(address: str) -> None:
    with pytest.raises(SettingError, match=f"--address {address}: must be that of the dashboard"):
        find_address(address)


def test_status_lists_jobs_whose_cluster_is_gone(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("status") == 0
    assert "no job was sent from this machine" in capsys.readouterr().out
    remember("a", Job("ray", "/shared/a", "2026-05-04T10:15:00+00:00", "", address="http://127.0.0.1:1"))
    assert run("status") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("a  unknown  http://127.0.0.1:1: no Ray cluster answers")
    assert line.endswith("its results: /shared/a")
