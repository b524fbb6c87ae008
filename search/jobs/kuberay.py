"""From a sweep to the RayJob that runs it on Kubernetes.

Fields are those of KubeRay 1.6 (docs.ray.io, "KubeRay CRD API reference"; ``authOptions`` needs KubeRay 1.5.1 or
newer). The entrypoint passes through three shells (the submitter's, that of ``ray job submit`` and the job's), so it
names a script of the ConfigMap, where one quoting is enough. Kubernetes' SIGTERM does not reach the driver, for the
first process of a Ray container hands none on: a hook before the end of the head does that.
"""

import hashlib
import re
import shlex
import unicodedata
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, NonNegativeInt, PositiveInt

from glosstune.results.reading.names import SWEEP
from glosstune.search.config.sweep import Sweep
from glosstune.search.jobs.options import check_printable, command_comment, count_cpus, part_folders, sweep_text
from glosstune.spaces.errors import SettingError, shown
from glosstune.spaces.files.addresses import is_uri
from glosstune.spaces.files.yaml_data import write_yaml
from glosstune.trainables.settings import Section

# KubeRay appends to the name, and Kubernetes ends labels at 63 letters.
_LONGEST = 47
_FOLDER = "/etc/glosstune"
_PID = "/tmp/glosstune.pid"

_SPELLED = {ord(letter): latin for letter, latin in zip("äöüßøæ", ("ae", "oe", "ue", "ss", "o", "ae"), strict=True)}


def kube_name(text: str) -> str:
    """The name of a job that was given none: what Kubernetes and KubeRay allow, as like to a text as can be.

    Texts that are cut, or have no Latin letter, end with a hash, so that two of them stay two.
    """
    spelled = text.lower().translate(_SPELLED)
    plain = unicodedata.normalize("NFKD", spelled).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if not name[:1].isalpha():
        name = f"sweep-{name}".strip("-")
    if len(name) > _LONGEST or name == "sweep" != spelled:
        digest = hashlib.sha256(text.encode()).hexdigest()[:6]
        name = f"{name[: _LONGEST - 7].rstrip('-')}-{digest}"
    return name


def _label(value: str) -> str:
    if not re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", value):
        rule = "must be a DNS label: at most 63 small letters, digits and '-', from a letter to a letter or digit"
        raise ValueError(rule)
    return value


def _image(value: str) -> str:
    if not re.fullmatch(r"[\w][\w./:@-]*", value, re.ASCII):
        raise ValueError("must name an image, such as registry.example.org/me/glosstune:1")
    return value


def _mount(value: str) -> str:
    if not value.startswith("/") or ".." in value.split("/") or ":" in value or not value.isprintable():
        raise ValueError("must be an absolute path without '..' and ':'")
    return value


def _version(value: str) -> str:
    if not re.fullmatch(r"\d+\.\d+\.\d+\w*", value):
        raise ValueError("must be a version of Ray, such as 2.60.0")
    return value


Label = Annotated[str, AfterValidator(_label)]


class KubeOptions(Section):
    """What a job asks of Kubernetes.

    ``image`` holds glosstune and what it requires; Ray's own GPU image has no torch. ``ray_version`` is that in the
    image, default the one installed here. ``nodes`` are pods that run trials, beside the head, which runs the sweep
    alone; ``cpus_per_node`` None: what the trials need that share the GPUs. ``claim`` is a persistent volume claim
    that all pods can write to, mounted at ``mount``. ``env_from_secret`` names secrets whose keys become environment
    variables, such as those of S3. ``retries``: how often a new cluster goes on where one failed. ``save_within_s``:
    how long the sweep may take to save before its pod is killed; ``keep_s``: how long the pods of an ended job stay.
    """

    image: Annotated[str, AfterValidator(_image)]
    ray_version: Annotated[str, AfterValidator(_version)] | None = None
    namespace: Label | None = None
    nodes: PositiveInt = 1
    gpus_per_node: NonNegativeInt = 0
    cpus_per_node: PositiveInt | None = None
    memory_gb_per_node: PositiveInt = 16
    head_cpus: PositiveInt = 2
    head_memory_gb: PositiveInt = 8
    claim: Label | None = None
    mount: Annotated[str, AfterValidator(_mount)] = "/data"
    env_from_secret: tuple[Label, ...] = ()
    retries: NonNegativeInt = 3
    time_limit_min: PositiveInt | None = None
    save_within_s: PositiveInt = 120
    keep_s: NonNegativeInt = 600


