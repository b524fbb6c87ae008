"""The commands for sweeps on clusters: submit, status, logs, stop."""

import os
import sys
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from glosstune.results.text import escaped, lines_to
from glosstune.search.cli.arguments import split_arguments
from glosstune.search.cli.completing import complete_argument
from glosstune.spaces.errors import SettingError, quoted, quoted_command

if TYPE_CHECKING:
    from glosstune.search.config.sweep import Sweep
    from glosstune.search.jobs.submission import Plan
    from glosstune.trainables.settings import Section

Target = Literal["ray", "slurm", "kuberay"]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="http://HEAD:8265",
        help="Dashboard of the cluster; default that of the job, RAY_API_SERVER_ADDRESS, or this machine's.",
    ),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the job, as glosstune submit has printed it.")]


def submit(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SWEEP.YAML] [KEY=VALUE]...",
            help="A sweep file or a packaged sweep, and overrides; paths are those that the cluster sees.",
            autocompletion=complete_argument,
        ),
    ] = None,
    *,
    to: Annotated[Target, typer.Option(help="What runs it.")],
    out: Annotated[str | None, typer.Option(help="Folder or s3:// address of the sweep; default STORAGE/NAME.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the job; default that of the sweep and the date.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be sent, and contact nobody.")] = False,
    address: Address = None,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="ray: show the log to its end.")] = True,
    wait_for_nodes: Annotated[
        bool, typer.Option("--wait-for-nodes", help="ray: do not refuse what no node has yet; one will join.")
    ] = False,
    nodes: Annotated[int | None, typer.Option(help="slurm, kuberay: how many.")] = None,
    gpus_per_node: Annotated[int | None, typer.Option(help="slurm, kuberay: GPUs of each.")] = None,
    cpus_per_node: Annotated[int | None, typer.Option(help="slurm, kuberay: default what trials on GPUs need.")] = None,
    time_limit_min: Annotated[int | None, typer.Option(help="slurm, kuberay: minutes until it has to end.")] = None,
    partition: Annotated[str | None, typer.Option(help="slurm.")] = None,
    account: Annotated[str | None, typer.Option(help="slurm.")] = None,
    setup: Annotated[
        list[str] | None, typer.Option(help="slurm: line of shell that makes glosstune available.")
    ] = None,
    sbatch: Annotated[list[str] | None, typer.Option(help="slurm: further option, such as --constraint=a100.")] = None,
    run: Annotated[bool, typer.Option("--run", help="slurm: submit the script that is written.")] = False,
    image: Annotated[str | None, typer.Option(help="kuberay: image that holds glosstune.")] = None,
    ray_version: Annotated[str | None, typer.Option(help="kuberay: of the image; default the one here.")] = None,
    namespace: Annotated[str | None, typer.Option(help="kuberay.")] = None,
    claim: Annotated[str | None, typer.Option(help="kuberay: volume claim that keeps the sweep.")] = None,
    mount: Annotated[str | None, typer.Option(help="kuberay: where the claim is mounted.")] = None,
    env_from_secret: Annotated[list[str] | None, typer.Option(help="kuberay: secret with keys of S3.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="slurm, kuberay: any other option of docs/cluster.md."),
    ] = None,
) -> None:
    """Run a sweep on a cluster: as a Ray job, by a script for SLURM, or by a manifest for Kubernetes.

    Example: glosstune submit my.yaml --to ray --address http://head:8265 --out /shared/runs/a
    """
    from glosstune.search.config.loading import load_sweep

    path, overrides = split_arguments(arguments)
    sweep = load_sweep(path, overrides)
    named: dict[str, object] = {
        "nodes": nodes,
        "gpus_per_node": gpus_per_node,
        "cpus_per_node": cpus_per_node,
        "time_limit_min": time_limit_min,
        "partition": partition,
        "account": account,
        "setup": setup,
        "sbatch": sbatch,
        "image": image,
        "ray_version": ray_version,
        "namespace": namespace,
        "claim": claim,
        "mount": mount,
        "env_from_secret": env_from_secret,
    }
    options = {key: value for key, value in named.items() if value is not None and value != []}
    if to == "ray":
        _refuse(to, {**options, "set": option, "run": run})
        _submit_to_ray(sweep, path, overrides, address, out, name, follow, wait_for_nodes, dry_run)
        return
    _refuse(to, {"address": address, "no_follow": not follow, "wait_for_nodes": wait_for_nodes})
    options |= dict(_parse_option(text) for text in option or ())
    command = ["glosstune", *sys.argv[1:]]
    if to == "slurm":
        _submit_to_slurm(sweep, overrides, out, name, options, command, run, dry_run)
    else:
        _refuse(to, {"run": run})
        _print_manifest(sweep, overrides, out, name, options, command)


