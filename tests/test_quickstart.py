import re
from pathlib import Path

import pytest

QUICKSTART = Path(__file__).parents[1] / "docs" / "quickstart.md"


@pytest.mark.slow
def test_the_python_examples_run_as_they_are_printed(
    ray_cluster: None,
    corpus_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("glosstune.trainables.corpora.opening.default_cache", lambda: corpus_cache)
    blocks = re.findall(r"```python\n(.*?)```", QUICKSTART.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 2
    names: dict[str, object] = {}
    for code in blocks:
        exec(compile(code, str(QUICKSTART), "exec"), names)
    printed = capsys.readouterr().out
    assert "best: trial" in printed and "wer_best" in printed and "best.pt" in printed and "report.html" in printed
    assert len(list((tmp_path / "sweeps").iterdir())) == 1
