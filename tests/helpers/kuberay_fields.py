"""Fields of KubeRay's resources that a manifest may hold; what is Kubernetes' own has kubernetes-validate.

Those of ``ray.io/v1`` are from ray-operator/apis/ray/v1/rayjob_types.go and raycluster_types.go of ray-project/kuberay
(generated page: docs.ray.io, "KubeRay CRD API reference"). A field leads to the type of its value; a list of one type
holds any number of it.
"""

from typing import Any

TEXTS = {str: str}

HEAD_GROUP = {
    "template": object,
    "headService": object,
    "enableIngress": bool,
    "rayStartParams": TEXTS,
    "serviceType": str,
}
WORKER_GROUP = {
    "suspend": bool,
    "groupName": str,
    "replicas": int,
    "minReplicas": int,
    "maxReplicas": int,
    "idleTimeoutSeconds": int,
    "rayStartParams": TEXTS,
    "template": object,
    "scaleStrategy": object,
    "numOfHosts": int,
}
CLUSTER = {
    "upgradeStrategy": object,
    "authOptions": {"enableK8sTokenAuth": bool, "secretName": str, "mode": str},
    "suspend": bool,
    "managedBy": str,
    "autoscalerOptions": object,
    "headServiceAnnotations": TEXTS,
    "enableInTreeAutoscaling": bool,
    "gcsFaultToleranceOptions": object,
    "headGroupSpec": HEAD_GROUP,
    "rayVersion": str,
    "workerGroupSpecs": [WORKER_GROUP],
}
METADATA = {"name": str, "namespace": str, "labels": TEXTS, "annotations": TEXTS}
RAY_JOB: dict[str, Any] = {
    "apiVersion": str,
    "kind": str,
    "metadata": METADATA,
    "spec": {
        "activeDeadlineSeconds": int,
        "backoffLimit": int,
        "rayClusterSpec": CLUSTER,
        "submitterPodTemplate": object,
        "metadata": TEXTS,
        "clusterSelector": TEXTS,
        "submitterConfig": {"backoffLimit": int},
        "managedBy": str,
        "deletionStrategy": object,
        "entrypoint": str,
        "runtimeEnvYAML": str,
        "jobId": str,
        "submissionMode": str,
        "entrypointResources": str,
        "entrypointNumCpus": float,
        "entrypointNumGpus": float,
        "ttlSecondsAfterFinished": int,
        "shutdownAfterJobFinishes": bool,
        "suspend": bool,
    },
}


def wrong_fields(value: object, known: Any, path: str = "") -> list[str]:
    """The paths of a value that are misspelled or hold another type."""
    if known is object:
        return []
    if isinstance(known, type):
        return [] if type(value) is known else [f"{path}: {type(value).__name__}"]
    if isinstance(known, list):
        if not isinstance(value, list):
            return [f"{path}: {type(value).__name__}"]
        return [wrong for item in value for wrong in wrong_fields(item, known[0], f"{path}[]")]
    if not isinstance(value, dict):
        return [f"{path}: {type(value).__name__}"]
    found = []
    for name, item in value.items():
        if name in known or str in known:
            found += wrong_fields(item, known.get(name, known.get(str)), f"{path}.{name}")
        else:
            found.append(f"{path}.{name}: unknown")
    return found