def status(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME|FOLDER]", help="A job, or a sweep's folder; default all jobs sent from here."),
    ] = None,
    *,
    address: Address = None,
) -> None:
    """Say how a job or a sweep is doing, or all jobs that were sent from this machine.

    Example: glosstune status runs/a
    """
    from glosstune.search.jobs.known_jobs import list_jobs
    from glosstune.spaces.files.addresses import is_uri

    # No job has a name with a slash.
    if name is not None and (is_uri(name) or not name or Path(name).name != name or _is_sweep(name, list_jobs())):
        from glosstune.search.tracking.watching import Watched

        typer.echo(Watched(name if is_uri(name) else os.path.expanduser(name)).line())
        return
    from glosstune.search.jobs.states import describe_job, describe_jobs

    if name is not None:
        typer.echo(escaped(describe_job(name, address)))
        return
    jobs = list_jobs()
    if not jobs:
        typer.echo("no job was sent from this machine; name one and its --address")
    for line in describe_jobs(jobs):
        typer.echo(escaped(line))


def _is_sweep(name: str, jobs: Collection[str]) -> bool:
    """Whether a folder is meant, rather than a job that goes by its name."""
    from glosstune.results.reading.names import RECORD

    return (Path(name) / RECORD).is_file() or (Path(name).exists() and name not in jobs)


def logs(
    name: Name,
    *,
    address: Address = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the job has ended.")] = False,
) -> None:
    """Print what a job has written so far.

    Example: glosstune logs teacher-2026-05-04-101500 --follow
    """
    from glosstune.search.jobs.states import ray_job, read_log, slurm_job

    if not follow:
        typer.echo(read_log(name, address), nl=False)
        return
    job = slurm_job(name, address)
    if job is not None:
        raise SettingError(f"is not for jobs of SLURM; use: tail -f {quoted(str(job.log))}", key="--follow")
    _follow(name, ray_job(name, address).address)


def stop(name: Name, *, address: Address = None) -> None:
    """End a job, whose sweep saves itself, and say what goes on with it.

    Example: glosstune stop teacher-2026-05-04-101500
    """
    from glosstune.search.jobs.states import stop_job

    typer.echo(stop_job(name, address, partial(typer.echo, err=True)))


def _submit_to_ray(
    sweep: "Sweep",
    path: Path | str | None,
    overrides: list[str],
    address: str | None,
    out: str | None,
    name: str | None,
    follow: bool,
    wait_for_nodes: bool,
    dry_run: bool,
) -> None:
    from glosstune.search.jobs import submit as send
    from glosstune.search.jobs.ray_jobs import find_address
    from glosstune.search.jobs.submission import plan_submission

    address = find_address(address)
    if dry_run:
        _describe(plan_submission(sweep, address, out=out, name=name, source=path, overrides=overrides))
        return
    name = send(sweep, address, out=out, name=name, source=path, overrides=overrides, wait_for_nodes=wait_for_nodes)
    typer.echo(name)
    if follow:
        _follow(name, address)


