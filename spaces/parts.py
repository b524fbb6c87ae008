"""Parts of one's own: ``package.module:Name`` wherever a built-in model, corpus, sampler or rule is named."""

import importlib
import sys
import sysconfig
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from glosstune.spaces.errors import SettingError, told

# How ``is_own`` has it, for readers of JSON Schema.
OWN_PATTERN = r"^\w+(\.\w+)*:\w+$"


def is_own(name: str) -> bool:
    """Whether a name is spelled like that of a part of one's own."""
    module, colon, attribute = name.partition(":")
    return bool(colon) and all(map(str.isidentifier, [*module.split("."), attribute]))


def named_among(known: Iterable[str]) -> Callable[[str], str]:
    """A check that a name is one of those, or spelled like that of a part of one's own, which is not imported."""
    names = tuple(known)

    def check(name: str) -> str:
        if name not in names and not is_own(name):
            ours = f"{' or '.join(map(repr, names))}, or " if names else ""
            raise ValueError(f"must be {ours}package.module:Name of one of your own")
        return name

    return check


def load_part(name: str, key: str, needs: Iterable[str] = ()) -> Any:
    """What ``package.module:Name`` names; the current folder is where it may lie too.

    Args:
        key: the setting that names it.
        needs: attributes that it must have.

    Raises:
        SettingError: there is no such module or name in it, importing it fails, or it lacks an attribute.
    """
    if not is_own(name):
        raise SettingError(f"must be package.module:Name; got {name!r}", key=key)
    module, _, attribute = name.partition(":")
    _look_here()
    try:
        part = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # importing runs somebody else's code
        where = f"; looked for among what is installed and in {Path.cwd()}" * isinstance(error, ModuleNotFoundError)
        raise SettingError(f"{name} cannot be imported ({told(error)}){where}", key=key) from error
    lacking = [needed for needed in needs if not hasattr(part, needed)]
    if lacking:
        raise SettingError(f"{name} lacks {', '.join(lacking)}; see docs/extending.md", key=key)
    return part


def _look_here() -> None:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # and stays: Ray's workers on this machine get the path of their driver


def part_files(name: str) -> Path | None:
    """What machines without the part have to be sent: its module's file, or the folder of its outermost package.

    None for what is installed, and for what is glosstune's own.

    Raises:
        SettingError: there is no such module here.
    """
    _look_here()
    outermost = name.partition(":")[0].partition(".")[0]
    if outermost == "glosstune":
        return None
    spec = find_spec(outermost)
    if spec is None:
        raise SettingError(f"{name}: no module {outermost} is installed here or lies in the current folder")
    places = [*(spec.submodule_search_locations or ()), *filter(None, [spec.origin])]
    if not places or not Path(places[0]).exists():  # built in, or none
        return None
    place = Path(places[0]).absolute()
    installed = {"site-packages", "dist-packages"} & set(place.parts)
    return None if installed or Path(sysconfig.get_path("stdlib")) in place.parents else place
