"""Memory of the processes of a cluster on this machine."""

from pathlib import Path

import ray
from ray.cluster_utils import Cluster


def available_mb() -> float:
    """Memory that nobody uses."""
    known = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(known["MemAvailable"].split()[0]) / 1024


def memory_mb(pid: int | str, kind: str = "Pss") -> float:
    """Memory of a process, with its part of what it shares with others (Pss) or all of that (Rss)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:")) / 1024


def ray_memory_mb(cluster: Cluster) -> dict[str, float]:
    """Memory of the cluster's processes and what lies in its object store."""
    sizes = {f"head, {name}": 0.0 for name in ("gcs_server", "raylet")}
    for name in sizes:
        sizes[name] = memory_mb(cluster.head_node.all_processes[name.split()[1]][0].process.pid)
    (node,) = cluster.worker_nodes
    raylet = node.all_processes["raylet"][0].process.pid
    threads = Path(f"/proc/{raylet}/task").glob("*/children")
    children = [pid for thread in threads for pid in thread.read_text().split()]
    titles = {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in children}
    # The second is what the first is called while it trains.
    actors = [pid for pid, title in titles.items() if title.startswith(("ray::Replay", "ray::ResourceTrainable"))]
    sizes["node, raylet and agents"] = memory_mb(raylet) + sum(memory_mb(pid) for pid in titles if pid not in actors)
    sizes["node, actors"] = sum(map(memory_mb, actors))
    total, free = ray.cluster_resources(), ray.available_resources()
    sizes["object store"] = (total["object_store_memory"] - free["object_store_memory"]) / 2**20
    return {"driver": memory_mb("self", "Rss"), **sizes, "actors": len(actors)}
