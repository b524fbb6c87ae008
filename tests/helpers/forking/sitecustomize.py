"""For a Python that starts with this folder in PYTHONPATH: every raylet that it starts has forked workers."""

import os

import worker_fork

if worker_fork.SOCKET in os.environ:
    worker_fork.install()
