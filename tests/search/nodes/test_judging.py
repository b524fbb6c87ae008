import json
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from glosstune.search import Sweep, load_sweep
from glosstune.search.nodes import probe
from glosstune.search.nodes.judging import Node, Verdict, ask_about, judge, read_answer, read_requirements
from glosstune.search.nodes.probe import MARK, can_write, find_parent, find_version, look
from glosstune.spaces import SettingError

NEEDED = [Requirement(line) for line in ("optuna>=5.0,<6", "jiwer>=4.0,<5", "ray[tune]>=2.60,<3")]
HERE = {one.name: find_version(one.name) for one in NEEDED}
HEAD = Node("head", driver=True, cpu=4, gpu=0, python=platform.python_version(), versions=HERE)
WORKER = replace(HEAD, host="worker", driver=False, cpu=8, gpu=2)
PLACE = "/shared/a"


def verdict(*nodes: Node, sweep: Sweep | None = None) -> Verdict:
    return judge(nodes, sweep or load_sweep("student"), NEEDED)


def lacking(node: Node, **versions: str | None) -> Node:
    return replace(node, versions={**node.versions, **versions})


def test_a_cluster_like_this_machine_passes_without_a_word() -> None:
    assert verdict(HEAD, WORKER) == Verdict([], [])


def test_one_line_names_all_that_is_to_be_installed_and_where() -> None:
    found = verdict(lacking(HEAD, optuna="4.9.0", jiwer=None), lacking(WORKER, optuna="4.9.0", jiwer=None))
    assert found.refusals == ["install on head, worker: 'optuna<6,>=5.0' 'jiwer<5,>=4.0'"]
    assert found.lines()[1].split() == ["package", "here", "there", "nodes"]
    assert [part in "\n".join(found.lines()) for part in ("optuna", "4.9.0", "missing", "head, worker")] == [True] * 4


def test_another_version_that_will_do_is_only_noted() -> None:
    found = verdict(lacking(HEAD, optuna="5.99.1"))
    assert found.refusals == []
    assert [(each.package, each.there, each.nodes) for each in found.differences] == [("optuna", "5.99.1", ("head",))]


@pytest.mark.parametrize(
    ("node", "asked"),
    [
        (lacking(HEAD, ray="2.99.0"), f"'ray=={HERE['ray']}'"),
        (replace(HEAD, python="3.99.1"), f"'Python {'.'.join(platform.python_version_tuple()[:2])}'"),
    ],
)
def test_another_ray_or_minor_version_of_python_is_refused(node: Node, asked: str) -> None:
    assert verdict(node).refusals == [f"install on head: {asked}"]


def test_another_patch_of_python_is_only_noted() -> None:
    major, minor, _ = platform.python_version_tuple()
    found = verdict(replace(HEAD, python=f"{major}.{minor}.99"))
    assert (found.refusals, len(found.differences)) == ([], 1)


def test_what_no_node_can_give_is_refused_with_what_there_is() -> None:
    found = verdict(HEAD, WORKER, sweep=load_sweep("student", ["resources.gpu=4"]))
    there = "(head: 4 CPUs, 0 GPUs; worker: 8 CPUs, 2 GPUs); where one will join, say --wait-for-nodes"
    assert found.refusals == [f"resources.gpu: a trial asks for 4, but no node has more than 2 {there}"]


def test_what_a_node_may_bring_that_joins_is_waited_for() -> None:
    found = judge([HEAD], load_sweep("student", ["resources={cpu: 64, gpu: 1}"]), NEEDED, may_join=True)
    assert found.refusals == []


def test_cpus_and_gpus_have_to_be_on_one_node() -> None:
    nodes = replace(HEAD, cpu=16), replace(WORKER, cpu=1)
    found = verdict(*nodes, sweep=load_sweep("student", ["resources={cpu: 4, gpu: 1}"]))
    assert found.refusals == [
        "resources: no node has both the CPUs and the GPUs that a trial asks for "
        "(head: 16 CPUs, 0 GPUs; worker: 1 CPUs, 2 GPUs); where one will join, say --wait-for-nodes"
    ]


def test_nodes_where_no_trial_fits_may_lack_anything_but_the_driver_may_not() -> None:
    sweep = load_sweep("student", ["resources.cpu=6"])
    other = lacking(replace(HEAD, host="other", driver=False), jiwer=None)
    assert verdict(HEAD, WORKER, other, sweep=sweep).refusals == []
    assert verdict(lacking(HEAD, jiwer=None), WORKER, sweep=sweep).refusals == ["install on head: 'jiwer<5,>=4.0'"]


@pytest.mark.parametrize(
    ("paths", "rule"),
    [("missing", "is not there"), ("closed", "cannot be written"), ("unshared", "is another folder there")],
)
def test_paths_that_a_node_lacks_are_refused_with_its_name(paths: str, rule: str) -> None:
    (refusal,) = verdict(HEAD, replace(WORKER, **{paths: [PLACE]})).refusals  # type: ignore[arg-type]  # a str key
    assert refusal.startswith(f"{PLACE} {rule}")
    assert refusal.endswith(": worker")


