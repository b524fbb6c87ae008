"""Parts of one's own: ``package.module:Name`` wherever a built-in model, corpus, sampler or rule is named."""

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from glosstune.spaces.errors import SettingError


def is_own(name: str) -> bool:
    """Whether a name is that of a part of one's own."""
    return ":" in name


def load_part(name: str, key: str, needs: Iterable[str] = ()) -> Any:
    """What ``package.module:Name`` names; the current folder is where it may lie too.

    Args:
        key: the setting that names it.
        needs: attributes that it must have.

    Raises:
        SettingError: there is no such module or name in it, importing it fails, or it lacks an attribute.
    """
    module, colon, attribute = name.partition(":")
    if not colon or not module or not attribute:
        raise SettingError(f"must be package.module:Name; got {name!r}", key=key)
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # and stays: Ray's workers on this machine get the path of their driver
    try:
        part = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # importing runs somebody else's code
        raise SettingError(f"{name} cannot be imported ({type(error).__name__}: {error})", key=key) from error
    lacking = [needed for needed in needs if not hasattr(part, needed)]
    if lacking:
        raise SettingError(f"{name} lacks {', '.join(lacking)}; see docs/extending.md", key=key)
    return part
