"""What Ray starts in the place of its ``setup_worker.py``: a program that asks for a fork to be the worker instead.

With ``serve SOCKET`` it is the process that forks: with all that a worker imports but Ray, which reads its settings and
seeds its random numbers when it is imported.
"""

import json
import os
import socket
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
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


def ask(arguments: list[str]) -> None:
    """Hand arguments, environment and streams to a fork."""
    contexts = [each.removeprefix(CONTEXT) for each in arguments if each.startswith(CONTEXT)]
    context = json.loads(contexts[0]) if contexts else {}
    wanted = {
        "arguments": [each for each in arguments if not each.startswith((CONTEXT, "--language="))],
        "environment": {**os.environ, **context.get("env_vars", {})},
        "folder": os.getcwd(),
    }
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ[SOCKET])
        socket.send_fds(connection, [b"."], [0, 1, 2])
        connection.sendall(json.dumps(wanted).encode())


def serve(path: str) -> None:
    """Fork for whoever asks, until standard input ends; a fork goes on as Ray's worker."""
    import importlib
    import random
    import runpy
    import select
    import signal

    import torch

    for module in PRELOADED:
        importlib.import_module(module)
    assert "ray" not in sys.modules
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(64)
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([listener, 0], [], [])
            if 0 in ready:
                return
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as told:
                _, streams, _, _ = socket.recv_fds(connection, 1, 3)
                wanted = json.load(told)
            if os.fork() == 0:
                break
            for stream in streams:
                os.close(stream)
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


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        ask(sys.argv[1:])
