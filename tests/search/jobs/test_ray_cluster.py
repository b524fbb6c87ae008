"""A real head with token authentication, which has no glosstune but what a job brings along."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from s3_server import S3Server

from glosstune.results import load_results
from glosstune.results.reading.events import EpochReported
from glosstune.results.reading.names import RECORD
from glosstune.results.reading.record import read_record

pytestmark = pytest.mark.slow

ENDLESS = 1000
NO_RULES = ["stopping.stuck_wer=null", "stopping.blank_ratio=null", "stopping.divergence=null"]
PATIENCE_S = 240
PORTS = (
    "port",
    "dashboard-port",
    "ray-client-server-port",
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "metrics-export-port",
    "runtime-env-agent-port",
)

# What a job brings along lies in runtime_resources; everything else that is installed here, a cluster lacks.
HIDE = """
import sys
from importlib.machinery import PathFinder

class Shipped:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "glosstune":
            spec = PathFinder.find_spec(name, [entry for entry in sys.path if "runtime_resources" in entry])
            if spec is None:
                raise ModuleNotFoundError(name, name=name)
            return spec

sys.meta_path.insert(0, Shipped)
"""


@dataclass(frozen=True)
class Head:
    address: str
    gcs: str
    token: str
    on_cluster: dict[str, str]
    on_client: dict[str, str]

    def client(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "glosstune.search", *arguments],
            env=self.on_client | environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )

    def state(self, name: str) -> str:
        headers = {"Authorization": f"Bearer {self.token}"}
        with urllib.request.urlopen(urllib.request.Request(f"{self.address}/api/jobs/{name}", headers=headers)) as told:
            return str(json.load(told)["status"])


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in held]
    for server in held:
        server.close()
    return ports


def _wait_until(reached: Callable[[], bool], what: str) -> None:
    limit = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < limit, f"waited in vain for {what}"
        time.sleep(0.2)


def _epochs(place: Path) -> list[int]:
    if not (place / RECORD).exists():
        return []
    return [event.epoch for event in read_record(place).events if isinstance(event, EpochReported)]


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    folder = tmp_path_factory.mktemp("head")
    token = secrets.token_hex(32)
    (folder / "token").write_text(token)
    (folder / "sitecustomize.py").write_text(HIDE)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    inherited |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(folder / "token"), "OMP_NUM_THREADS": "1"}
    programs = Path(sys.executable).parent
    on_cluster = inherited | {"PYTHONPATH": str(folder), "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    # Ray's own client would prefer RAY_ADDRESS to what it is given.
    on_client = inherited | {"XDG_STATE_HOME": str(folder / "state"), "RAY_ADDRESS": "127.0.0.1:1"}
    sockets = tempfile.mkdtemp(prefix="gt-", dir="/tmp")  # the path of a Unix socket has at most 107 characters
    # The agent's ports are fixed by default, and a second head on a machine would never run a job.
    ports = dict(zip(PORTS, _free_ports(len(PORTS)), strict=True))
    address = f"http://127.0.0.1:{ports['dashboard-port']}"
    command = [str(programs / "ray"), "start", "--head", "--block", "--num-cpus=2", "--disable-usage-stats"]
    command += [f"--temp-dir={sockets}", "--object-store-memory=100000000"]
    command += [f"--{name}={port}" for name, port in ports.items()]
    with (folder / "log").open("w") as log:
        started = subprocess.Popen(command, env=on_cluster, cwd=folder, stdout=log, stderr=log)
    running = Head(address, f"127.0.0.1:{ports['port']}", token, on_cluster, on_client)

    def answers() -> bool:
        assert started.poll() is None, (folder / "log").read_text()
        try:
            running.state("none")
        except urllib.error.HTTPError as error:
            return error.code == 404
        except OSError:
            return False
        return True

    try:
        _wait_until(answers, "the head")
        yield running
    finally:
        started.terminate()
        try:
            started.wait(60)
        except subprocess.TimeoutExpired:
            started.kill()
        shutil.rmtree(sockets, ignore_errors=True)


def test_the_cluster_has_no_glosstune_of_its_own(head: Head) -> None:
    tried = subprocess.run(
        [sys.executable, "-c", "import glosstune.search"], env=head.on_cluster, capture_output=True, text=True
    )
    assert "ModuleNotFoundError" in tried.stderr


def test_a_job_outlives_its_client_is_stopped_and_goes_on(head: Head, tiny: list[str], tmp_path: Path) -> None:
    place = tmp_path / "runs" / "a"
    to = ["--to", "ray", "--address", head.address, "--out", str(place)]
    sweep = [*tiny, f"training.epochs={ENDLESS}", "halving.kind=none", "search.samples=1", *NO_RULES]
    follower = subprocess.Popen(
        [sys.executable, "-m", "glosstune.search", "submit", *sweep, *to, "--name", "first"],
        env=head.on_client,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _wait_until(lambda: len(_epochs(place)) >= 2 or follower.poll() is not None, "two epochs")
        follower.send_signal(signal.SIGINT)
        log, told = follower.communicate(timeout=PATIENCE_S)
    finally:
        follower.kill()
    assert follower.returncode == 0, told
    assert log.startswith("first\n")
    assert log.count("Running entrypoint") == log.count(f"sweep folder: {place}") == 1
    assert f"first goes on; follow it again with: glosstune logs first --follow --address {head.address}" in told
    assert head.state("first") == "RUNNING"

    stopped = head.client("stop", "first")
    assert (stopped.returncode, stopped.stdout.splitlines()[0]) == (0, "first: STOPPED"), stopped.stderr
    assert f"--address {head.address} --out {place}" in stopped.stdout
    assert f"glosstune resume {place}" in stopped.stdout
    done = len(_epochs(place))
    assert 2 <= done < ENDLESS
    assert load_results(place).trials["status"].to_list() == ["interrupted"]

    budget = f"search.epoch_budget={done + 3}"
    again = head.client("submit", *sweep, budget, *to, "--name", "second")
    assert again.returncode == 0, again.stderr
    assert f"sweep folder: {place} (going on)" in again.stdout
    epochs = _epochs(place)
    assert epochs == list(range(1, len(epochs) + 1))
    assert done + 3 <= len(epochs) < ENDLESS

    listed = head.client("status").stdout.splitlines()
    assert [line.split()[:2] for line in listed] == [["first", "STOPPED"], ["second", "SUCCEEDED"]]
    assert all(str(place) in line and head.address in line for line in listed)
    assert head.client("logs", "second", "--address", head.address).stdout == again.stdout.removeprefix("second\n")
    assert head.token not in "".join((log, told, again.stdout, again.stderr, *listed))
    assert head.token not in (Path(head.on_client["XDG_STATE_HOME"]) / "glosstune" / "jobs.json").read_text()

    taken = head.client("submit", *sweep, *to, "--name", "second")
    assert taken.returncode == 2
    assert "--name second: the cluster has a job of that name" in taken.stderr


def test_a_driver_beside_the_cluster_brings_its_package_and_keeps_the_sweep_on_s3(
    head: Head, tiny: list[str], s3: S3Server
) -> None:
    place = s3.uri("attached")
    asked = [*tiny, "search.samples=1", "training.epochs=2", "--address", head.gcs, "--out"]
    done = head.client("sweep", *asked, place)
    assert done.returncode == 0, done.stderr
    trials = load_results(place).trials
    assert trials["status"].to_list() == ["finished"]
    assert str(trials["best_checkpoint"].iloc[0]).startswith("s3://bucket/attached/trials/0000/best.pt?")


def test_what_the_cluster_lacks_is_told_before_anything_runs(head: Head, tiny: list[str], tmp_path: Path) -> None:
    missing, place = tmp_path / "weights.safetensors", tmp_path / "sweep"
    asked = ["resources.gpu=1", "space.strategy=full-finetune", f"pretrained={missing}"]
    refused = head.client("submit", *tiny, *asked, "--to", "ray", "--address", head.address, "--out", str(place))
    assert refused.returncode == 2
    assert "resources.gpu: a trial asks for 1, but no node has more than 0" in refused.stderr
    assert f"{missing} is not there" in refused.stderr
    assert not place.exists()
    assert list(tmp_path.iterdir()) == []  # no marker of the probe is left


@pytest.mark.parametrize("command", ["logs", "sweep"])
def test_a_wrong_token_is_one_line(head: Head, command: str, tiny: list[str], tmp_path: Path) -> None:
    asked = {
        "logs": ["logs", "first", "--address", head.address],
        "sweep": ["sweep", *tiny, "--address", head.gcs, "--out", str(tmp_path / "a")],
    }
    wrong = {"RAY_AUTH_TOKEN_PATH": "", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    refused = head.client(*asked[command], **wrong)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "refuses the token; set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN" in refused.stderr
    assert not (tmp_path / "a").exists()
