"""What docs/security.md promises of strangers is tested, by the tests that it names."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROMISES = re.split(
    r"^- ", (ROOT / "docs" / "security.md").read_text().split("## What strangers may send")[1], flags=re.M
)


def test_every_promise_names_tests_that_are_there() -> None:
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    there = set(re.findall(r"^def (test_\w+)\(", tests, re.M))
    assert len(PROMISES) > 10
    for promise in PROMISES[1:]:
        named = set(re.findall(r"`(test_\w+)`", promise))
        assert named, promise
        assert named <= there, promise
