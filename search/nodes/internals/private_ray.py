"""What glosstune uses of Ray that Ray does not call public: each part by its name, and what happens where it is gone.

Looked for in Ray 2.60 and not found in public: which variables Tune hands on to trials (``class_cache``), a way to have
the environment read again after ``import ray`` (``Config``), how ``auto`` is looked up and whether a raylet runs here
(``services``), a channel to the head that carries token and TLS as Ray's own do (``gcs_utils``), a bound to what Tune
keeps of trials that ended (``TuneController``), what starts which processes, and ends them (``Node``, ``services``),
and an agent that serves nobody (``utils``).
"""

import importlib
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import wraps
from importlib import metadata
from importlib.util import find_spec
from traceback import walk_tb
from typing import Any

from glosstune.search.nodes.internals import light_agent
from glosstune.spaces.errors import SettingError


@dataclass(frozen=True)
class Part:
    """A name in a module of Ray's, and what glosstune does by it."""

    module: str
    name: str
    use: str

    def find(self) -> Any:
        """What has the name now; None where nothing has."""
        try:
            return getattr(importlib.import_module(self.module), self.name, None)
        except ImportError:
            return None

    def need(self) -> Any:
        """The same; SettingError where nothing has the name."""
        found = self.find()
        if found is None:
            gone = f"Ray {metadata.version('ray')} no longer has {self.module}.{self.name}"
            raise SettingError(f"{gone}, by which glosstune {self.use}; install an older Ray, or a newer glosstune")
        return found

    def replace(self, value: object) -> None:
        """Have Ray find something else under the name."""
        setattr(importlib.import_module(self.module), self.name, value)


HANDED_ON = Part("ray.tune.execution.class_cache", "ENV_VARS_TO_PROPAGATE", "keeps the keys of the driver from trials")
COUNTING = Part("ray.air._internal.usage", "tag_callbacks", "saves the import of MLflow and Weights & Biases")
CONFIG = Part("ray._raylet", "Config", "turns authentication on after Ray was imported")
LOOK_UP = Part("ray._private.services", "canonicalize_bootstrap_address", "finds the head that auto means")
NODE_IDS = Part("ray._private.services", "find_node_ids", "tells whether this machine is a node")
WORDS = Part("ray._private.worker", "print_to_stdstream", "keeps what Ray prints of its processes from the screen")
CHANNEL = Part("ray._private.gcs_utils", "create_gcs_channel", "asks the head whether it takes the token")
CONTROLLER = Part("ray.tune.execution.tune_controller", "TuneController", "has Tune forget the segments that ended")
NODE = Part("ray._private.node", "Node", "starts no more of Ray than it uses, and ends what did not come up")
PROCESS = Part("ray._private.services", "start_ray_process", "starts an agent of its own")
MODULES = Part(*light_agent.MODULES, "has an agent serve nobody")
PARTS = (HANDED_ON, COUNTING, CONFIG, LOOK_UP, NODE_IDS, WORDS, CHANNEL, CONTROLLER, NODE, PROCESS, MODULES)

# Where a controller holds trials, those that ended once more, and what it writes of each.
TRIALS, ENDED, WRITTEN = "_trials", ("_stopped_trials", "_failed_trials", "_trials_to_cache"), "_trial_metadata"
KEPT: dict[str, type] = {TRIALS: list, **dict.fromkeys(ENDED, set), WRITTEN: dict}
# What starts the processes of a head that no sweep uses: autoscaler, monitor of logs, and what a dashboard asks.
UNUSED = ("start_monitor", "start_log_monitor", "start_api_server")
# Of the arguments of a raylet the one that says how it starts its agent.
AGENT = "--dashboard_agent_command="
# Instead of the number of a process, where it is one of Ray's that tells.
RAYS_OWN = ("raylet", "autoscaler")

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")
# What answers on a head that is alive.
ALIVE = "/ray.rpc.NodeInfoGcsService/CheckAlive"
# Loggers that tell every package and job that is sent.
CHATTY = (
    "ray._private.runtime_env.packaging",
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
)


def keep_keys_here() -> None:
    """Have Tune hand no ``AWS_…`` variable on to trials, nor write it into a log that others may read.

    Raises:
        SettingError: there are keys among them, and nothing is known to keep them here.
    """
    if any(name in os.environ for name in _KEYS):
        HANDED_ON.need()
    handed_on = HANDED_ON.find()
    if handed_on is not None:
        HANDED_ON.replace({name for name in handed_on if not name.startswith("AWS_")})


def count_no_callbacks() -> None:
    """Have Tune import no MLflow and no Weights & Biases, over a second, to count callbacks of theirs."""
    if COUNTING.find() is not None:
        COUNTING.replace(lambda callbacks: False)


