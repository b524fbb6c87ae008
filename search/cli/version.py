"""What runs here: versions of this package and of what its results depend on, and the devices that trials could use."""

import platform

from glosstune.search.nodes.probe import find_version
from glosstune.spaces.files.machine import describe_cpus

_SHOWN = ("torch", "ray", "optuna", "pandas")


def describe_versions() -> str:
    """A line for each of them."""
    versions = {name: find_version(name) or "not installed" for name in ("glosstune", *_SHOWN)}
    lines = [f"glosstune {versions.pop('glosstune')}", f"Python {platform.python_version()} ({platform.platform()})"]
    return "\n".join([*lines, *(f"{name} {found}" for name, found in versions.items()), f"devices: {_devices()}"])


def _devices() -> str:
    cpus = describe_cpus()
    if find_version("torch") is None:
        return cpus
    import torch

    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return ", ".join([*(f"{gpus.count(name)} x {name}" for name in dict.fromkeys(gpus)), cpus])
