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
