"""Reading somebody else's sweep, or going on with it, runs nothing of theirs and writes nowhere else."""

import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from s3_server import S3Server
from sweep_folder import SweepFolder

from glosstune.results.reading import remote
from glosstune.results.reading.names import SWEEP
from glosstune.results.reading.remote import find_file, origin

Run = Callable[..., int]
REQUESTS = [
    b"[" * 100_000,
    b'{"stop": Infinity}',
    b'{"stop": "__import__(\'os\')"}',
    b'{"pin": [1]}',
    b'{"changes": [1], "samples": null, "queue": []}',
    b'{"changes": {"storage": "s3://k:s@b/x"}, "samples": null, "queue": []}',
    b'{"changes": {"__class__": 1}, "samples": "+x", "queue": [{"learning_rate": "!!python/name:os.system"}]}',
    b'{"changes": {}, "samples": null, "queue": [7]}',
]
# Wherever Ray, Optuna, torch or pandas would open a pickle if they were asked to, and where they would not.
PICKLES = (
    "ray/tuner.pkl",
    "ray/trainable.pkl",
    "ray/searcher-state-2026-11-22_00-00-00.pkl",
    "ray/search_gen_state-2026-11-22_00-00-00.json",
    "ray/experiment_state-2030-01-01_00-00-00.json",
    "ray/0000/params.pkl",
    "ray/0000/error.pkl",
    "params.pkl",
    "error.pkl",
    "tuner.pkl",
    "trials/0000/best.pt",
    "trials/0000/last.pt",
    "trials/0001/best.pt",
    "trials/0001/last.pt",
    "trials/0000/error.pkl",
    "trials/0000/params.pkl",
    "trials/0000/hypotheses.parquet",
    "trials/0001/hypotheses.parquet",
    "study.journal",
    "mlflow.db",
    "tensorboard/0000/events.out.tfevents.1",
    "confirm/utterances.parquet",
    "inputs/planted.pt",
    "requests/0.json",
)


