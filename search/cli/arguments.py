"""Tell a sweep file from overrides among the arguments of a command."""

from pathlib import Path

from glosstune.spaces.errors import SettingError


def split_arguments(arguments: list[str] | None) -> tuple[Path | None, list[str]]:
    """The sweep file, if one is named, and the overrides: whatever holds a ``=``."""
    files = [argument for argument in arguments or [] if "=" not in argument]
    overrides = [argument for argument in arguments or [] if "=" in argument]
    if len(files) > 1:
        raise SettingError(f"{' '.join(files)}: expected one sweep file; overrides are written key=value")
    return (Path(files[0]).expanduser() if files else None), overrides
