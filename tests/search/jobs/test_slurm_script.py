import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glosstune.search import Sweep, load_sweep
from glosstune.search.jobs.options import command_comment, dated_name, read_options
from glosstune.search.jobs.slurm_script import JobFiles, SlurmOptions, job_files, slurm_script
from glosstune.spaces.errors import SettingError

GOLDEN = Path(__file__).with_name("golden")
COMMAND = ["glosstune", "submit", "my.yaml", "--to", "slurm"]
SWEEP = load_sweep("student")
ON_GPUS = load_sweep("student", ["resources.gpu=0.5"])
PLACE = "/shared/runs/a"


def script(
    sweep: Sweep = SWEEP,
    place: str = PLACE,
    name: str = "a",
    command: list[str] = COMMAND,
    **options: object,
) -> str:
    given = {"time_limit_min": 60, **options}
    if not sweep.resources.gpu:
        given = {"cpus_per_node": 2, **given}
    return slurm_script(sweep, name, place, job_files(place), read_options(SlurmOptions, given), command)


def requests(text: str) -> dict[str, str]:
    """What the script asks of SLURM, each option read as one word."""
    lines = [line.removeprefix("#SBATCH ") for line in text.splitlines() if line.startswith("#SBATCH ")]
    options = [shlex.split(line) for line in lines]
    assert all(len(option) == 1 for option in options)
    return dict(option[0].partition("=")[::2] for option in options)


def driver(text: str) -> list[str]:
    (line,) = (line for line in text.splitlines() if line.startswith("    glosstune sweep "))
    return shlex.split(line.removesuffix(" &"))


def parses(text: str) -> bool:
    return subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True).returncode == 0


def test_one_node_without_gpus_is_the_script_in_golden() -> None:
    assert script() == (GOLDEN / "cpus.sh").read_text()


def test_two_nodes_with_gpus_are_the_script_in_golden() -> None:
    text = script(
        ON_GPUS,
        nodes=2,
        gpus_per_node=4,
        time_limit_min=720,
        partition="gpu",
        account="me",
        setup=["module load cuda", "source venv/bin/activate"],
        sbatch=["--constraint=a100"],
    )
    assert text == (GOLDEN / "gpus.sh").read_text()


def test_folders_of_the_users_own_parts_are_on_the_path_of_every_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "it's mine"
    folder.mkdir()
    (folder / "own_rules.py").write_text("def rule(curve, grace_epochs, settings): ...")
    monkeypatch.syspath_prepend(str(folder))
    text = script(load_sweep("student", ["stopping.rules=[own_rules:rule]"]), setup=["source venv/bin/activate"])
    (line,) = (line for line in text.splitlines() if line.startswith("export PYTHONPATH="))
    told = subprocess.run(["bash", "-uc", f'{line}; printf %s "$PYTHONPATH"'], env={}, capture_output=True, text=True)
    assert told.stdout == f"{folder}:"
    assert text.index("source venv") < text.index(line) and parses(text)


@pytest.mark.parametrize("golden", sorted(GOLDEN.glob("*.sh")), ids=lambda path: path.name)
def test_golden_scripts_are_valid_shell(golden: Path) -> None:
    assert parses(golden.read_text())


def test_cpus_are_those_of_the_trials_that_share_the_gpus() -> None:
    sweep = load_sweep("student", ["resources.gpu=0.1", "resources.cpu=2"])
    assert requests(script(sweep, gpus_per_node=3))["--cpus-per-task"] == "60"
    assert requests(script(sweep, gpus_per_node=3, cpus_per_node=16))["--cpus-per-task"] == "16"


def test_a_share_of_a_gpu_that_is_left_open_gets_cpus_for_four_trials_each() -> None:
    assert requests(script(cpus_per_node=None, gpus_per_node=2))["--cpus-per-task"] == "8"


