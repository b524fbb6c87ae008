import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from fake_slurm import wait_for
from hypothesis import given
from hypothesis import strategies as st
from kuberay_fields import RAY_JOB, wrong_fields

from glosstune.search import Sweep, load_sweep
from glosstune.search.jobs import kuberay
from glosstune.search.jobs.kuberay import KubeOptions, kube_name, rayjob_manifest
from glosstune.search.jobs.options import read_options
from glosstune.spaces.errors import SettingError

GOLDEN = Path(__file__).with_name("golden")
COMMAND = ["glosstune", "submit", "my.yaml", "--to", "kuberay"]
SWEEP = load_sweep("student")
ON_GPUS = load_sweep("student", ["resources.gpu=0.5"])
CPUS = {"image": "me/glosstune:1", "cpus_per_node": 4, "ray_version": "2.60.0"}
GPUS = {
    "image": "registry.example.org/me/glosstune:1",
    "ray_version": "2.60.0",
    "namespace": "signs",
    "nodes": 2,
    "gpus_per_node": 4,
    "time_limit_min": 720,
    "claim": "runs",
    "env_from_secret": ["s3-keys"],
}


def manifest(sweep: Sweep, place: str, options: dict[str, Any], name: str = "a") -> str:
    return rayjob_manifest(sweep, name, place, read_options(KubeOptions, options), COMMAND)


def parts(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    files, job = yaml.safe_load_all(text)
    return files, job


@pytest.mark.parametrize(
    ("golden", "sweep", "place", "options"),
    [("cpus.yaml", SWEEP, "s3://bucket/runs/a", CPUS), ("gpus.yaml", ON_GPUS, "/data/runs/a", GPUS)],
)
def test_a_manifest_is_the_one_in_golden(
    golden: str, sweep: Sweep, place: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for the sweep itself, whose defaults are not this module's."""
    monkeypatch.setattr(kuberay, "sweep_text", lambda sweep, command: "name: student\n")
    assert manifest(sweep, place, options) == (GOLDEN / golden).read_text()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("student", "student"),
        ("My_Sweep.v2", "my-sweep-v2"),
        ("Gebärden größer", "gebaerden-groesser"),
        ("2026-11-phoenix", "sweep-2026-11-phoenix"),
        ("--lr=0.1--", "lr-0-1"),
        ("...", "sweep-000000"),
        ("手语", "sweep-000000"),
    ],
)
def test_a_sweep_of_any_name_becomes_a_job_of_a_like_one(text: str, name: str) -> None:
    hashed = re.fullmatch(r"sweep-[0-9a-f]{6}", name)
    assert re.fullmatch(r"sweep-[0-9a-f]{6}", kube_name(text)) if hashed else kube_name(text) == name


@given(st.text())
def test_every_name_is_one_that_kubernetes_takes(text: str) -> None:
    manifest(SWEEP, "s3://bucket/runs/a", CPUS, kube_name(text))


def test_names_that_are_cut_stay_two() -> None:
    one, other = kube_name("a" * 80 + "1"), kube_name("a" * 80 + "2")
    assert one != other and len(one) == len(other) == 47


def _pods(job: dict[str, Any]) -> list[dict[str, Any]]:
    """Each pod of a RayJob, as a resource of its own."""
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, **group["template"]} for group in groups]


@pytest.mark.parametrize("kubernetes", ["1.28", kubernetes_validate.latest_version()])
@pytest.mark.parametrize(
    ("sweep", "place", "options"), [(SWEEP, "s3://bucket/runs/a", CPUS), (ON_GPUS, "/data/runs/a", GPUS)]
)
def test_files_and_pods_keep_to_the_schema_of_kubernetes(
    sweep: Sweep, place: str, options: dict[str, Any], kubernetes: str
) -> None:
    files, job = parts(manifest(sweep, place, options))
    for resource in (files, *_pods(job)):
        kubernetes_validate.validate(resource, kubernetes, strict=True)
    assert len(_pods(job)) == 2


