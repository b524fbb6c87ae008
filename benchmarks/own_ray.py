"""What the Ray that a sweep starts for itself takes: python benchmarks/own_ray.py [--short] [--json FILE]

Each round starts one as a sweep does, and in turn one as ``ray.init`` does without its dashboard; both in processes of
their own. Of each: seconds until it is there, then, five seconds later, what the processes of Ray have computed (s of a
core) and their memory (MB, with their part of what they share).
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from footprint.watching import tree
from suite import Ratio, write_ratios

SETTLED_S = 5.0
ROUNDS = 7


def computed_s(pid: int) -> float:
    """Seconds of a core that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start(kind: str, settled_s: float) -> None:
    """Start a Ray and print what it took; the process ends with it."""
    import logging

    import ray
    from driver_load.memory import memory_mb

    from glosstune.search.nodes.resources import start_ray

    begun = time.perf_counter()
    if kind == "sweep":
        start_ray()
    else:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    started_s = time.perf_counter() - begun
    time.sleep(settled_s)
    # Workers that wait for a task are the same in both, and come when they like.
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in tree(os.getpid()) if pid != os.getpid()}
    processes = [pid for pid, command in commands.items() if b"ray::IDLE" not in command]
    told = {"s": started_s, "core s": sum(map(computed_s, processes)), "MB": sum(map(memory_mb, processes))}
    print(json.dumps(told), flush=True)
    ray.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="only shows that it runs")
    parser.add_argument("--json", type=Path, help="file for the ratios")
    parser.add_argument("--start", choices=["sweep", "init"], help=argparse.SUPPRESS)  # in a process of its own
    options = parser.parse_args()
    if options.start:
        start(options.start, 0.5 if options.short else SETTLED_S)
        return
    told: dict[tuple[str, str], list[float]] = {}
    for _ in range(1 if options.short else ROUNDS):
        for kind in ("sweep", "init"):
            command = [sys.executable, __file__, "--start", kind, *(["--short"] if options.short else [])]
            answer = subprocess.run(command, check=True, capture_output=True, text=True, env=_alone())
            for unit, value in json.loads(answer.stdout.splitlines()[-1]).items():
                told.setdefault((kind, unit), []).append(value)
    names = {
        "s": "start of a sweep's own Ray against ray.init",
        "core s": "what that computes until it is at rest: a sweep's own Ray against ray.init",
        "MB": "memory of its processes without workers: a sweep's own Ray against ray.init",
    }
    ratios = [Ratio(name, unit, told["sweep", unit], told["init", unit]) for unit, name in names.items()]
    write_ratios(options.json, ratios)


def _alone() -> dict[str, str]:
    """Of the environment, what attaches to no other Ray."""
    return {**os.environ, "RAY_ADDRESS": "local", "RAY_AUTH_MODE": "disabled"}


if __name__ == "__main__":
    main()
