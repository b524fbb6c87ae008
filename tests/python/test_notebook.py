"""docs/notebook.ipynb runs from the first cell to the last, in a Python of its own as in a kernel."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from forked_workers import Forks

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"
CELLS: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def run_cell(source: str, names: dict[str, Any]) -> Any:
    """Execute a cell, and return the value of its last line where that is an expression."""
    body = ast.parse(source).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), str(NOTEBOOK), "exec"), names)
    if isinstance(last, ast.Expr):
        return eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), names)
    return None


def shown(value: Any) -> str:
    """What a notebook shows of it."""
    return str(value._repr_html_()) if hasattr(value, "_repr_html_") else repr(value)


def test_it_holds_no_output() -> None:
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in CELLS)


@pytest.mark.slow
def test_it_runs_and_shows_what_it_says(
    ray_cluster: None, forks: Forks, corpus_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {"GLOSSTUNE_CACHE": str(corpus_cache), **forks.environment}.items():
        monkeypatch.setenv(name, value)
    names: dict[str, Any] = {}
    pages = [shown(run_cell("".join(cell["source"]), names)) for cell in CELLS if cell["cell_type"] == "code"]
    assert "preparing" in pages[1] or "running" in pages[1]
    ended, resumed = (page for page in pages if "<img" in page)
    assert "notebook: 2 trials" in ended and "notebook: 3 trials" in resumed
    assert (tmp_path / "runs" / "notebook" / "report.html").is_file()
    assert names["running"].poll().state == "ended"