def rayjob_manifest(
    sweep: Sweep,
    name: str,
    place: str,
    options: KubeOptions,
    command: Sequence[str],
    overrides: Sequence[str] = (),
) -> str:
    """A ConfigMap with the sweep and a RayJob that runs it, as YAML that opens with the command that made it.

    Args:
        name: of both, a DNS label.
        place: of the sweep: a path below the mount, or a URI.
        command: that made it.
        overrides: changes for a sweep that lies there already.

    Raises:
        SettingError: a trial does not fit onto a pod, the name is no DNS label, or what the place holds would be lost.
    """
    cpus = count_cpus(sweep, options.cpus_per_node, options.gpus_per_node)
    try:
        _label(name)
    except ValueError as error:
        raise SettingError(f"{error}; got {shown(name)}", key="name") from None
    if len(name) > _LONGEST:
        raise SettingError(f"must be at most {_LONGEST} letters long for KubeRay; got {len(name)}", key="name")
    _check_kept(place, options)
    metadata = {"name": name, **({"namespace": options.namespace} if options.namespace else {})}
    arguments = ["glosstune", "sweep", f"{_FOLDER}/{SWEEP}", *overrides, "--out", place, "--resume"]
    files = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {
            SWEEP: sweep_text(sweep, command),
            "sweep.sh": f"echo $$ > {_PID}\nexec {shlex.join(arguments)}\n",
            "save.sh": _SAVE,
        },
    }
    job = {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": metadata, "spec": _job(name, cpus, options)}
    parts = f"# The image must have on its PYTHONPATH: {' '.join(sweep.own_parts)}\n" if part_folders(sweep) else ""
    return f"{command_comment(command)}\n{parts}{write_yaml(files)}---\n{write_yaml(job)}"


_SAVE = f"""# Kubernetes runs this before it ends the head.
pid=$(cat {_PID} 2> /dev/null) && kill -TERM "$pid" 2> /dev/null || exit 0
while kill -0 "$pid" 2> /dev/null; do sleep 1; done
"""


def _check_kept(place: str, options: KubeOptions) -> None:
    check_printable("place", place)
    if is_uri(place):
        return
    if options.claim is None:
        rule = "a path inside of a pod is lost with it; name a persistent volume claim, or use s3://bucket/name"
        raise SettingError(f"{rule}; got {place}", key="claim")
    path = PurePosixPath(place)
    if ".." in path.parts or PurePosixPath(options.mount) not in path.parents:
        raise SettingError(f"must lie below {options.mount}, where the claim is mounted; got {place}", key="place")


def _job(name: str, cpus: int, options: KubeOptions) -> dict[str, Any]:
    limit = {} if options.time_limit_min is None else {"activeDeadlineSeconds": options.time_limit_min * 60}
    head_resources = _resources(options.head_cpus, options.head_memory_gb, 0)
    head = _container("ray-head", head_resources, options)
    # A pod that hangs is given up within half a minute, one that is only busy is not (see docs/cluster.md).
    health = {"period_ms": "1000", "timeout_ms": "5000", "failure_threshold": "3"}
    head["env"] = [{"name": f"RAY_health_check_{key}", "value": value} for key, value in health.items()]
    head["lifecycle"] = {"preStop": {"exec": {"command": ["bash", f"{_FOLDER}/save.sh"]}}}
    head["volumeMounts"] = [{"name": "sweep", "mountPath": _FOLDER}, *head.get("volumeMounts", [])]
    worker = _container("ray-worker", _resources(cpus, options.memory_gb_per_node, options.gpus_per_node), options)
    head_pod = _pod(head, options, [{"name": "sweep", "configMap": {"name": name}}])
    head_pod["terminationGracePeriodSeconds"] = options.save_within_s
    worker_pod = _pod(worker, options, [])
    if options.gpus_per_node:
        worker_pod["tolerations"] = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    started = {"num-cpus": str(cpus), "num-gpus": str(options.gpus_per_node)}
    return {
        "entrypoint": f"bash {_FOLDER}/sweep.sh",
        # ``ray job stop`` would kill after three seconds.
        "runtimeEnvYAML": write_yaml({"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(options.save_within_s)}}),
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": options.keep_s,
        "backoffLimit": options.retries,
        **limit,
        "rayClusterSpec": {
            "rayVersion": options.ray_version or version("ray"),
            "authOptions": {"mode": "token"},
            "headGroupSpec": {
                "serviceType": "ClusterIP",  # the dashboard stays inside of the cluster
                "rayStartParams": {"num-cpus": "0", "num-gpus": "0"},  # no trials beside the driver
                "template": {"spec": head_pod},
            },
            "workerGroupSpecs": [
                {
                    "groupName": "trials",
                    "replicas": options.nodes,
                    "minReplicas": options.nodes,
                    "maxReplicas": options.nodes,
                    "rayStartParams": started,
                    "template": {"spec": worker_pod},
                }
            ],
        },
    }


def _container(name: str, resources: dict[str, Any], options: KubeOptions) -> dict[str, Any]:
    container: dict[str, Any] = {"name": name, "image": options.image, "resources": resources}
    if options.env_from_secret:
        container["envFrom"] = [{"secretRef": {"name": secret}} for secret in options.env_from_secret]
    if options.claim is not None:
        container["volumeMounts"] = [{"name": "data", "mountPath": options.mount}]
    return container


def _resources(cpus: int, memory_gb: int, gpus: int) -> dict[str, Any]:
    memory = f"{memory_gb}G"
    limits: dict[str, Any] = {"memory": memory}
    if gpus:
        limits["nvidia.com/gpu"] = gpus
    return {"requests": {"cpu": str(cpus), "memory": memory}, "limits": limits}


def _pod(container: dict[str, Any], options: KubeOptions, volumes: list[dict[str, Any]]) -> dict[str, Any]:
    if options.claim is not None:
        volumes = [*volumes, {"name": "data", "persistentVolumeClaim": {"claimName": options.claim}}]
    return {"containers": [container], **({"volumes": volumes} if volumes else {})}