class Trap:
    """Makes a file when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Path]:
    """The file that appears where anything planted is run."""
    path = tmp_path / "opened"
    yield path
    assert not path.exists()
    pickle.loads(pickle.dumps(Trap(path)))
    assert path.exists()  # the trap works


def _plant(folder: Path, opened: Path) -> None:
    content = pickle.dumps(Trap(opened))
    for name in PICKLES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    fallback = {"_type": "CLOUDPICKLE_FALLBACK", "value": content.hex()}
    state = {"trial_data": [[json.dumps(fallback), "{}"]], "runner_data": fallback, "stats": {"start_time": 0}}
    (folder / "ray" / "experiment_state-2030-01-01_00-00-01.json").write_text(json.dumps(state))
    for number, request in enumerate(REQUESTS, start=1):
        (folder / "requests" / f"{number}.json").write_bytes(request)


def _is_one_line(told: str) -> bool:
    return told.startswith("glosstune: ") and told.count("\n") == 1


def test_commands_run_nothing_that_a_folder_holds(
    run: Run, ended: Path, opened: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    _plant(ended, opened)
    folder, out = str(ended), tmp_path / "out"
    out.mkdir()
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(ended)}
    for command in (
        ["results", folder],
        ["explain", folder, "0"],
        ["status", folder],
        ["watch", folder],
        ["reproduce", folder, "0", "--epochs", "1"],
    ):
        assert run(*command) == 0, command
    capfd.readouterr()
    with pytest.warns(UserWarning, match=r"cannot be read as hypotheses .*; what was confused is left out"):
        assert run("report", folder, "--out", str(out / "report.html")) == 0
    (out / "report.html").unlink()
    for command, rule in (
        (["export", folder, "--out", str(out / "a.safetensors")], "cannot be read as a checkpoint"),
        (["export", folder, "--trial", "1", "--out", str(out / "b.safetensors")], "cannot be read as a checkpoint"),
    ):
        assert run(*command) == 2, command
        told = capfd.readouterr().err
        assert rule in told and "Traceback" not in told
    assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(ended)} == before


def test_going_on_opens_no_pickle_and_follows_no_planted_request(
    run: Run, ended: Path, opened: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("trial", str(ended), "1", "--pin") == 0
    _plant(ended, opened)
    before = {path for path in ended.parent.rglob("*") if not path.is_relative_to(ended)}
    assert run("resume", str(ended), "--samples", "+1") == 0
    told = capfd.readouterr()
    assert "3 finished" in told.out or "2 finished" in told.out
    assert told.err.count("a request was not followed") >= 6
    assert "the trial starts over" in (ended / "trials" / "0001" / "trial.log").read_text()
    assert list((ended / "requests").iterdir()) == []
    # A new driver makes the study anew and unpickles none of it.
    assert (ended / "study.journal").read_bytes()[:1] == b"{"
    assert {path for path in ended.parent.rglob("*") if not path.is_relative_to(ended)} == before


def test_a_confirmation_opens_no_planted_file(
    run: Run, ended: Path, opened: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    _plant(ended, opened)
    options = ["--top", "1", "--seeds", "1"]
    # Without the plan that goes with it, what lies there is no confirmation, whatever it is called.
    (ended / "confirm" / "plan.json").write_bytes(pickle.dumps(Trap(opened)))
    assert run("confirm", str(ended), *options) == 2
    assert _is_one_line(told := capfd.readouterr().err) and "cannot be read as a plan" in told
    (ended / "confirm" / "plan.json").unlink()
    assert run("confirm", str(ended), *options) == 2
    assert _is_one_line(told := capfd.readouterr().err) and "utterances.parquet is damaged" in told


def test_a_table_that_carries_a_pickled_type_is_read_as_plain_data(
    run: Run, ended: Path, opened: Path, tmp_path: Path
) -> None:
    """Arrow once unpickled types that a file named (CVE-2023-47248)."""
    metadata = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(Trap(opened)),
    }
    fields = [pa.field(name, pa.string(), metadata=metadata) for name in ("key", "reference", "hypothesis")]
    table = pa.table([pa.array(["A"])] * 3, schema=pa.schema(fields))
    for number in range(2):
        pyarrow.parquet.write_table(table, ended / "trials" / f"{number:04d}" / "hypotheses.parquet")
    assert run("report", str(ended), "--out", str(tmp_path / "report.html")) in (0, 2)


@pytest.mark.filterwarnings("ignore:.*sweep.yaml. cannot be read")
@pytest.mark.parametrize("command", ["results", "report", "explain", "export", "reproduce", "confirm", "resume"])
def test_a_sweep_file_cannot_call_functions(
    command: str, run: Run, ended: Path, opened: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with (ended / SWEEP).open("a") as file:
        file.write(f"planted: !!python/object/apply:os.system ['touch {opened}']\n")
    number = ["0"] * (command in ("explain", "reproduce"))
    out = ["--out", str(tmp_path / "a.safetensors")] * (command == "export")
    if command in ("results", "report", "explain", "export"):  # which do without it
        with pytest.warns(UserWarning, match=r"sweep\.yaml: .*python/object/apply:os\.system"):
            assert run(command, str(ended), *number, *out) == 0
        return
    assert run(command, str(ended), *number, *out) == 2
    told = capfd.readouterr().err
    assert "sweep.yaml" in told and "python/object/apply:os.system" in told and "Traceback" not in told


@pytest.mark.parametrize("key", ["pretrained", "teacher"])
def test_weights_that_would_run_code_are_refused_before_anything_begins(
    key: str, run: Run, tiny: list[str], opened: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "weights.pt"
    weights.write_bytes(pickle.dumps(Trap(opened)))
    assert run("sweep", *tiny, f"{key}={weights}", "--out", str(tmp_path / "a")) == 2
    assert _is_one_line(capfd.readouterr().err)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    "name",
    ["driver.lock", "trials/0000/trial.log", "trials", "ray", "tensorboard/0002", "study.journal", "confirm", "wandb"],
)
def test_a_link_out_of_the_folder_is_refused_by_whatever_would_write(
    name: str, run: Run, ended: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "precious"
    target.write_text("mine")
    link = ended / name
    shutil.rmtree(link) if link.is_dir() else link.unlink(missing_ok=True)
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(os.path.relpath(target, link.parent))
    capfd.readouterr()
    for command in (["resume", str(ended), "--samples", "+1"], ["trial", str(ended), "1", "--pin"]):
        assert run(*command) == 2, command
        told = capfd.readouterr().err
        assert _is_one_line(told) and f"{name}: is a link out of the folder, to {target}" in told
    assert run("confirm", str(ended), "--top", "1", "--seeds", "1") == 2
    assert "is a link out of the folder" in capfd.readouterr().err
    assert target.read_text() == "mine"


def test_links_that_stay_in_the_folder_are_followed(run: Run, ended: Path) -> None:
    (ended / "newest").symlink_to("trials/0001")
    (ended / "wandb").mkdir()
    (ended / "wandb" / "debug-core.log").symlink_to("/somewhere/in/its/cache")
    whole = ended.rename(ended.with_name("moved"))
    ended.symlink_to(whole)
    assert run("trial", str(ended), "1", "--pin") == 0


@pytest.mark.parametrize("name", ["study.journal", "driver.lock", "tensorboard/0001/events"])
def test_a_pipe_and_a_loop_of_links_in_a_folder_hold_nobody_up(
    name: str, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = SweepFolder(tmp_path / "sweep")
    folder.start(0, learning_rate=0.1)
    (folder.path / "loop").symlink_to("loop")
    path = folder.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    for command in (["resume", str(folder.path)], ["trial", str(folder.path), "0", "--pin"]):
        assert run(*command) == 2
        told = capsys.readouterr().err
        assert _is_one_line(told) and f"{name}: is a pipe or a device" in told
    assert run("results", str(folder.path)) == 0


def test_a_folder_cannot_send_its_reader_to_other_storage(run: Run, ended: Path, s3: S3Server, tmp_path: Path) -> None:
    objects = {f"trials/{number:04d}/best.pt": "etag" for number in range(2)}
    (ended / "origin.json").write_text(json.dumps({"uri": s3.uri("theirs"), "objects": objects}))
    for path in ended.glob("trials/*/best.pt"):
        path.unlink()
    asked = len(s3.requests)
    assert run("results", str(ended)) == 0
    assert run("resume", str(ended)) == 0
    assert run("export", str(ended), "--out", str(tmp_path / "a.safetensors")) == 2
    assert len(s3.requests) == asked
    assert origin(ended) == str(ended)
    assert find_file(ended, "trials/0000/best.pt") is None
    for broken in ("[]", '"text"', "7", "{", '{"uri": 7}', "[" * 100_000):
        (ended / "origin.json").write_text(broken)
        assert origin(ended) == str(ended)


def test_a_sweep_on_s3_runs_nothing_that_was_put_there(
    run: Run, ray_cluster: None, s3: S3Server, tiny: list[str], tmp_path: Path, opened: Path, ended: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    uri = s3.uri("hostile")
    assert run("sweep", *tiny, "search.samples=2", "--out", uri) == 0
    for folder in ("sweeps", "copies", "files"):
        shutil.rmtree(remote.local_folder(uri, folder).parent, ignore_errors=True)
    planted = tmp_path / "planted"
    _plant(planted, opened)
    names = [path.relative_to(planted).as_posix() for path in planted.rglob("*") if path.is_file()]
    for name in names:
        s3.client.put_object(Bucket="bucket", Key=f"hostile/{name}", Body=(planted / name).read_bytes())
    theirs = json.dumps({"uri": s3.uri("theirs"), "objects": {"trials/0000/best.pt": "etag"}}).encode()
    for name, content in (("origin.json", theirs), ("driver.lock", b"planted"), ("../../../escaped", b"planted")):
        s3.client.put_object(Bucket="bucket", Key=f"hostile/{name}", Body=content)
    capfd.readouterr()
    assert run("results", uri) == 0
    assert run("explain", uri, "0") == 0
    assert run("reproduce", uri, "0", "--epochs", "1") == 0
    with pytest.warns(UserWarning, match="cannot be read as hypotheses"):
        assert run("report", uri, "--out", str(tmp_path / "report.html")) == 0
    assert run("export", uri, "--out", str(tmp_path / "a.safetensors")) == 2
    assert run("resume", uri, "--samples", "+1") == 0
    assert "Traceback" not in capfd.readouterr().err
    assert not [path for _, path in s3.requests if "theirs" in path]
    cache = remote.local_folder(uri, "copies").parents[1]
    assert not [path for path in cache.rglob("*") if path.is_file() and path.read_bytes() == b"planted"]
