import re
from pathlib import Path

import pytest

QUICKSTART = Path(__file__).parents[1] / "docs" / "quickstart.md"


@pytest.mark.slow
def test_the_python_example_runs_as_it_is_printed(
    ray_cluster: None,
    corpus_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("glosstune.trainables.corpora.opening.default_cache", lambda: corpus_cache)
    (code,) = re.findall(r"```python\n(.*?)```", QUICKSTART.read_text(encoding="utf-8"), flags=re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, str(QUICKSTART), "exec"), names)
    printed = capsys.readouterr().out
    assert "wer_best" in printed and "best.pt" in printed
    assert len(list((tmp_path / "sweeps").iterdir())) == 1
