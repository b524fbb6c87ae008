from pathlib import Path

import ray
from pytest import MonkeyPatch

from glosstune.search import load_sweep
from glosstune.search.nodes import attaching, judging


def test_a_driver_that_was_sent_with_a_job_looks_at_the_nodes_without_being_installed(monkeypatch: MonkeyPatch) -> None:
    def lacking(name: str) -> list[str]:
        raise judging.metadata.PackageNotFoundError(name)

    here = {"host": "a", "driver": True, "cpu": 2, "gpu": 0, "python": judging.platform.python_version()}
    asked = []
    monkeypatch.setattr(judging.metadata, "requires", lacking)
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True}, {"Alive": True}])
    monkeypatch.setattr(attaching, "ask_nodes", lambda question: asked.append(question) or {"nodes": [here]})
    attaching.check_nodes(load_sweep("student"), "/shared/a", print)
    assert asked[0]["packages"] == []
    assert asked[0]["shared"] == ["/shared/a"]


def test_parts_of_the_users_own_go_to_the_cluster_with_the_package(monkeypatch: MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "own_sampler.py").write_text("class Own: ...")
    sent = []
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda runtime_env, **known: sent.extend(runtime_env["py_modules"]))
    attaching.attach("head:6379", ["own_sampler:Own", "optuna.samplers:GPSampler"])
    assert [Path(path).name for path in sent] == ["glosstune", "own_sampler.py"]
