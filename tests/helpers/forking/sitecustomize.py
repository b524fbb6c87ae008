"""For a Python that starts with this folder in PYTHONPATH: every raylet that it starts has forked workers."""

import worker_fork

worker_fork.install()