def test_a_wrong_field_of_a_pod_is_noticed() -> None:
    _, job = parts(manifest(SWEEP, "s3://bucket/a", CPUS))
    _pods(job)[0]["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["comand"] = ["bash"]
    with pytest.raises(kubernetes_validate.ValidationError, match="comand"):
        kubernetes_validate.validate(_pods(job)[0], "1.28", strict=True)


@pytest.mark.parametrize(
    ("sweep", "place", "options"), [(SWEEP, "s3://bucket/runs/a", CPUS), (ON_GPUS, "/data/runs/a", GPUS)]
)
def test_every_field_of_the_job_is_one_that_kuberay_knows(sweep: Sweep, place: str, options: dict[str, Any]) -> None:
    _, job = parts(manifest(sweep, place, options))
    assert wrong_fields(job, RAY_JOB) == []


def test_a_misspelled_field_and_a_number_for_text_are_noticed() -> None:
    _, job = parts(manifest(SWEEP, "s3://bucket/a", CPUS))
    job["spec"]["backOffLimit"] = 3
    job["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] = 0
    assert wrong_fields(job, RAY_JOB) == [
        ".spec.rayClusterSpec.headGroupSpec.rayStartParams.num-cpus: int",
        ".spec.backOffLimit: unknown",
    ]


def test_the_manifest_carries_the_sweep(tmp_path: Path) -> None:
    text = manifest(SWEEP, "s3://bucket/a", CPUS)
    files, _ = parts(text)
    assert text.startswith("# glosstune submit my.yaml --to kuberay\n")
    (tmp_path / "sweep.yaml").write_text(files["data"]["sweep.yaml"])
    assert load_sweep(tmp_path / "sweep.yaml") == SWEEP


def test_the_manifest_says_which_parts_of_the_users_own_the_image_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_rules.py").write_text("def rule(curve, grace_epochs, settings): ...")
    monkeypatch.syspath_prepend(str(tmp_path))
    text = manifest(load_sweep("student", ["stopping.rules=[own_rules:rule]"]), "s3://bucket/a", CPUS)
    assert text.splitlines()[1] == "# The image must have on its PYTHONPATH: own_rules:rule"
    assert "PYTHONPATH" not in manifest(SWEEP, "s3://bucket/a", CPUS)


def test_the_version_of_ray_is_the_installed_one_unless_told() -> None:
    options = {name: value for name, value in CPUS.items() if name != "ray_version"}
    _, job = parts(manifest(SWEEP, "s3://bucket/a", options))
    assert job["spec"]["rayClusterSpec"]["rayVersion"] == version("ray")


@given(text=st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
def test_a_hostile_place_is_refused_or_stays_one_word(text: str) -> None:
    place = f"s3://bucket/{text}"
    try:
        files, _ = parts(manifest(SWEEP, place, CPUS))
    except SettingError:
        assert not text.isprintable()
        return
    assert shlex.split(files["data"]["sweep.sh"].partition("\n")[2]) == [
        *("exec", "glosstune", "sweep", "/etc/glosstune/sweep.yaml", "--out", place, "--resume")
    ]


def test_the_end_of_a_pod_waits_until_the_sweep_has_saved(tmp_path: Path) -> None:
    """Both scripts of the ConfigMap, in a pod that is this machine."""
    files, _ = parts(manifest(SWEEP, "s3://bucket/a", CPUS))
    scripts = {}
    for name in ("sweep.sh", "save.sh"):
        scripts[name] = tmp_path / name
        scripts[name].write_text(files["data"][name].replace("/tmp/", f"{tmp_path}/"))
    program = tmp_path / "glosstune"
    program.write_text(
        f"#!{sys.executable}\nimport signal, sys, time\nfrom pathlib import Path\nhere = Path(__file__).parent\n"
        "def save(number, frame):\n    time.sleep(0.5)\n    (here / 'saved').touch()\n    sys.exit(143)\n"
        "signal.signal(signal.SIGTERM, save)\n(here / 'begun').touch()\nwhile True:\n    time.sleep(0.05)\n"
    )
    program.chmod(0o755)
    assert subprocess.run(["bash", str(scripts["save.sh"])]).returncode == 0  # nothing has begun
    path = f"{tmp_path}:/usr/bin:/bin"
    with subprocess.Popen(["bash", str(scripts["sweep.sh"])], env={"PATH": path}) as driver:
        try:
            wait_for(tmp_path / "begun")
            saving = subprocess.Popen(["bash", str(scripts["save.sh"])])
            assert driver.wait(60) == 143
            assert saving.wait(60) == 0 and (tmp_path / "saved").exists()
        finally:
            driver.kill()
    assert subprocess.run(["bash", str(scripts["save.sh"])]).returncode == 0  # it is over


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"place": "/data/runs/a"}, "claim: a path inside of a pod is lost with it; name a persistent volume claim"),
        ({"place": "/home/me/a", "claim": "runs"}, "place: must lie below /data, where the claim is mounted"),
        ({"place": "/data/../a", "claim": "runs"}, "place: must lie below /data"),
        ({"name": "A_b"}, "name: must be a DNS label: at most 63 small letters, digits and '-'"),
        ({"name": "a" * 48}, "name: must be at most 47 letters long for KubeRay; got 48"),
        ({"claim": "My Claim"}, "claim: must be a DNS label"),
        ({"namespace": "1a"}, "namespace: must be a DNS label"),
        ({"env_from_secret": ["s3 keys"]}, "env_from_secret"),
        ({"image": "me/x y"}, "image: must name an image, such as"),
        ({"mount": "data"}, "mount: must be an absolute path"),
        ({"ray_version": "latest"}, "ray_version: must be a version of Ray, such as 2.60.0"),
        ({"cpus_per_node": None}, "cpus_per_node: must be given where trials use no GPU"),
    ],
)
def test_what_cannot_run_is_refused(changes: dict[str, Any], message: str) -> None:
    options = {**CPUS, **changes}
    name, place = options.pop("name", "a"), options.pop("place", "s3://bucket/a")
    with pytest.raises(SettingError) as refused:
        manifest(SWEEP, place, options, name)
    assert str(refused.value).startswith(message)


def test_an_image_must_be_named() -> None:
    with pytest.raises(SettingError, match=r"^image: must be given$"):
        read_options(KubeOptions, {"cpus_per_node": 4})
