"""Tell the files on a command line from the overrides."""

import os


def split_files(arguments: list[str] | None) -> tuple[list[str], list[str]]:
    """Files, and the overrides: whatever holds a ``=`` and is no path, for folders of Ray's are called lr=0.01."""
    overrides = [argument for argument in arguments or [] if "=" in argument and not _is_path(argument)]
    return [argument for argument in arguments or [] if argument not in overrides], overrides


def _is_path(argument: str) -> bool:
    """Whether something lies there, or its key would hold a slash."""
    return "/" in argument.partition("=")[0] or os.path.lexists(argument)
