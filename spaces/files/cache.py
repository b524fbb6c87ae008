"""Where this machine keeps what can be made or fetched again."""

import os
from pathlib import Path

from platformdirs import user_cache_path

CACHE = "GLOSSTUNE_CACHE"


def cache_folder() -> Path:
    """The folder that the environment variable GLOSSTUNE_CACHE names, else the user's cache folder."""
    named = os.environ.get(CACHE)
    return Path(named).expanduser().absolute() if named else user_cache_path("glosstune")
