"""The commands for sweeps on clusters: submit, status, logs, stop."""

from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from glosstune.search.sweep_arguments import split_arguments

if TYPE_CHECKING:
    from glosstune.search.cluster.submission import Plan

Target = Literal["ray"]
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
        ),
    ] = None,
    *,
    to: Annotated[Target, typer.Option(help="What runs it.")],
    address: Address = None,
    out: Annotated[str | None, typer.Option(help="Folder or URI of the sweep; default STORAGE/NAME.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the job; default that of the sweep and the date.")] = None,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Show the log until the job has ended.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be sent, and contact nobody.")] = False,
) -> None:
    """Check a cluster and run a sweep there; exit status 1 if a job that was followed did not succeed.

    Example: glosstune submit my.yaml --to ray --address http://head:8265 --out /shared/runs/a
    """
    from glosstune.search.cluster import submit as send
    from glosstune.search.cluster.ray_jobs import find_address
    from glosstune.search.cluster.submission import plan_submission
    from glosstune.search.sweep import load_sweep

    path, overrides = split_arguments(arguments)
    address = find_address(address)
    sweep = load_sweep(path, overrides)
    if dry_run:
        _describe(plan_submission(sweep, address, out=out, name=name, source=path, overrides=overrides))
        return
    name = send(sweep, address, out=out, name=name, source=path, overrides=overrides)
    typer.echo(name)
    if follow:
        _follow(name, address)


def status(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Of a job; default all jobs sent from here.")
    ] = None,
    *,
    address: Address = None,
) -> None:
    """Say how a job is doing, or all that were sent from this machine.

    Example: glosstune status teacher-2026-05-04-101500
    """
    from glosstune.search.cluster.jobs import list_jobs
    from glosstune.search.cluster.states import describe_job, describe_jobs

    if name is not None:
        typer.echo(describe_job(name, address))
        return
    jobs = list_jobs()
    if not jobs:
        typer.echo("no job was sent from this machine; name one and its --address")
    for line in describe_jobs(jobs):
        typer.echo(line)


def logs(
    name: Name,
    *,
    address: Address = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the job has ended.")] = False,
) -> None:
    """Print what a job has written so far.

    Example: glosstune logs teacher-2026-05-04-101500 --follow
    """
    from glosstune.search.cluster.ray_jobs import connect, job_info, plain_errors
    from glosstune.search.cluster.states import locate

    address = locate(name, address)
    if follow:
        _follow(name, address)
        return
    client = connect(address)
    job_info(client, address, name)
    with plain_errors(address):
        typer.echo(client.get_job_logs(name), nl=False)


def stop(name: Name, *, address: Address = None) -> None:
    """End a job, whose sweep saves itself, and say what goes on with it.

    Example: glosstune stop teacher-2026-05-04-101500
    """
    from glosstune.search.cluster.states import stop_job

    typer.echo(stop_job(name, address, partial(typer.echo, err=True)))


def _follow(name: str, address: str) -> None:
    """Show the log of a job to its end; Ctrl-C ends only the showing."""
    from glosstune.search.cluster.ray_jobs import connect, follow_log

    try:
        status = follow_log(connect(address), address, name, partial(typer.echo, nl=False))
    except KeyboardInterrupt:
        again = f"glosstune logs {name} --follow --address {address}"
        typer.echo(f"\nglosstune: {name} goes on; follow it again with: {again}", err=True)
        raise typer.Exit(0) from None
    typer.echo(f"{name}: {status}", err=True)
    if str(status) != "SUCCEEDED":
        raise typer.Exit(1)


def _describe(plan: "Plan") -> None:
    """Print what would be sent."""
    import yaml

    from glosstune.search.cluster.submission import staged

    say = partial(Console().print, soft_wrap=True, highlight=False, markup=False)
    say(f"name: {plan.name}\nplace: {plan.place}\nentrypoint: {plan.entrypoint}")
    for variable, value in plan.environment.items():
        say(f"environment: {variable}={value}")
    with staged(plan) as files:
        say(f"sent: {len(files.files())} files, {files.size_bytes / 1e6:.1f} MB")
        for file in files.files():
            say(f"  {file.relative_to(files.package.parent)}")
    say(yaml.safe_dump(plan.sweep.resolved(), sort_keys=False, allow_unicode=True))
