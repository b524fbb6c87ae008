import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest
from packages import SRC, find_packages

from glosstune.search import load_sweep
from glosstune.search.jobs import staging
from glosstune.search.jobs.staging import stage
from glosstune.spaces import SettingError

ROOT = Path(__file__).parents[3]


def test_all_packages_and_their_data_are_sent_and_nothing_else(tmp_path: Path) -> None:
    staged = stage(load_sweep("student"), tmp_path)
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    wanted = set()
    for package, folder in find_packages().items():
        data = parser["options.package_data"].get(package)
        for pattern in ("*.py", *(data.split(", ") if data else ())):
            wanted |= {path.relative_to(SRC / "glosstune").as_posix() for path in folder.glob(pattern)}
    sent = {path.relative_to(staged.package).as_posix() for path in staged.package.rglob("*") if path.is_file()}
    assert sent == wanted
    assert (staged.package / "search" / "config" / "sweeps" / "student.yaml").is_file()


def test_what_is_sent_runs_without_the_checkout(tmp_path: Path) -> None:
    staged = stage(load_sweep("student"), tmp_path)
    told = subprocess.run(
        # Without the path of the editable install, which would lend it what was forgotten.
        [sys.executable, "-c", f"import sys; sys.path[:] = [p for p in sys.path if p != {str(SRC)!r}]; "
         "from glosstune.search import load_sweep; import glosstune; "
         "print(glosstune.__file__, load_sweep('sweep.yaml').name)"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=staged.working_dir,
        capture_output=True,
        text=True,
        check=True,
    )  # fmt: skip
    assert told.stdout.split() == [str(staged.package / "__init__.py"), "student"]


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module and a package of somebody's own, on Python's path."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_module.py").write_text("def rule(curve, grace_epochs, settings): ...")
    (folder / "own_package" / "__pycache__").mkdir(parents=True)
    (folder / "own_package" / "__init__.py").write_text("from own_package.rules import rule")
    (folder / "own_package" / "rules.py").write_text((folder / "own_module.py").read_text())
    (folder / "own_package" / "words.txt").write_text("REGEN")
    monkeypatch.syspath_prepend(str(folder))
    return folder


RULES = "stopping.rules=[own_module:rule, own_package:rule, own_package.rules:rule]"


def test_modules_and_packages_of_the_users_own_are_sent_beside_the_sweep(own: Path, tmp_path: Path) -> None:
    staged = stage(load_sweep("student", [RULES, "search.sampler=optuna.samplers:QMCSampler"]), tmp_path)
    sent = {path.relative_to(staged.working_dir).as_posix() for path in staged.files() if "work" in path.parts}
    assert sent == {
        "sweep.yaml",
        "own_module.py",
        "own_package/__init__.py",
        "own_package/rules.py",
        "own_package/words.txt",
    }


def test_the_sweep_that_is_sent_is_the_same_with_every_path_absolute(tmp_path: Path) -> None:
    sweep = load_sweep("student-own", ["corpus.root=here", "search.samples=3"])
    staged = stage(sweep, tmp_path)
    assert load_sweep(staged.working_dir / "sweep.yaml") == sweep
    assert sweep.corpus.root == Path.cwd() / "here"


def test_too_much_is_refused_with_size_and_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "LIMIT_MIB", 0.1)
    with pytest.raises(SettingError, match=r"\d MiB are to be sent, .* at most 0\.1 MiB; the largest file is \w+\.\w+"):
        stage(load_sweep("student"), tmp_path)
