"""What Ray starts in the place of its ``setup_worker.py``: a program that asks for a fork to be the worker instead.

With ``serve SOCKET`` it is the process that forks: with all that a worker imports but Ray, which reads its settings
when it is imported, the raylet's number and the job's among them. For each raylet and job one of its forks imports Ray
too, and then forks for their workers.
"""

import importlib
import json
import os
import select
import signal
import socket
import sys
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

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
# Processes with Ray at a time, which take memory; how long one stays that nobody asks, and how long one takes to start.
MOST, IDLE_S, STARTS_S = 8, 30.0, 60.0


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


class Asked(NamedTuple):
    """The worker that is to be, and its standard streams."""

    arguments: list[str]
    environment: dict[str, str]
    folder: str
    streams: list[int]

    def close(self) -> None:
        for stream in self.streams:
            os.close(stream)


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
    for module in PRELOADED:
        importlib.import_module(module)
    assert "ray" not in sys.modules
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = _listen(path)
    print("ready", flush=True)
    with_ray: dict[str, float] = {}
    while (asked := _accept(listener)) is not None:
        settings, now = of_settings(path, asked.environment), time.monotonic()
        with_ray = {each: at for each, at in with_ray.items() if os.path.exists(each) or now - at < STARTS_S}
        another = settings not in with_ray and len(with_ray) < MOST
        if os.fork() == 0:
            listener.close()
            _become_worker(_serve_with_ray(settings, asked) if another else asked, os.path.dirname(path))
            return
        asked.close()
        if another:
            with_ray[settings] = now


def _serve_with_ray(path: str, asked: Asked) -> Asked:
    """Import Ray as it is asked for, and fork for all that ask here; returns in each fork, with what it is to be."""
    os.environ.clear()
    os.environ.update(asked.environment)
    try:
        for module in WITH_RAY:
            importlib.import_module(module)
        if select.select([0], [], [], 0)[0]:
            os._exit(0)
        listener = _listen(path)
    except Exception:
        import traceback  # here, since this module is imported for each worker that is asked for

        os.write(asked.streams[2], traceback.format_exc().encode())
        return asked
    patience_s = IDLE_S
    while os.fork():
        asked.close()
        following = _accept(listener, patience_s)
        if following is None and patience_s:
            Path(path).unlink(missing_ok=True)
            patience_s = 0.0  # for whoever has connected already
            following = _accept(listener, patience_s)
        if following is None:
            os._exit(0)
        asked = following
    listener.close()
    return asked


def _become_worker(asked: Asked, folder: str) -> None:
    """Go on as the worker, of which ``RAYLET.PID`` in the folder tells when it began."""
    import random
    import runpy

    import torch

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setpgid(0, 0)  # a raylet ends the whole group of a worker
    random.seed()
    for number, stream in enumerate(asked.streams):
        os.dup2(stream, number)
    asked.close()
    os.environ.clear()
    os.environ.update(asked.environment)
    Path(folder, f"{os.environ['RAY_RAYLET_PID']}.{os.getpid()}").write_text(began(os.getpid()))
    torch.set_num_threads(1)  # what Ray says of threads, torch reads when it is imported
    os.chdir(asked.folder)
    sys.argv = asked.arguments
    sys.path[0] = os.path.dirname(sys.argv[0])
    runpy.run_path(sys.argv[0], run_name="__main__")


def began(pid: int) -> str:
    """When a process began, as the kernel counts; empty where it has ended."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return ""
    return "" if state == "Z" else rest[18]


def _listen(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    return listener


def _accept(listener: socket.socket, patience_s: float | None = None) -> Asked | None:
    """What is asked for next; nothing once standard input has ended or nobody has asked for long."""
    while True:
        ready, _, _ = select.select([listener, 0], [], [], patience_s)
        if 0 in ready or not ready:
            return None
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as told:
            _, streams, _, _ = socket.recv_fds(connection, 1, 3)
            try:
                return Asked(**json.load(told), streams=streams)
            except ValueError:  # whoever asked has been killed
                for stream in streams:
                    os.close(stream)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        ask(sys.argv[1:])
