"""What Ray starts in the place of its ``setup_worker.py``: a program that asks for a fork to be the worker instead.

With ``serve SOCKET`` it is the process that forks: with all that a worker imports but Ray, which reads its settings
when it is imported. For each settings of Ray's one of its forks imports Ray too, and then forks for their workers.
"""

import json
import os
import select
import socket
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

SOCKET = "GLOSSTUNE_TESTS_FORKS"
SERVICES = "ray._private.services"
SETUP = "ray/_private/workers/setup_worker.py"
CONTEXT = "--serialized-runtime-env-context="
PRELOADED = [
    "glosstune.search.config.sweep",
    "glosstune.trainables.training.session",
    "google.protobuf",
    "grpc",
    "jsonschema",
    "pandas",
    "tensorboardX",
    "torch._dynamo",
]
WITH_RAY = ["forkable_ray", "glosstune.trainables.trainable"]
# With Ray at a time: each takes memory.
MOST = 8


def with_forks(start_raylet: Callable[..., Any]) -> Callable[..., Any]:
    """What starts a raylet whose workers this program asks for."""

    def start(*arguments: object, **named: object) -> Any:
        return start_raylet(*(__file__ if str(each).endswith(SETUP) else each for each in arguments), **named)

    return start


class Services:
    """Finds the module of Ray that starts raylets, and changes it once it is there."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != SERVICES:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_change(module: ModuleType) -> None:
            execute(module)
            module.start_raylet = with_forks(module.start_raylet)

        spec.loader.exec_module = execute_and_change  # type: ignore[method-assign]  # of this loader alone
        return spec


def install() -> None:
    """Have every raylet that this process starts get forked workers; Ray is not imported yet."""
    sys.meta_path.insert(0, Services)


def of_settings(path: str, environment: Mapping[str, str]) -> str:
    """The socket of what has imported Ray with an environment's settings."""
    settings = sorted(each for each in environment.items() if each[0].startswith("RAY_"))
    return f"{path}-{zlib.crc32(repr(settings).encode()):x}"


def ask(arguments: list[str]) -> None:
    """Hand arguments, environment and streams to a fork."""
    contexts = [each.removeprefix(CONTEXT) for each in arguments if each.startswith(CONTEXT)]
    context = json.loads(contexts[0]) if contexts else {}
    wanted = {
        "arguments": [each for each in arguments if not each.startswith((CONTEXT, "--language="))],
        "environment": {**os.environ, **context.get("env_vars", {})},
        "folder": os.getcwd(),
    }
    path = os.environ[SOCKET]
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(of_settings(path, wanted["environment"]))
        except OSError:
            connection.connect(path)
        socket.send_fds(connection, [b"."], [0, 1, 2])
        connection.sendall(json.dumps(wanted).encode())


def serve(path: str) -> None:
    """Fork for whoever asks, until standard input ends; a fork goes on as Ray's worker."""
    import importlib
    import random
    import runpy
    import signal

    import torch

    for module in PRELOADED:
        importlib.import_module(module)
    assert "ray" not in sys.modules
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = _listen(path)
    print("ready", flush=True)
    with_ray: dict[str, int] = {}
    while (asked := _accept(listener)) is not None:
        wanted, streams = asked
        settings = of_settings(path, wanted["environment"])
        pid = os.fork()
        if pid == 0:
            listener.close()
            if settings in with_ray:
                break
            os.environ.clear()
            os.environ.update(wanted["environment"])
            for module in WITH_RAY:
                importlib.import_module(module)
            listener = _listen(settings)
            with_ray = {settings: os.getpid()}
            if os.fork() == 0:
                listener.close()
                break
        for stream in streams:
            os.close(stream)
        with_ray.setdefault(settings, pid)
        if len(with_ray) > MOST:
            settings = next(iter(with_ray))
            os.kill(with_ray.pop(settings), signal.SIGKILL)
            Path(settings).unlink(missing_ok=True)
    else:
        return
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setpgid(0, 0)  # a raylet ends the whole group of a worker
    random.seed()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(wanted["environment"])
    with open(os.path.join(os.path.dirname(path), f"{os.environ['RAY_RAYLET_PID']}.{os.getpid()}"), "x"):
        pass
    torch.set_num_threads(1)  # what Ray says of threads, torch reads when it is imported
    os.chdir(wanted["folder"])
    sys.argv = wanted["arguments"]
    sys.path[0] = os.path.dirname(sys.argv[0])
    runpy.run_path(sys.argv[0], run_name="__main__")


def _listen(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    return listener


def _accept(listener: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """What is asked for next, and the streams for it; nothing once standard input has ended."""
    ready, _, _ = select.select([listener, 0], [], [])
    if 0 in ready:
        return None
    connection, _ = listener.accept()
    with connection, connection.makefile("rb") as told:
        _, streams, _, _ = socket.recv_fds(connection, 1, 3)
        return json.load(told), streams


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        ask(sys.argv[1:])
