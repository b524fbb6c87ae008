"""What the tests of the search share."""

import sys
from collections.abc import Callable

import pytest

from glosstune.search import command_line


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run the command as a shell would and give its exit status."""

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["glosstune", *arguments])
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        return int(ended.value.code or 0)

    return run