@contextmanager
def forgetting() -> Iterator[None]:
    """Have Tune forget what has ended but the last, which it returns.

    It keeps all of it, and writes all of it again every few seconds into a state of its own that nothing here reads:
    by thousands of segments, hundreds of MB. A Ray that keeps it elsewhere goes on so.
    """
    controller = CONTROLLER.find()
    on_step_end = getattr(controller, "on_step_end", None)
    if controller is None or on_step_end is None:
        yield
        return

    def forget(tune: Any) -> None:
        on_step_end(tune)
        ended = [trial for trial in getattr(tune, TRIALS, ()) if trial.is_finished()][:-1]
        if any(not isinstance(getattr(tune, name, None), kind) for name, kind in KEPT.items()):
            return
        for trial in ended:
            getattr(tune, TRIALS).remove(trial)
            for name in ENDED:
                getattr(tune, name).discard(trial)
            getattr(tune, WRITTEN).pop(trial.trial_id, None)

    controller.on_step_end = forget
    try:
        yield
    finally:
        controller.on_step_end = on_step_end


def keep_words_back() -> None:
    """Have Ray print no pages of its own logs where one of its processes ends; what users' tasks print stays."""
    show = WORDS.find()
    if show is None or hasattr(show, "__wrapped__"):
        return

    @wraps(show)
    def show_tasks(data: Any, *arguments: Any, **named: Any) -> None:
        if data.get("pid") not in RAYS_OWN:
            show(data, *arguments, **named)

    WORDS.replace(show_tasks)


def read_environment_again() -> None:
    """Have Ray, which reads RAY_AUTH_MODE when it is imported, read it once more.

    Raises:
        SettingError: that cannot be had.
    """
    try:
        CONFIG.need().initialize("")
    except SettingError as error:
        raise SettingError(f"{error}; or set RAY_AUTH_MODE=token before this process starts") from None


def find_head() -> str | None:
    """``HOST:PORT`` of the head that ``auto`` means; None where only Ray can tell.

    Raises:
        OSError, ValueError: Ray finds none.
    """
    look_up = LOOK_UP.find()
    return None if look_up is None else str(look_up("auto"))


def runs_here() -> bool:
    """Whether this machine is a node of a Ray cluster; True where only Ray can tell."""
    node_ids = NODE_IDS.find()
    return node_ids is None or bool(node_ids())


@contextmanager
def only_what_is_used() -> Iterator[None]:
    """Have a Ray that starts here leave out what no sweep uses, half of it and more (benchmarks/own_ray.py)."""
    node = NODE.find()
    with ExitStack() as restored:
        start_process = PROCESS.find()
        # On Windows `ray stop` knows an agent by the name of its program.
        if start_process is not None and sys.platform != "win32":
            PROCESS.replace(_with_light_agent(start_process))
            restored.callback(PROCESS.replace, start_process)
        for name in UNUSED:
            start = getattr(node, name, None)
            if start is not None:
                setattr(node, name, lambda *given, **named: None)
                restored.callback(setattr, node, name, start)
        yield


def _with_light_agent(start: Callable[..., Any]) -> Callable[..., Any]:
    """What starts a process of Ray, where that is a raylet with another program for its agent."""
    package = os.path.dirname(os.path.abspath(str(importlib.import_module("ray").__file__)))
    programs = os.path.join(package, "dashboard", "agent.py"), os.path.abspath(light_agent.__file__)
    rays, ours = (subprocess.list2cmdline([program]) for program in programs)

    def start_with_it(command: list[str], *given: Any, **named: Any) -> Any:
        command = [each.replace(rays, ours) if each.startswith(AGENT) else each for each in command]
        return start(command, *given, **named)

    return start_with_it


def end_remains(error: BaseException) -> None:
    """End the processes of a Ray whose start raised this, which else live as long as this one: hundreds of MB."""
    node = NODE.find()
    for frame, _ in walk_tb(error.__traceback__):
        started = frame.f_locals.get("self")
        if node is not None and isinstance(started, node):
            started.kill_all_processes(check_alive=False)
            return


def open_channel(head: str) -> Any:
    """A channel to a head that shows this driver's token, as Ray's own do; None where there is none to be had."""
    # grpcio is a requirement of ray[default] alone.
    channel = CHANNEL.find() if find_spec("grpc") is not None else None
    return None if channel is None else channel(head)


def quieten() -> None:
    """Have Ray's job client say what is wrong alone."""
    for logger in CHATTY:
        logging.getLogger(logger).setLevel(logging.WARNING)