def test_a_node_that_did_not_answer_is_refused() -> None:
    silent = Node("worker", driver=False, cpu=8, gpu=2, error="does not answer")
    assert verdict(HEAD, silent).refusals == ["worker: could not be looked at: does not answer"]


def test_files_that_trials_begin_from_have_to_be_where_the_driver_is_alone() -> None:
    sweep = load_sweep("teacher-own", ["pretrained=/w.safetensors", "corpus.root=/data"])
    lacking = replace(WORKER, missing=["/w.safetensors", "/data"])
    (refusal,) = verdict(HEAD, lacking, sweep=sweep).refusals
    assert refusal.startswith("/data is not there")
    (refusal,) = verdict(replace(HEAD, missing=["/w.safetensors"]), WORKER, sweep=sweep).refusals
    assert refusal.startswith("/w.safetensors is not there")


def test_requirements_follow_what_the_sweep_uses() -> None:
    plain = {one.name for one in read_requirements(load_sweep("student-own", ["corpus.root=/data"]), PLACE)}
    assert {"torch", "ray", "optuna"} <= plain
    assert not {"spoken-to-signed", "wandb", "pytest"} & plain
    embedded = {one.name for one in read_requirements(load_sweep("student", ["tracking=wandb"]), "s3://bucket/a")}
    assert embedded - plain == {"spoken-to-signed", "pose-format", "wandb", "boto3"}


def test_the_probe_is_asked_for_every_path_of_the_sweep() -> None:
    overrides = ["corpus.root=/data", "pretrained=/w.safetensors", "space.strategy=full-finetune"]
    overrides += ["search.warm_start=[/runs/a]", "corpus.cache=/cache"]
    question = ask_about(load_sweep("student-own", overrides), PLACE, NEEDED)
    assert question["packages"] == ["jiwer", "optuna", "ray"]
    assert question["read"] == ["/data", "/w.safetensors", "/runs/a"]
    assert question["write"] == [PLACE, "/cache"]
    assert question["shared"] == [PLACE]


def test_a_place_on_s3_is_no_path_of_a_node() -> None:
    question = ask_about(load_sweep("student"), "s3://bucket/runs/a", NEEDED)
    assert question["write"] == question["shared"] == []


def test_a_place_that_its_rights_alone_allow_is_closed(
    ray_cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**where: object) -> None:
        raise OSError("no")

    monkeypatch.setattr(probe.tempfile, "mkstemp", refuse)
    place = str(tmp_path / "a")
    (node,) = probe.ask_nodes({"packages": [], "read": [], "write": [place], "shared": [place]})["nodes"]
    assert (node["closed"], node["unshared"]) == ([place], [])


def test_a_node_tells_what_it_has(tmp_path: Path) -> None:
    here, marker = tmp_path / "here", tmp_path / "marker"
    here.touch()
    marker.touch()
    question = {
        "packages": ["optuna", "no-such-package"],
        "read": [str(here), str(tmp_path / "gone")],
        "write": [str(tmp_path / "new" / "sweep"), str(here / "below-a-file")],
    }
    told = look(question, {"/a": str(marker), "/b": str(tmp_path / "elsewhere")})
    assert told == {
        "python": platform.python_version(),
        "versions": {"optuna": find_version("optuna"), "no-such-package": None},
        "missing": [str(tmp_path / "gone")],
        "closed": [str(here / "below-a-file")],
        "unshared": ["/b"],
    }


@given(st.lists(st.text("ab", min_size=1, max_size=3), max_size=5))
def test_the_parent_of_a_place_is_there_and_above_it(parts: list[str]) -> None:
    path = Path("/", *parts)
    parent = find_parent(path)
    assert parent.exists() and path.is_relative_to(parent)
    assert can_write(path) <= parent.is_dir()


@given(st.lists(st.builds(Node, host=st.text(), driver=st.booleans(), cpu=st.floats(0, 99), gpu=st.floats(0, 9))))
def test_the_answer_is_found_among_what_else_a_log_holds(nodes: list[Node]) -> None:
    told: dict[str, Any] = {"nodes": [vars(node) for node in nodes]}
    found = read_answer(f"Runtime env is setting up.\n{MARK}{json.dumps(told)}\nconnection closed\n")
    assert [replace(node, missing=(), closed=(), unshared=()) for node in found] == nodes


@pytest.mark.parametrize(
    ("log", "rule"),
    [
        ("", "could not be looked at: its log is empty"),
        ("setting up\nsh: 1: python: not found\n", "could not be looked at: sh: 1: python: not found; start Ray where"),
        (f'{MARK}{{"error": "/usr/bin/python cannot import Ray"}}', "`python` is not Ray's: /usr/bin/python cannot"),
    ],
)
def test_a_probe_that_saw_nothing_says_why(log: str, rule: str) -> None:
    with pytest.raises(SettingError, match=rule):
        read_answer(log)