@pytest.mark.parametrize(
    ("overrides", "options", "message"),
    [
        (["resources.gpu=2"], {"gpus_per_node": 1}, "resources.gpu: a trial asks for 2, but a node is to have 1;"),
        (["resources.gpu=1"], {}, "resources.gpu: a trial asks for 1, but a node is to have 0; raise gpus_per_node"),
        (["resources.cpu=4"], {}, "resources.cpu: a trial asks for 4, but a node is to have 2; raise cpus_per_node"),
        (
            ["resources.gpu=0"],
            {"gpus_per_node": 1},
            "gpus_per_node: is 1, but no trial would use one; set resources.gpu=1",
        ),
        ([], {"time_limit_min": 2}, "save_before_s: is 120, as long as the whole job; raise time_limit_min"),
        ([], {"cpus_per_node": None}, "cpus_per_node: must be given where trials use no GPU"),
        ([], {"name": "a b"}, "name: must be letters, digits and any of"),
        ([], {"place": "/shared/o'brien"}, "place: must have no quotes and no backslashes"),
        ([], {"place": "/shared/a\nb"}, "place: must be printable text on one line"),
    ],
)
def test_what_cannot_run_is_refused(overrides: list[str], options: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError) as refused:
        script(load_sweep("student", overrides), **options)  # type: ignore[arg-type]  # of several kinds
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "time_limit_min: must be given"),
        ({"time_limit_min": 0}, "time_limit_min: must be greater than 0; got 0"),
        ({"time_limit_min": 60, "partition": "gpu --uid=0"}, "partition: must be letters, digits and any of"),
        ({"time_limit_min": 60, "setup": ["a\nb"]}, "must be one line of printable text"),
        ({"time_limit_min": 60, "sbatch": ["-p gpu"]}, "must be one long option of sbatch, such as --constraint=a100"),
        ({"time_limit_min": 60, "node": 2}, "node: unknown key; did you mean 'nodes'?"),
    ],
)
def test_a_wrong_option_is_one_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError) as refused:
        read_options(SlurmOptions, options)
    assert message in str(refused.value) and "\n" not in str(refused.value)


@settings(max_examples=60)
@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1, max_size=20))
def test_a_hostile_place_is_refused_or_stays_one_word(text: str) -> None:
    place = f"/shared/x{text}"
    try:
        made = script(place=place)
    except SettingError as error:
        assert not text.isprintable() or set(text) & set("'\"\\"), error
        return
    assert driver(made) == ["glosstune", "sweep", f"{place}.sweep.yaml", "--out", place, "--resume"]
    assert requests(made)["--output"] == f"{place}.log".replace("%", "%%")
    assert len(requests(made)) == len(requests(script()))
    assert parses(made)


@settings(max_examples=60)
@given(text=st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
def test_a_hostile_address_is_refused_or_stays_one_word(text: str) -> None:
    place, files = f"s3://bucket/{text}", JobFiles(Path("a.sbatch"), Path("a.yaml"), Path("a.log"))
    options = SlurmOptions(time_limit_min=60, cpus_per_node=2)
    try:
        made = slurm_script(SWEEP, "a", place, files, options, COMMAND)
    except SettingError:
        assert not text.isprintable()
        return
    assert driver(made) == ["glosstune", "sweep", "a.yaml", "--out", place, "--resume"]
    assert parses(made)


@given(command=st.lists(st.text(max_size=10), min_size=1, max_size=4))
def test_the_command_stays_one_line_of_comment(command: list[str]) -> None:
    comment = command_comment(command)
    assert comment.startswith("# ") and comment.isprintable() and len(comment.splitlines()) == 1


@given(name=st.text(max_size=10))
def test_a_hostile_name_is_refused_or_stays_one_word(name: str) -> None:
    try:
        made = script(name=name)
    except SettingError as error:
        assert error.key == "name"
        return
    assert requests(made)["--job-name"] == name


@pytest.mark.parametrize(
    ("place", "script"),
    [
        ("/shared/runs/a", "/shared/runs/a.sbatch"),
        ("/shared/runs/a.b/", "/shared/runs/a.b.sbatch"),
        ("s3://bucket/prefix/a?region=x", "/jobs/a.sbatch"),
    ],
)
def test_files_of_a_job_lie_beside_its_place_or_in_a_folder(place: str, script: str) -> None:
    assert str(job_files(place, Path("/jobs")).script) == script


@pytest.mark.parametrize("named", ["größer", "手语", "2026.a", "_a", "-a", "--", "a" * 100])
def test_a_sweep_of_any_name_becomes_a_job(named: str, tmp_path: Path) -> None:
    name = dated_name(load_sweep("student", [f"name={named}"]))
    files = job_files(str(tmp_path / name))
    options = SlurmOptions(time_limit_min=60, cpus_per_node=1)
    script = slurm_script(load_sweep("student"), name, str(tmp_path / name), files, options, ["glosstune"])
    assert f"#SBATCH --job-name={name}\n" in script
    assert not name.startswith("-")
