"""What SLURM and Kubernetes have in common: options checked at the edge, and the texts that a sweep is sent as."""

import json
import math
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from glosstune.search.config.changes import INPUTS, is_changeable, value_of
from glosstune.search.config.errors import problems, validated
from glosstune.search.config.sweep import Sweep
from glosstune.search.nodes.gpu_share import MOST_TRIALS
from glosstune.spaces.errors import SettingError, shown
from glosstune.spaces.files.addresses import check_uri, is_uri, join
from glosstune.spaces.files.yaml_data import write_yaml
from glosstune.spaces.parts import part_files

Options = TypeVar("Options", bound=BaseModel)


def read_options(model: type[Options], values: Mapping[str, object]) -> Options:
    """The options that plain values describe.

    Raises:
        SettingError: one line for every value that is missing or breaks a rule.
    """
    missing = [name for name, field in model.model_fields.items() if field.is_required() and name not in values]
    if missing:
        raise SettingError("\n".join(f"{name}: must be given" for name in missing))
    try:
        return validated(model, values)
    except ValidationError as error:
        raise SettingError("\n".join(str(found) for found in problems(error, model, lambda key: ""))) from None


def count_cpus(sweep: Sweep, cpus_per_node: int | None, gpus_per_node: int) -> int:
    """The CPUs to ask for on each node: those given, or what the trials need that share its GPUs.

    Raises:
        SettingError: no trial would fit onto a node, or its GPUs would lie idle.
    """
    trial = sweep.resources
    # Left open, it is found on the cluster: at least this much where there are GPUs.
    share = trial.gpu if trial.gpu is not None else 1 / MOST_TRIALS if gpus_per_node else 0.0
    if share > gpus_per_node:
        rule = f"a trial asks for {share:g}, but a node is to have {gpus_per_node}; raise gpus_per_node or lower it"
        raise SettingError(rule, key="resources.gpu")
    if gpus_per_node and not share:
        rule = f"is {gpus_per_node}, but no trial would use one; set resources.gpu=1, or a share such as 0.25"
        raise SettingError(rule, key="gpus_per_node")
    if cpus_per_node is None:
        if not share:
            raise SettingError("must be given where trials use no GPU: it says how many fit", key="cpus_per_node")
        # A thousandth, because ten shares of 0.1 must fit into 1.
        return math.ceil(int(gpus_per_node / share + 1e-3) * trial.cpu)
    if trial.cpu > cpus_per_node:
        rule = f"a trial asks for {trial.cpu:g}, but a node is to have {cpus_per_node}; raise cpus_per_node or lower it"
        raise SettingError(rule, key="resources.cpu")
    return cpus_per_node


def dated_name(sweep: Sweep) -> str:
    """The name of a job that was given none; no option, as one that begins with a dash would be taken for."""
    return f"{sweep.name.lstrip('-') or 'sweep'}-{datetime.now():%Y-%m-%d-%H%M%S}"


def find_place(sweep: Sweep, name: str, out: str | None) -> str:
    """Where a sweep is kept, absolute: ``out``, else below its storage by the name of its job.

    Raises:
        SettingError: ``out`` is an address but none of S3, or this is Windows, whose paths a cluster does not have.
    """
    if sys.platform == "win32":
        rule = "cannot be sent from Windows, whose paths no cluster has; send it from WSL2 or from the cluster"
        raise SettingError(f"{name}: {rule} (docs/windows.md)")
    if out is None:
        return join(sweep.storage, name)
    return check_uri(out, "--out") if is_uri(out) else os.path.abspath(os.path.expanduser(out))


def list_overrides(sweep: Sweep, overrides: Sequence[str]) -> list[str]:
    """The overrides that a sweep which lies at its place already takes as changes, with absolute paths."""
    keys = [override.partition("=")[0].strip() for override in overrides]
    return [
        _with_paths(key, override, sweep) for key, override in zip(keys, overrides, strict=True) if is_changeable(key)
    ]


def _with_paths(key: str, override: str, sweep: Sweep) -> str:
    """An override with the paths as the sweep has them: the cluster has another current folder."""
    if key not in (*INPUTS, "search.warm_start", "search.prior", "storage"):
        return override
    return f"{key}={json.dumps(value_of(sweep, key))}"


def part_folders(sweep: Sweep) -> list[str]:
    """The folders that Python has to look in for the parts of the user's own."""
    return sorted({str(place.parent) for name in sweep.own_parts if (place := part_files(name)) is not None})


def check_printable(key: str, text: str) -> str:
    """The text, which may hold anything that fits on a line."""
    if not text or not text.isprintable():
        raise SettingError(f"must be printable text on one line; got {shown(text)}", key=key)
    return text


def command_comment(command: Sequence[str]) -> str:
    """The command as one line of comment, whatever it holds."""
    text = shlex.join(command)
    return "# " + "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def sweep_text(sweep: Sweep, command: Sequence[str]) -> str:
    """The resolved sweep as YAML that opens with the command that wrote it."""
    return f"{command_comment(command)}\n{write_yaml(sweep.resolved())}"
