"""Whatever is started here asks for a token, which is nobody else's to read."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from glosstune.search.nodes.tokens import ask_for_tokens

# What runs on a machine without any setting of Ray's.
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, and none of Ray's settings."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_a_token_is_made_for_its_user_alone_and_kept(home: Path) -> None:
    said: list[str] = []
    ask_for_tokens(said.append)
    path = home / ".ray" / "auth_token"
    token = path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(bytes.fromhex(token)) == 32
    ask_for_tokens(said.append)
    assert path.read_text() == token
    assert [each.name for each in path.parent.iterdir()] == ["auth_token"]
    assert said == []


def test_a_token_that_others_can_read_is_told(home: Path) -> None:
    (home / ".ray").mkdir()
    path = home / ".ray" / "auth_token"
    path.write_text("made by Ray")
    path.chmod(0o644)
    said: list[str] = []
    ask_for_tokens(said.append)
    assert said == [f"warning: {path}: others here may read this token, and with it run code as you; chmod 600 it"]
    assert path.read_text() == "made by Ray"


@pytest.mark.parametrize(
    ("name", "value"),
    [("RAY_AUTH_MODE", "disabled"), ("RAY_AUTH_TOKEN", "t"), ("RAY_AUTH_TOKEN_PATH", "t")],
)
def test_no_token_is_made_where_none_is_needed(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    ask_for_tokens(print)
    assert not (home / ".ray").exists()


def test_no_token_is_made_for_a_cluster_that_has_one(home: Path) -> None:
    said: list[str] = []
    ask_for_tokens(said.append, "head:6379")
    assert not (home / ".ray").exists()
    assert said == []


START = """
from ray._raylet import AuthenticationMode, get_authentication_mode
from glosstune.search.nodes.resources import start_ray
start_ray()
print(get_authentication_mode() == AuthenticationMode.TOKEN)
"""
ASK = "from glosstune.search.nodes.tokens import ask_for_tokens\nask_for_tokens(print)\n"


@pytest.mark.slow
@pytest.mark.parametrize("before", [ASK, f"import ray\n{ASK}"], ids=["first", "after Ray"])
def test_ray_asks_for_a_token_whenever_it_was_imported(tmp_path: Path, before: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", before + START],
        env={**CLEAN, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.stdout.splitlines()[-1:] == ["True"], ran.stderr
    assert stat.S_IMODE((tmp_path / ".ray" / "auth_token").stat().st_mode) == 0o600


GATE = """
import os, sys
class Gate:
    def find_spec(self, name, path=None, target=None):
        if name == "ray":
            print("ray:", os.environ.get("RAY_AUTH_MODE"), flush=True)
sys.meta_path.insert(0, Gate())
from glosstune.search.cli.main import main
main()
"""


@pytest.mark.parametrize("command", ["sweep", "resume"])
def test_the_mode_is_set_before_ray_is_imported(command: str, tiny: list[str], ended: Path, tmp_path: Path) -> None:
    arguments = [str(ended), "--samples", "+1"] if command == "resume" else [*tiny, "--out", str(tmp_path / "a")]
    ran = subprocess.run(
        [sys.executable, "-c", GATE, command, *arguments],
        env={**CLEAN, "RAY_ADDRESS": "127.0.0.1:1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (ran.returncode, ran.stdout.splitlines()[:1]) == (2, ["ray: token"]), ran.stderr
