"""What `pip install glosstune` installs: built from the sources, and run where there is no checkout."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from packages import find_packages
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML
from sweep_folder import SweepFolder
from tables import ROWS, recorded, write_csv

import glosstune

ROOT = Path(__file__).parents[1]
EPOCH = "1764460800"


def copy_sources(folder: Path) -> Path:
    """The checkout as git sees it, without what was built or run in it."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if not os.path.lexists(ROOT / name):
            continue  # deleted, which git has yet to be told
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name, follow_symlinks=False)
    return folder


def seen_by_docker(folder: Path) -> Path:
    """The checkout as .dockerignore leaves it."""
    allowed = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), flags=re.MULTILINE)
    for path in copy_sources(folder).iterdir():
        if path.name not in allowed:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


def build(sources: Path, into: Path, umask: int) -> tuple[Path, Path]:
    """The sdist, and the wheel that is built from it."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(into), str(sources)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH}
    built = subprocess.run(command, env=environment, umask=umask, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (sdist,), (wheel,) = into.glob("*.tar.gz"), into.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build(copy_sources(tmp_path_factory.mktemp("sources")), tmp_path_factory.mktemp("dist"), 0o022)


def requirements_of(name: str, extras: frozenset[str] = frozenset()) -> Iterator[Requirement]:
    """What a distribution that is installed here asks for, with these extras of it."""
    for line in metadata.requires(name) or ():
        asked = Requirement(line)
        if not asked.marker or any(asked.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield asked


def closure(name: str) -> set[str]:
    """Everything that `pip install` of a distribution brings, by the names of what is installed here."""
    seen: set[tuple[str, frozenset[str]]] = set()
    left = list(requirements_of(name))
    while left:
        asked = left.pop()
        key = (canonicalize_name(asked.name), frozenset(asked.extras))
        if key not in seen:
            seen.add(key)
            left += requirements_of(asked.name, key[1])
    return {name for name, _ in seen}


@pytest.fixture(scope="module")
def bare(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment with the wheel and what it requires, of no extra, and nothing else."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, symlinks=True)
    bin_folder = folder / ("Scripts" if os.name == "nt" else "bin")
    command = [sys.executable, "-m", "pip", "--python", str(bin_folder / "python"), "install", "--quiet", "--no-deps"]
    subprocess.run([*command, "--no-index", str(built[1])], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    # Linked, not installed: torch alone would take longer than all that is tested here.
    for name in closure("glosstune"):
        for file in metadata.distribution(name).files or ():
            if file.parts[0] not in ("..", "__pycache__") and not os.path.lexists(site / file.parts[0]):
                (site / file.parts[0]).symlink_to(Path(str(file.locate())).parents[len(file.parts) - 1] / file.parts[0])
    return bin_folder


def run(bare: Path, folder: Path, *command: str, status: int = 0) -> str:
    """What a command of the environment prints, run from a folder with nothing of the checkout in sight."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    environment = {**kept, "HOME": str(folder), "PATH": f"{bare}{os.pathsep}{os.defpath}", "COLUMNS": "120"}
    program = str(bare / command[0])
    ran = subprocess.run(
        [program, *command[1:]], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == status, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.slow
def test_the_same_sources_make_the_same_bytes_later_under_another_umask_and_in_a_container(built, tmp_path):
    again = build(seen_by_docker(tmp_path / "sources"), tmp_path / "dist", 0o077)
    assert [digest(path) for path in again] == [digest(path) for path in built]


@pytest.mark.slow
def test_the_wheel_holds_the_packages_with_their_files_and_nothing_else(built):
    with zipfile.ZipFile(built[1]) as wheel:
        inside = {name for name in wheel.namelist() if ".dist-info/" not in name}
        assert {entry.external_attr >> 16 & 0o777 for entry in wheel.infolist()} == {0o644}
    source = ROOT / "src"
    wanted = {
        path.relative_to(source).as_posix()
        for name, folder in find_packages().items()
        for path in (source / name.replace(".", "/")).glob("*")
        if path.suffix == ".py"
    }
    data = inside - wanted
    assert wanted <= inside
    assert "glosstune/py.typed" in data
    assert "glosstune/search/scheduler/experience/packaged.json" in data
    for folder in ("search/config/sweeps", "results/report/assets"):
        there = {f"glosstune/{folder}/{path.name}" for path in (ROOT / folder).iterdir() if path.suffix != ".py"}
        assert there and there <= data
        data -= there
    assert data == {"glosstune/py.typed", "glosstune/search/scheduler/experience/packaged.json"}


@pytest.mark.slow
def test_the_sdist_holds_what_builds_the_wheel_and_no_tests(built):
    with tarfile.open(built[0]) as sdist:
        names = [name.split("/", 1)[1] for name in sdist.getnames() if "/" in name]
        assert {(entry.uid, entry.gid, entry.uname, entry.mtime) for entry in sdist} == {(0, 0, "", int(EPOCH))}
    assert {"pyproject.toml", "setup.cfg", "release/backend.py", "LICENSE", "CITATION.cff", "CHANGELOG.md"} <= set(
        names
    )
    assert [name for name in names if name.split("/")[0] in ("tests", "benchmarks", "docs", ".venv", ".ci")] == []


@pytest.mark.slow
def test_the_installed_package_says_its_versions_and_devices(bare, tmp_path):
    lines = run(bare, tmp_path, "glosstune", "--version").splitlines()
    assert lines[0] == f"glosstune {glosstune.__version__}"
    for name in ("torch", "ray", "optuna"):
        assert f"{name} {metadata.version(name)}" in lines
    assert lines[-1].startswith("devices: ") and lines[-1].endswith(" CPUs")


@pytest.mark.slow
def test_the_installed_package_writes_and_checks_a_sweep(bare, tmp_path):
    assert "space.learning_rate=" in run(bare, tmp_path, "glosstune", "keys", "learning rate")
    run(bare, tmp_path, "glosstune", "init", "student", "my.yaml")
    write_csv(tmp_path / "table.csv", ROWS)
    (tmp_path / "clips").mkdir()
    for row in ROWS:
        np.save(tmp_path / str(row["path"]), recorded())
    own = ("corpus.kind=table", "corpus.root=table.csv", "corpus.layout=base")
    told = run(bare, tmp_path, "glosstune", "sweep", "my.yaml", *own, "--check")
    assert "2 train, 1 dev" in told


@pytest.mark.slow
def test_without_the_extra_of_the_demo_a_line_names_it(bare, tmp_path):
    told = run(bare, tmp_path, "glosstune", "sweep", "--check", status=1)
    assert 'pip install "glosstune[demo]"' in " ".join(told.split())


@pytest.mark.slow
def test_the_installed_package_reads_results_and_writes_the_report(bare, tmp_path):
    sweep = SweepFolder(tmp_path / "sweep")
    for trial, wer in enumerate((0.8, 0.4, 0.5, 0.6)):
        sweep.start(trial, learning_rate=10.0**-trial, dropout=0.1 * trial)
        sweep.report(trial, 1, 10.0 * trial, wer=wer, train_loss=2.0)
        sweep.end(trial, "finished", "finished")
    assert "40.0" in run(bare, tmp_path, "glosstune", "results", "sweep")
    run(bare, tmp_path, "glosstune", "report", "sweep", "--out", "a.html")
    page, assets = (tmp_path / "a.html").read_text(encoding="utf-8"), ROOT / "results" / "report" / "assets"
    assert (assets / "filter.js").read_text(encoding="utf-8").splitlines()[0] in page


ALL = """
import importlib, pkgutil, sys
import glosstune
for found in pkgutil.walk_packages(glosstune.__path__, "glosstune."):
    if found.name.split(".")[-1] not in ("__main__", "fused_normalisation"):  # the second is imported for CUDA alone
        importlib.import_module(found.name)
print(*{module.__file__ for name, module in sys.modules.items() if name.split(".")[0] == "glosstune"}, sep="\\n")
"""


@pytest.mark.slow
def test_every_installed_module_is_imported_without_an_extra_and_from_where_it_was_installed(bare, tmp_path):
    files = run(bare, tmp_path, "python", "-c", ALL).splitlines()
    assert len(files) > 200
    assert [file for file in files if bare.parent not in Path(file).parents] == []


def test_one_version_is_told_everywhere():
    version = glosstune.__version__
    cited = YAML(typ="safe").load(ROOT / "CITATION.cff")
    heading = re.search(r"^## \[(\d[^]]*)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), flags=re.MULTILINE)
    assert heading is not None and heading.groups() == (version, str(cited["date-released"]))
    assert cited["version"] == version == metadata.version("glosstune")


def test_the_image_is_of_a_base_of_the_users_and_runs_without_root():
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    said = [line.partition(" ")[::2] for line in lines]
    assert next(what for word, what in said if word == "FROM") == "${BASE} AS environment"
    torch, uid = (what.split("=")[1] for word, what in said if word == "ARG" and what.startswith(("UID=", "TORCH=")))
    assert [what for word, what in said if word == "USER"] == ["${UID}"] and int(uid) > 0
    assert re.findall(r"^TORCH \?= (\S+)$", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE) == [torch]
