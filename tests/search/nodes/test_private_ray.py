"""A Ray that has changed is told by these tests, with what it no longer has; a driver goes on where it can."""

import inspect
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import victim
import worker_fork
from forked_workers import RAYLET
from packages import find_packages

from glosstune.search.nodes.internals import light_agent, private_ray
from glosstune.search.nodes.internals.private_ray import (
    CONFIG,
    COUNTING,
    HANDED_ON,
    NODE,
    PARTS,
    PROCESS,
    UNUSED,
    WORDS,
    Part,
)
from glosstune.spaces.errors import SettingError

PRIVATE = re.compile(r"\bray\.(?:[\w.]+\.)?_\w+|\bray\.(?:tune\.execution|air|dashboard\.(?:agent|utils))\b")
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch):
    """Take a part out of Ray."""
    return lambda part: monkeypatch.delattr(f"{part.module}.{part.name}")


@pytest.mark.parametrize("part", [*PARTS, RAYLET], ids=lambda part: part.name)
def test_ray_still_has(part: Part) -> None:
    part.need()  # whose message says what to look for in search/nodes/internals/private_ray.py


FORKS = """
import importlib, os, sys
for module in sys.argv[1:]:
    importlib.import_module(module)
from ray import WorkerID
for _ in range(2):
    if os.fork() == 0:
        print(WorkerID.from_random().hex(), flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.mark.parametrize("modules", [victim.PRELOADED, worker_fork.PRELOADED + worker_fork.WITH_RAY])
def test_the_processes_that_tests_fork_draw_numbers_of_their_own(modules: list[str]) -> None:
    helpers = [str(Path(module.__file__ or "").parent) for module in (victim, worker_fork)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(helpers)}
    drawn = subprocess.run([sys.executable, "-c", FORKS, *modules], env=environment, capture_output=True, text=True)
    assert len(set(drawn.stdout.split())) == 2, drawn.stderr


def test_nothing_else_uses_what_ray_does_not_call_public() -> None:
    files = [path for folder in find_packages().values() for path in folder.glob("*.py")]
    found = [path.name for path in files if PRIVATE.search(path.read_text(encoding="utf-8"))]
    assert sorted(found) == ["light_agent.py", "private_ray.py"]


@pytest.mark.parametrize("part", [Part("ray.gone", "name", "helps"), Part("ray.tune", "gone", "helps")])
def test_what_is_gone_is_told_with_rays_version_and_a_way_out(part: Part) -> None:
    with pytest.raises(SettingError) as refused:
        part.need()
    gone = f"Ray {metadata.version('ray')} no longer has {part.module}.{part.name}, by which glosstune helps"
    assert str(refused.value) == f"{gone}; install an older Ray, or a newer glosstune"
    assert part.find() is None


def test_trials_get_no_key_of_the_drivers(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.tune.execution import class_cache

    monkeypatch.setattr(class_cache, "ENV_VARS_TO_PROPAGATE", {*KEYS, "OTHER"})
    for name in (*KEYS, "OTHER"):
        monkeypatch.setenv(name, "1")
    private_ray.keep_keys_here()
    actor = class_cache._ActorClassCache().get(type("Trial", (), {}))
    handed_on = actor._default_options["runtime_env"]["env_vars"]
    assert "OTHER" in handed_on and not set(KEYS) & handed_on.keys()


def test_keys_that_cannot_be_kept_here_end_the_sweep(without, monkeypatch: pytest.MonkeyPatch) -> None:
    without(HANDED_ON)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with pytest.raises(SettingError, match="by which glosstune keeps the keys of the driver from trials; inst"):
        private_ray.keep_keys_here()
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    private_ray.keep_keys_here()  # there are none to keep


def test_tune_counts_no_callbacks(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.tune import tune

    monkeypatch.setattr(f"{COUNTING.module}.{COUNTING.name}", COUNTING.find())
    private_ray.count_no_callbacks()
    assert tune.air_usage.tag_callbacks([object()]) is False


def test_authentication_that_cannot_be_turned_on_names_the_variable(without) -> None:
    without(CONFIG)
    with pytest.raises(
        SettingError, match=r"_raylet\.Config, .*; or set RAY_AUTH_MODE=token before this process starts"
    ):
        private_ray.read_environment_again()


def test_a_driver_goes_on_without_the_rest(without) -> None:
    for part in PARTS:
        if part not in (HANDED_ON, CONFIG):
            without(part)
    private_ray.count_no_callbacks()
    assert private_ray.find_head() is private_ray.open_channel("127.0.0.1:1") is None
    assert private_ray.runs_here()


def test_ray_prints_nothing_of_what_happens_to_its_processes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(f"{WORDS.module}.{WORDS.name}", inspect.unwrap(WORDS.find()))  # others may have changed it
    told = {"lines": ["Raylet is terminated."], "pid": "raylet", "is_err": False}
    WORDS.find()(told, ignore_prefix=False)
    assert "Raylet is terminated." in capsys.readouterr().out
    private_ray.keep_words_back()
    private_ray.keep_words_back()
    WORDS.find()(told, ignore_prefix=False)
    assert capsys.readouterr() == ("", "")
    WORDS.find()({**told, "lines": ["what a task of the user's prints"], "pid": 17}, ignore_prefix=False)
    assert capsys.readouterr().out.count("what a task of the user's prints") == 1


def test_a_ray_that_did_not_come_up_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "check_alive" in inspect.signature(NODE.need().kill_all_processes).parameters

    class Node:
        alive = True

        def __init__(self) -> None:
            nodes.append(self)
            raise Exception("The current node timed out during startup.")

        def kill_all_processes(self, *, check_alive: bool) -> None:
            self.alive = check_alive

    nodes: list[Node] = []
    monkeypatch.setattr(f"{NODE.module}.{NODE.name}", Node)
    with pytest.raises(Exception, match="timed out during startup") as raised:
        Node()
    private_ray.end_remains(raised.value)
    assert [node.alive for node in nodes] == [False]


def test_a_ray_starts_without_what_no_sweep_uses_for_as_long_as_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = NODE.need()
    for name in UNUSED:
        monkeypatch.setattr(node, name, lambda self, name=name, **named: name)
    with private_ray.only_what_is_used():
        assert node.start_monitor(None) is node.start_log_monitor(None) is None
        assert node.start_api_server(None, include_dashboard=False, raise_on_failure=False) is None
    assert [getattr(node, name)(None) for name in UNUSED] == list(UNUSED)


@pytest.mark.parametrize("name", UNUSED)
def test_a_node_still_starts_its_processes_one_by_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(getattr(NODE.need(), name))
    monkeypatch.delattr(NODE.need(), name)
    with private_ray.only_what_is_used():
        pass
    assert not hasattr(NODE.need(), name)


COMMAND = ["raylet", "--python_worker_command=python setup_worker.py", "--dashboard_agent_command=python -u {} --head"]


def test_a_raylet_starts_another_agent_for_as_long_as_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    program = str(Path(ray.__file__).parent / "dashboard" / "agent.py")
    asked = [part.format(program) for part in COMMAND]
    monkeypatch.setattr(f"{PROCESS.module}.{PROCESS.name}", lambda *given, **named: (*given, named))
    with private_ray.only_what_is_used():
        started = PROCESS.find()(asked, "raylet", fate_share=True)
    ours = str(Path(light_agent.__file__).absolute())
    assert started == ([part.format(ours) for part in COMMAND], "raylet", {"fate_share": True})
    assert PROCESS.find()(asked) == (asked, {})


@pytest.mark.parametrize(
    ("utils", "said"),
    [("get_all_modules = None", "[] ['--head', '--minimal']"), ("", "None ['--head']"), (None, "None ['--head']")],
    ids=["light", "without what lists modules", "without its home"],
)
def test_the_agent_is_rays_own_where_ray_has_changed(tmp_path: Path, utils: str | None, said: str) -> None:
    folder = tmp_path / "ray" / "dashboard"
    folder.mkdir(parents=True)
    (tmp_path / "ray" / "__init__.py").touch()
    (folder / "__init__.py").touch()
    if utils is not None:
        (folder / "utils.py").write_text(utils)
    modules = 'getattr(sys.modules.get("ray.dashboard.utils"), "get_all_modules", None)'
    (folder / "agent.py").write_text(f"import sys\nlisted = {modules}\nprint(listed and listed(0), sys.argv[1:])\n")
    command = [sys.executable, light_agent.__file__, "--head"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    assert subprocess.run(command, env=environment, capture_output=True, text=True).stdout.strip() == said


def test_nothing_is_left_out_or_ended_where_ray_cannot_be_told(without) -> None:
    without(NODE)
    without(PROCESS)
    private_ray.end_remains(Exception())
    with private_ray.only_what_is_used():
        pass
