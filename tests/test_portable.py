"""What would keep the package from running on Windows or macOS, as far as it can be seen on Linux."""

import ast
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
from packages import find_packages

from glosstune.background import BackgroundSweep
from glosstune.search.cli import main
from glosstune.search.config.loading import load_sweep
from glosstune.search.jobs.options import find_place
from glosstune.search.storage.sweep_folder import SweepFolder
from glosstune.spaces.errors import Interrupted, SettingError, quoted
from glosstune.spaces.files.addresses import is_uri, join
from glosstune.spaces.files.locks import lives

FILES = [path for folder in find_packages().values() for path in sorted(folder.glob("*.py"))]

# First as it is, which loads all libraries; then our modules alone, again, as Windows would have them.
AS_ON_WINDOWS = """
import pkgutil, subprocess, sys
from importlib.util import find_spec

LEFT_OUT = ("__main__", *["fused_normalisation"] * (find_spec("triton") is None))

def load():
    import glosstune
    for module in pkgutil.walk_packages(glosstune.__path__, "glosstune."):
        if not module.name.endswith(LEFT_OUT):
            __import__(module.name)
    ours = [name for name in sys.modules if name.partition(".")[0] == "glosstune"]
    return [sys.modules.pop(name).__name__ for name in ours]

as_here = load()
for name in ("fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"):
    sys.modules[name] = None
subprocess.CREATE_NEW_PROCESS_GROUP = 0x200
sys.platform = "win32"
assert sorted(load()) == sorted(as_here)
print(len(as_here))
"""


def test_every_module_can_be_imported_without_what_windows_lacks() -> None:
    done = subprocess.run([sys.executable, "-c", AS_ON_WINDOWS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= len(FILES) - 1  # all but __main__


def unnamed_encodings(path: Path) -> Iterator[str]:
    """The calls in a file that read or write text in whatever encoding the machine has."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or any(keyword.arg in ("encoding", None) for keyword in node.keywords):
            continue
        attribute = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        called = attribute or (node.func.id if isinstance(node.func, ast.Name) else "")
        modes = [
            each.value for each in [*node.args, *(k.value for k in node.keywords)] if isinstance(each, ast.Constant)
        ]
        text = called == "open" and any(mode in modes for mode in ("r", "w", "a", "x", "r+", "w+"))
        if text or attribute in ("read_text", "write_text"):
            yield f"{path.name}:{node.lineno}"


def test_no_text_is_read_or_written_in_the_encoding_of_the_machine() -> None:
    assert [place for path in FILES for place in unnamed_encodings(path)] == []


@pytest.mark.parametrize("place", [r"C:\runs\a", "C:/runs/a", "c://runs/a", r"\\server\runs\a", r"D:\Gebärden 2 = a\b"])
def test_a_path_of_windows_is_no_address(place: str) -> None:
    assert not is_uri(place) and not is_uri(str(PureWindowsPath(place)))


def test_addresses_are_told_from_paths() -> None:
    assert is_uri("s3://bucket/runs") and is_uri("gs://bucket") and not is_uri("runs/a")
    assert join("s3://bucket/runs?region=x", "a") == "s3://bucket/runs/a?region=x"


@pytest.mark.parametrize("place", [r"C:\runs\a", r"D:\Gebärden 2\a=b", r"\\server\runs\a"])
def test_an_override_takes_a_path_of_windows_as_it_is(place: str) -> None:
    assert str(load_sweep(None, [f"corpus.root={place}"]).corpus.root).endswith(place)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (r"C:\runs\a", r"C:\runs\a"),
        ("search.samples=+32", "search.samples=+32"),
        (r"C:\my runs\a", r'"C:\my runs\a"'),
        ("C:\\my runs\\", '"C:\\my runs\\\\"'),
        ("corpus.layout={pose: [1, 2]}", '"corpus.layout={pose: [1, 2]}"'),
        ('say "no"', r'"say \"no\""'),
        ("", '""'),
        ("it's", '"it\'s"'),
        ("a,b", '"a,b"'),  # which PowerShell would take for two
    ],
)
def test_commands_for_windows_are_quoted_as_its_programs_read_them(
    monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert quoted(text) == said


@pytest.mark.parametrize("place", ["/shared/runs/a", r"C:\runs\a", "s3://bucket/a"])
def test_submitting_from_windows_says_where_to_submit_from(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(SettingError, match="WSL2"):
        find_place(load_sweep("teacher"), "a", place)


def test_on_windows_no_process_is_asked_whether_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: asked.append(pid))
    assert lives(os.getpid()) is True
    monkeypatch.setattr(sys, "platform", "win32")
    assert lives(os.getpid()) is None
    assert asked == [os.getpid()]


def test_a_sweep_in_the_background_hears_ctrl_break_on_windows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    process = SimpleNamespace(send_signal=MagicMock(), poll=lambda: None, wait=lambda timeout_s: 0)
    started = MagicMock(return_value=process)
    monkeypatch.setattr(subprocess, "Popen", started)
    monkeypatch.setattr(signal, "CTRL_BREAK_EVENT", 1, raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    BackgroundSweep(SweepFolder(tmp_path), ["sweep"]).stop()
    process.send_signal.assert_called_once_with(1)
    assert started.call_args.kwargs["env"]["PYTHONIOENCODING"] == "utf-8"


def test_whoever_is_interrupted_on_windows_can_paste_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    told = str(Interrupted(r"C:\my runs\a", signal.SIGINT))
    assert told.endswith(r'glosstune resume "C:\my runs\a"')


def test_no_output_fails_for_a_sign_that_its_encoding_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="cp1252", write_through=True) for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    monkeypatch.setattr(main, "app", lambda: [print("ä ✓ ▁", file=stream) for stream in (sys.stdout, sys.stderr)])
    main.main()
    assert [stream.buffer.getvalue().decode("cp1252").split() for stream in streams] == [["ä", "?", "?"]] * 2


def test_a_name_that_is_no_text_gets_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(main, "app", lambda: "l\udcc3".encode())
    with pytest.raises(SystemExit, match="2"):
        main.main()
    assert "PYTHONUTF8=1" in capsys.readouterr().err
