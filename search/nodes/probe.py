"""Say what every node of a Ray cluster has: a job's script, sent alone, that needs nothing but Ray."""

import json
import logging
import os
import platform
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

# Begins the one line of the log that is meant for the client.
MARK = "glosstune-probe: "
QUESTION = "probe.json"
WAIT_S = 120.0


def look(question: dict[str, Any], markers: dict[str, str]) -> dict[str, Any]:
    """What this node has of what is asked, JSON-able.

    Args:
        question: ``packages``, ``read`` (paths that must exist) and ``write`` (paths that must be possible to make).
        markers: a file of another node for each path that all nodes must share.
    """
    return {
        "python": platform.python_version(),
        "versions": {name: find_version(name) for name in question["packages"]},
        "missing": [path for path in question["read"] if not os.path.exists(path)],
        "closed": [path for path in question["write"] if not can_write(Path(path))],
        "unshared": [path for path, marker in markers.items() if not os.path.exists(marker)],
    }


def find_version(package: str) -> str | None:
    """Version of an installed distribution, which is not imported."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def find_parent(path: Path) -> Path:
    """The path itself if it is there, else the nearest folder above it that is."""
    return next(parent for parent in (path, *path.parents) if parent.exists())


def can_write(path: Path) -> bool:
    """Whether a folder can be made, or filled where it is there already."""
    parent = find_parent(path)
    return parent.is_dir() and os.access(parent, os.W_OK)


def ask_nodes(question: dict[str, Any]) -> dict[str, Any]:
    """Have every living node look; needs a connection to Ray."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = ray.get_runtime_context().get_node_id()
    markers: dict[str, str] = {}
    closed: list[str] = []
    nodes: list[dict[str, Any]] = []
    try:
        for path in question["shared"]:
            if can_write(Path(path)):
                try:
                    handle, markers[path] = tempfile.mkstemp(prefix=".glosstune-probe-", dir=find_parent(Path(path)))
                    os.close(handle)
                except OSError:  # whatever its rights say
                    closed.append(path)
        remote_look = ray.remote(num_cpus=0, max_retries=0)(look)
        asked = {}
        for node in ray.nodes():  # type: ignore[no-untyped-call]  # Ray leaves it bare
            if node["Alive"]:
                where = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                known = {"host": node["NodeManagerHostname"], "driver": node["NodeID"] == here}
                known |= {name.lower(): node["Resources"].get(name, 0.0) for name in ("CPU", "GPU")}
                asked[remote_look.options(scheduling_strategy=where).remote(question, markers)] = known
        ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=WAIT_S)
        for answer, known in asked.items():
            nodes.append({**known, **(_collect(answer) if answer in ready else {"error": "does not answer"})})
            if known["driver"]:
                nodes[-1]["closed"] = [*nodes[-1].get("closed", ()), *closed]
    finally:
        for marker in markers.values():
            os.unlink(marker)
    return {"nodes": nodes}


def _collect(answer: Any) -> dict[str, Any]:
    import ray

    try:
        return dict(ray.get(answer))
    except ray.exceptions.RayError as error:
        return {"error": str(error).strip().splitlines()[-1]}


def main() -> None:
    """Print the answer to the question beside this file."""
    question = json.loads(Path(__file__).with_name(QUESTION).read_text(encoding="utf-8"))
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    try:
        import ray

        ray.init(log_to_driver=False, logging_level=logging.ERROR)
        answer = ask_nodes(question)
    except ImportError as error:
        answer = {"error": f"{sys.executable} cannot import Ray: {error}"}
    print(MARK + json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
