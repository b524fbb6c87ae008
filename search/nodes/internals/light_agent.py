"""A program that Ray starts in the place of its own agent, and which is that without its modules.

They serve a dashboard, jobs, metrics and events, for none of which a sweep asks, and are most of an agent's start, for
which Ray waits 15 s, and half of its memory. Where Ray has changed, it is Ray's own agent. Nothing of glosstune is
imported, which might not be found from here.
"""

import importlib
import runpy
import sys
from contextlib import suppress

AGENT = "ray.dashboard.agent"
MODULES = "ray.dashboard.utils", "get_all_modules"


def leave_modules_out() -> None:
    """Have the agent that runs next load none, and say to Ray that nobody can speak to it."""
    with suppress(ImportError):
        utils = importlib.import_module(MODULES[0])
        if hasattr(utils, MODULES[1]):
            setattr(utils, MODULES[1], lambda kind: [])
            sys.argv.append("--minimal")


if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # the folder of this file, whose names are none to import
    leave_modules_out()
    runpy.run_module(AGENT, run_name="__main__", alter_sys=True)
