"""What a sweep of thousands of trials asks of its driver; ``scaling.py`` measures and prints it."""

import os

# Before Ray is imported: a cluster of this machine alone.
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