def _submit_to_slurm(
    sweep: "Sweep",
    overrides: list[str],
    out: str | None,
    name: str | None,
    options: dict[str, object],
    command: list[str],
    run: bool,
    dry_run: bool,
) -> None:
    from glosstune.search.jobs.known_jobs import Job, remember
    from glosstune.search.jobs.kuberay import KubeOptions
    from glosstune.search.jobs.options import dated_name, find_place, list_overrides, read_options
    from glosstune.search.jobs.slurm_jobs import submit_slurm
    from glosstune.search.jobs.slurm_script import SlurmOptions, job_files

    name = name or dated_name(sweep)
    place, changes = find_place(sweep, name, out), list_overrides(sweep, overrides)
    _refuse("slurm", {key: value for key, value in options.items() if key in _only(KubeOptions, SlurmOptions)})
    read = read_options(SlurmOptions, options)
    job = submit_slurm(sweep, name, place, read, command, changes, run=run, dry_run=dry_run, say=typer.echo)
    if job is not None:
        submitted = datetime.now(UTC).isoformat(timespec="seconds")
        files = job_files(place)
        again = quoted_command(["sbatch", str(files.script)])
        remember(name, Job("slurm", place, submitted, again, id=job, log=str(files.log)))
        typer.echo(name)


def _print_manifest(
    sweep: "Sweep",
    overrides: list[str],
    out: str | None,
    name: str | None,
    options: dict[str, object],
    command: list[str],
) -> None:
    from glosstune.search.jobs.kuberay import KubeOptions, kube_name, rayjob_manifest
    from glosstune.search.jobs.options import find_place, list_overrides, read_options
    from glosstune.search.jobs.slurm_script import SlurmOptions

    name = name or kube_name(sweep.name)
    place, changes = find_place(sweep, name, out), list_overrides(sweep, overrides)
    _refuse("kuberay", {key: value for key, value in options.items() if key in _only(SlurmOptions, KubeOptions)})
    typer.echo(rayjob_manifest(sweep, name, place, read_options(KubeOptions, options), command, changes), nl=False)


def _refuse(to: str, options: Mapping[str, object]) -> None:
    """Raise SettingError for the first option that was given: what it asks for would not be done."""
    for option, value in options.items():
        if value:
            raise SettingError(f"is not for --to {to}; leave it out", key=f"--{option.replace('_', '-')}")


def _only(kind: "type[Section]", other: "type[Section]") -> set[str]:
    return set(kind.model_fields) - set(other.model_fields)


def _parse_option(text: str) -> tuple[str, object]:
    from glosstune.spaces.files.yaml_data import parse_yaml

    key, equals, value = text.partition("=")
    if not equals:
        raise SettingError(f"must be KEY=VALUE; got {text!r}", key="--set")
    return key.strip(), parse_yaml(value, f"--set {text}")


def _follow(name: str, address: str) -> None:
    """Show the log of a job to its end; Ctrl-C ends only the showing."""
    from glosstune.search.jobs.ray_jobs import connect, follow_log

    try:
        status = follow_log(connect(address), address, name, partial(typer.echo, nl=False))
    except KeyboardInterrupt:
        again = f"glosstune logs {name} --follow --address {address}"
        typer.echo(f"\nglosstune: {name} goes on; follow it again with: {again}", err=True)
        raise typer.Exit(0) from None
    typer.echo(escaped(f"{name}: {status}"), err=True)
    if str(status) != "SUCCEEDED":
        raise typer.Exit(1)


def _describe(plan: "Plan") -> None:
    """Print what would be sent."""
    from rich.console import Console

    from glosstune.search.jobs.submission import staged
    from glosstune.spaces.files.yaml_data import write_yaml

    say = lines_to(Console())
    say(f"name: {plan.name}\nplace: {plan.place}\nentrypoint: {plan.entrypoint}")
    for variable, value in plan.environment.items():
        say(f"environment: {variable}={value}")
    with staged(plan) as files:
        say(f"sent: {len(files.files())} files, {files.size_bytes / 1e6:.1f} MB")
        for file in files.files():
            say(f"  {file.relative_to(files.package.parent)}")
    say(write_yaml(plan.sweep.resolved()))
