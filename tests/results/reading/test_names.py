"""The name of a file in a sweep's folder is spelled in one module."""

import ast
from pathlib import Path

from glosstune.results.reading import names

ROOT = Path(__file__).parents[3]
# A packed corpus has a file of the name of one of a confirmation.
OTHERS = {("trainables/corpora/store.py", "utterances.parquet")}


def spelled(source: Path) -> set[str]:
    """The words in a module that are strings, docstrings and sentences left out."""
    strings = (node.value for node in ast.walk(ast.parse(source.read_text("utf-8"))) if isinstance(node, ast.Constant))
    return {part for text in strings if isinstance(text, str) and " " not in text for part in text.split("/")}


def test_no_other_module_spells_the_name_of_a_file() -> None:
    files = {
        value for value in vars(names).values() if isinstance(value, str) and "." in value[1:-1] and "\n" not in value
    }
    files -= {names.__name__, names.__file__, names.__package__}
    assert {"record.jsonl", "sweep.yaml", "best.pt"} <= files
    found = {
        (str(path.relative_to(ROOT)), name)
        for part in ("results", "trainables", "search")
        for path in (ROOT / part).rglob("*.py")
        if path != Path(names.__file__).resolve()
        for name in spelled(path) & files
    }
    assert found - OTHERS == set()
