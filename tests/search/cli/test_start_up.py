"""What the command line and the packages import before it is needed."""

import json
import subprocess
import sys

import pytest
import typer.main
from sweep_folder import SweepFolder

from glosstune.search.cli.main import app

# Each of them takes a tenth of a second to several seconds. Not pydantic, with which typer itself reads options; but
# the models of a sweep file are made with it.
SLOW = {"jiwer", "matplotlib", "numpy", "optuna", "pandas", "plotly", "pyarrow", "ray", "rich", "torch"}
SLOW |= {"glosstune.search.config.sweep", "glosstune.trainables.settings"}
COMMANDS = sorted(typer.main.get_command(app).commands)

RUN = """
import json, sys
from glosstune.search.cli.main import main

for arguments in json.loads(sys.argv[1]):
    sys.argv = ["glosstune", *arguments]
    try:
        main()
    except SystemExit as ended:
        print(ended.code, file=sys.stderr)
print(*sys.modules)
"""


def slow_imports(program: str, *arguments: str) -> set[str]:
    """Which slow modules a fresh Python has imported when a program has run, which prints all modules in the end."""
    ran = subprocess.run([sys.executable, "-c", program, *arguments], check=True, capture_output=True, text=True)
    return SLOW & set(ran.stdout.splitlines()[-1].split())


def slow_imports_of(*lines: list[str]) -> set[str]:
    return slow_imports(RUN, json.dumps(lines))


def test_help_of_every_command_imports_nothing_slow():
    assert len(COMMANDS) > 20
    assert slow_imports_of(["--help"], *([command, "--help"] for command in COMMANDS)) == set()


def test_wrong_command_or_option_imports_nothing_slow():
    assert slow_imports_of(["swep"], ["sweep", "--fromat"], ["confirm", "runs/a", "--top", "none"]) == set()


def test_wrong_key_is_found_without_torch_ray_and_pandas():
    assert slow_imports_of(["sweep", "student", "training.lerning_rate=1"]) <= {
        "numpy",
        "glosstune.search.config.sweep",
        "glosstune.trainables.settings",
    }


def test_keys_init_and_a_check_need_neither_torch_nor_ray_nor_pandas(tmp_path):
    lines = ["keys", "lr"], ["init", "student", str(tmp_path / "my.yaml")], ["sweep", "student", "--check"]
    assert slow_imports_of(*lines, ["sweep", "--check", "search.target=30"]) <= {
        "numpy",
        "glosstune.search.config.sweep",
        "glosstune.trainables.settings",
    }


def test_writing_a_job_or_ending_a_trial_needs_neither_torch_nor_ray_nor_pandas(tmp_path, monkeypatch):
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    sweep = SweepFolder(tmp_path / "demo")
    sweep.start(0, learning_rate=1e-3)
    slurm = ["--to", "slurm", "--time-limit-min", "60", "--cpus-per-node", "2", "--dry-run"]
    ray = ["--to", "ray", "--address", "http://127.0.0.1:1"]
    lines = ["submit", "student", *slurm], ["trial", str(sweep.path), "0", "--stop"], ["submit", "student", *ray]
    ran = subprocess.run([sys.executable, "-c", RUN, json.dumps(lines)], check=True, capture_output=True, text=True)
    *said, modules = ran.stdout.splitlines()
    assert any(line.startswith("#SBATCH") for line in said) and said[-1] == "trial 0: stopped"
    assert "http://127.0.0.1:1: no Ray cluster answers" in ran.stderr
    assert {"torch", "ray", "pandas", "pyarrow"}.isdisjoint(modules.split())


def test_wrong_key_in_python_is_found_without_torch_ray_and_pandas():
    program = """
import sys, glosstune
try:
    glosstune.sweep("student", "training.lerning_rate=1", background=True)
except glosstune.spaces.GlosstuneError:
    print(*sys.modules)
"""
    assert slow_imports(program) <= {"numpy", "glosstune.search.config.sweep", "glosstune.trainables.settings"}


@pytest.mark.parametrize(
    "package", ["", ".models", ".results", ".search", ".search.jobs", ".spaces", ".trainables", ".trainables.corpora"]
)
def test_package_imports_nothing_slow_before_it_is_asked_for_a_name(package):
    program = f"import sys, glosstune{package}; print(*sys.modules)"
    assert slow_imports(program) == set()


def test_torch_that_is_not_installed_is_one_line_with_what_to_do(tmp_path):
    # As python finds it where nothing of that name is installed.
    absent = "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')"
    (tmp_path / "torch.py").write_text(absent, encoding="utf-8")
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv = ['glosstune', 'verify', 'teacher']\n"
        "from glosstune.search.cli.main import main\n"
        "main()"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (2, "glosstune: torch is not installed here; run: pip install torch\n")
