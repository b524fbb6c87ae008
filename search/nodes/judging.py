"""Judge from what the nodes of a cluster have whether a sweep can run there."""

import json
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import Any

from packaging.requirements import Requirement

from glosstune.results.text import align
from glosstune.search.config.sections import AUTO
from glosstune.search.config.settings import ResourceSettings
from glosstune.search.config.sweep import Sweep
from glosstune.search.nodes.probe import MARK, find_version
from glosstune.spaces.errors import SettingError
from glosstune.spaces.files.addresses import is_uri
from glosstune.trainables.corpora.kinds import corpus_traits


@dataclass(frozen=True)
class Node:
    """One machine of a cluster, as the probe saw it.

    Attributes:
        driver: whether jobs start on it.
        versions: of installed packages; None where one is missing.
        missing: paths that are to be read and are not there.
        closed: paths that are to be written and cannot.
        unshared: paths that it does not share with the node where jobs start.
        error: why it could not look.
    """

    host: str
    driver: bool
    cpu: float
    gpu: float
    python: str = ""
    versions: Mapping[str, str | None] = field(default_factory=dict)
    missing: Sequence[str] = ()
    closed: Sequence[str] = ()
    unshared: Sequence[str] = ()
    error: str = ""


@dataclass(frozen=True)
class Difference:
    """A package, or Python itself, that is another one on some nodes than here.

    Attributes:
        there: None where it is missing.
        install: what mends it, as pip takes it; empty where it does no harm.
    """

    package: str
    here: str | None
    there: str | None
    nodes: tuple[str, ...]
    install: str


@dataclass(frozen=True)
class Verdict:
    """What was found: ``refusals`` end a submission, differences alone do not."""

    differences: list[Difference]
    refusals: list[str]

    def tell(self, say: Callable[[str], object], where: str) -> None:
        """Say what differs, and raise SettingError, a line for each refusal, where there is any."""
        for line in self.lines():
            say(line)
        if self.refusals:
            raise SettingError("\n".join(f"{where}: {refusal}" for refusal in self.refusals))

    def lines(self) -> list[str]:
        """A table of the differences; nothing where there are none."""
        rows = [
            (found.package, found.here or "missing", found.there or "missing", shorten_hosts(found.nodes))
            for found in self.differences
        ]
        told = "what the cluster has otherwise than this machine:"
        return [told, *align([("package", "here", "there", "nodes"), *rows], range(4))] if rows else []


def read_requirements(sweep: Sweep, place: str) -> list[Requirement]:
    """What must be installed where trials of a sweep run: what glosstune needs, with the extras that the sweep uses.

    Raises:
        SettingError: glosstune itself is not installed here, so nobody can tell.
    """
    extras = {"", corpus_traits(sweep.corpus.kind).extra, sweep.tracking or "", "s3" if is_uri(place) else ""}
    try:
        lines = metadata.requires("glosstune") or []
    except metadata.PackageNotFoundError:
        raise SettingError("glosstune is not installed here, so its requirements are not known; install it") from None
    asked = [Requirement(line) for line in lines]
    return [one for one in asked if not one.marker or any(one.marker.evaluate({"extra": extra}) for extra in extras)]


def ask_about(sweep: Sweep, place: str, requirements: Iterable[Requirement]) -> dict[str, Any]:
    """The question to the probe: packages, paths that must be there, and those that must be writable or shared."""
    corpus, own = sweep.corpus, [] if is_uri(place) else [place]
    return {
        "packages": sorted({one.name for one in requirements}),
        "read": [*_present(corpus.root), *_driver_reads(sweep)],
        "write": [*own, *_present(corpus.cache)],
        "shared": own,
    }


def _driver_reads(sweep: Sweep) -> list[str]:
    """Files that the driver alone reads: what trials need of them it keeps in the sweep's folder."""
    pretrained = None if sweep.pretrained == AUTO else sweep.pretrained
    prior = () if isinstance(sweep.search.prior, str) else sweep.search.prior
    return _present(pretrained, sweep.teacher, sweep.pretraining.align_with, *sweep.search.warm_start, *prior)


def _present(*paths: object) -> list[str]:
    return [str(path) for path in paths if path is not None]


def read_answer(log: str) -> list[Node]:
    """The nodes from the log of the probe.

    Raises:
        SettingError: it has no answer, or one that says why there is none.
    """
    lines = log.strip().splitlines()
    told = next((line.removeprefix(MARK) for line in lines if line.startswith(MARK)), None)
    if told is None:
        last = lines[-1] if lines else "its log is empty"
        rule = "the cluster could not be looked at"
        raise SettingError(f"{rule}: {last}; start Ray where `python` is the one that it is installed in")
    answer = json.loads(told)
    if "error" in answer:
        rule = "start Ray there with the environment active that it is installed in"
        raise SettingError(f"the cluster's `python` is not Ray's: {answer['error']}; {rule}")
    return [Node(**node) for node in answer["nodes"]]


