from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glosstune.search.jobs import known_jobs as jobs
from glosstune.search.jobs.known_jobs import Job, list_jobs, recall, remember
from glosstune.spaces.errors import FolderError

RAY = Job("ray", "/shared/a", "2026-05-04T10:15:00+00:00", "glosstune submit a.yaml", address="http://head:8265")
text = st.text(max_size=20)


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(jobs, "user_state_path", lambda name: tmp_path / name)
    return tmp_path / "glosstune" / "jobs.json"


def test_nothing_is_remembered_at_first() -> None:
    assert list_jobs() == {}
    assert recall("a") is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.dictionaries(text, st.builds(Job, text, text, text, text, st.none() | text, st.none() | text), max_size=4))
def test_what_is_remembered_is_recalled_in_order(file: Path, given_jobs: dict[str, Job]) -> None:
    file.unlink(missing_ok=True)
    for name, job in given_jobs.items():
        remember(name, job)
    assert list(list_jobs().items()) == list(given_jobs.items())


def test_the_last_job_of_a_name_counts() -> None:
    remember("a", RAY)
    remember("a", Job("slurm", "/shared/b", RAY.submitted, "glosstune resume /shared/b", id="17"))
    job = recall("a")
    assert job is not None and (job.kind, job.id) == ("slurm", "17")


@pytest.mark.parametrize("content", ["{", "[1]", '{"a": {"unknown": 1}}', '{"a": 1}'])
def test_a_damaged_memory_names_its_file_and_the_way_out(file: Path, content: str) -> None:
    file.parent.mkdir()
    file.write_text(content)
    with pytest.raises(FolderError, match=r"cannot be read as the list of submitted jobs .* remove it") as told:
        list_jobs()
    assert str(told.value).startswith(str(file))
