"""A program that Ray starts in the place of its own agent, and which is that without its modules.

They serve a dashboard, jobs, metrics and events, for none of which a sweep asks, and are most of an agent's start, for
which Ray waits 15 s, and half of its memory. Nothing of glosstune is imported, which Ray might not find from here.
"""

import runpy
import sys

MODULES = "ray.dashboard.utils", "get_all_modules"
AGENT = "ray.dashboard.agent"

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # the folder of this file, whose names are none to import
    import ray.dashboard.utils

    ray.dashboard.utils.get_all_modules = lambda kind: []
    runpy.run_module(AGENT, run_name="__main__", alter_sys=True)