def judge(
    nodes: Sequence[Node], sweep: Sweep, requirements: Sequence[Requirement], *, may_join: bool = False
) -> Verdict:
    """Whether a sweep can run on these nodes; only those matter where its driver or a trial fits.

    Args:
        may_join: others may come that have what a trial asks for.
    """
    refusals = [] if may_join else list(_resource_refusals(nodes, sweep.resources))
    used = [node for node in nodes if node.driver or _fits(node, sweep.resources)]
    answered = [node for node in used if not node.error]
    refusals += [f"{node.host}: could not be looked at: {node.error}" for node in used if node.error]
    differences = list(_differences(answered, requirements))
    refusals += _install_refusals(differences)
    of_driver = set(_driver_reads(sweep))
    answered = [
        node if node.driver else replace(node, missing=[path for path in node.missing if path not in of_driver])
        for node in answered
    ]
    for paths, rule in (
        ("missing", "is not there; put it on storage that nodes see under this path"),
        ("closed", "cannot be written; choose a place that all nodes may write to (--out, corpus.cache)"),
        ("unshared", "is another folder there than where the driver runs; use shared storage, such as NFS, or s3://"),
    ):
        refusals += [f"{path} {rule}: {shorten_hosts(hosts)}" for path, hosts in _by_path(answered, paths).items()]
    return Verdict(differences, refusals)


def shorten_hosts(hosts: Sequence[str]) -> str:
    """At most three hosts by name."""
    return ", ".join(hosts[:3]) + (f" and {len(hosts) - 3} more" if len(hosts) > 3 else "")


def _resource_refusals(nodes: Sequence[Node], asked: ResourceSettings) -> Iterator[str]:
    listed = "; ".join(f"{node.host}: {node.cpu:g} CPUs, {node.gpu:g} GPUs" for node in nodes[:5])
    listed += f"; and {len(nodes) - 5} more" if len(nodes) > 5 else ""
    there, short = f"({listed}); where one will join, say --wait-for-nodes", False
    for key in ("cpu", "gpu"):
        amount, most = getattr(asked, key) or 0.0, max((getattr(node, key) for node in nodes), default=0.0)
        if amount > most:
            short = True
            yield f"resources.{key}: a trial asks for {amount:g}, but no node has more than {most:g} {there}"
    if not short and not any(_fits(node, asked) for node in nodes):
        yield f"resources: no node has both the CPUs and the GPUs that a trial asks for {there}"


def _fits(node: Node, asked: ResourceSettings) -> bool:
    return node.cpu >= asked.cpu and node.gpu >= (asked.gpu or 0.0)


def _differences(nodes: Sequence[Node], requirements: Sequence[Requirement]) -> Iterator[Difference]:
    here = platform.python_version()
    for there, hosts in _group(nodes, lambda node: node.python).items():
        if there != here:
            same_minor = str(there).split(".")[:2] == here.split(".")[:2]
            minor = ".".join(here.split(".")[:2])
            yield Difference("Python", here, there, hosts, "" if same_minor else f"Python {minor}")
    for one in requirements:
        version = find_version(one.name)
        for there, hosts in _group(nodes, lambda node, name=one.name: node.versions.get(name)).items():
            if there is None or not one.specifier.contains(there, prereleases=True):
                yield Difference(one.name, version, there, hosts, _plain(one))
            elif there != version:
                # Two versions of Ray do not understand each other, whatever the requirement says.
                yield Difference(one.name, version, there, hosts, f"ray=={version}" if one.name == "ray" else "")


def _group(nodes: Sequence[Node], value: Any) -> dict[str | None, tuple[str, ...]]:
    grouped: dict[str | None, tuple[str, ...]] = {}
    for node in nodes:
        grouped[value(node)] = (*grouped.get(value(node), ()), node.host)
    return grouped


def _plain(requirement: Requirement) -> str:
    """As pip takes it, without the marker that says which extra it belongs to."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{requirement.specifier}"


def _install_refusals(differences: Iterable[Difference]) -> Iterator[str]:
    """A line for each set of nodes that lacks something."""
    needed: dict[tuple[str, ...], list[str]] = {}
    for found in differences:
        if found.install:
            needed.setdefault(found.nodes, []).append(found.install)
    for hosts, packages in needed.items():
        yield f"install on {shorten_hosts(hosts)}: {' '.join(repr(name) for name in packages)}"


def _by_path(nodes: Sequence[Node], paths: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for node in nodes:
        for path in getattr(node, paths):
            found.setdefault(path, []).append(node.host)
    return found
