"""Nothing that a sweep writes holds a secret."""

import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp

import pandas as pd
import pytest
import yaml
from forked_workers import Forks
from hypothesis import given
from hypothesis import strategies as st
from leaks import leaks, leaks_below, watched_arguments
from s3_server import KEY, S3Server

Run = Callable[..., int]
SECRETS = {
    "RAY_AUTH_TOKEN": "5f1d" * 16,
    "AWS_SECRET_ACCESS_KEY": "aws-secret/of+the=tests",
    "AWS_SESSION_TOKEN": "aws-session-of-the-tests",
    "WANDB_API_KEY": "ab12" * 10,
    "MLFLOW_TRACKING_PASSWORD": "mlflow-password-of-the-tests",
}
STUDY_PASSWORD = "study-password-of-the-tests"
RUN_ALL = """
import json, sys
from glosstune.search.cli.main import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["glosstune", *arguments]
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            sys.exit(f"{arguments}: {ended.code}")
"""


def _zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner", content)
    return buffer.getvalue()


def _parquet(content: bytes) -> bytes:
    return pd.DataFrame({"text": [content.decode("latin-1")]}).to_parquet()


@given(
    st.binary(max_size=9),
    st.binary(max_size=9),
    st.lists(st.sampled_from([bytes, b64encode, _zipped, gzip.compress, zlib.compress, _parquet]), max_size=1),
    st.sampled_from([bytes, b64encode, bytes.hex]),
)
def test_a_secret_is_found_however_it_was_written(
    before: bytes, behind: bytes, packed: list[Callable[[bytes], bytes]], encode: Callable[[bytes], bytes | str]
) -> None:
    encoded = encode(before + SECRETS["AWS_SECRET_ACCESS_KEY"].encode() + behind)
    content = encoded.encode() if isinstance(encoded, str) else encoded
    for pack in packed:
        if pack is b64encode and encode is not bytes:
            return  # nobody encodes twice
        content = pack(content)
    assert leaks(content, SECRETS.values()) == {SECRETS["AWS_SECRET_ACCESS_KEY"]}


@given(st.binary())
def test_no_secret_is_found_where_there_is_none(content: bytes) -> None:
    assert leaks(content, SECRETS.values()) == set()


def test_a_secret_among_the_arguments_of_a_process_is_found() -> None:
    with watched_arguments(["argument-of-the-tests"]) as listed:
        subprocess.run([sys.executable, "-c", "import time; time.sleep(0.5)", "argument-of-the-tests"], check=True)
    assert listed == {"argument-of-the-tests"}


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder for Ray, whose sockets need a short path."""
    folder = Path(mkdtemp(prefix="glosstune-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
def test_nothing_that_a_sweep_and_its_ray_write_holds_a_secret(
    tiny: list[str], s3: S3Server, forks: Forks, tmp_path: Path, short: Path
) -> None:
    place = s3.uri("secret")
    study = f"sqlite:///file:{tmp_path / 'study.db'}?uri=true&password={STUDY_PASSWORD}"
    settings = [argument for argument in tiny if not argument.startswith("corpus.cache")]
    commands = [
        ["sweep", *settings, "search.samples=2", "tracking=mlflow", "--out", place],
        ["resume", place, "tracking=wandb", "--samples", "+1"],
        ["report", place, "--out", str(tmp_path / "report.html")],
        ["export", place, "--out", str(tmp_path / "student.safetensors")],
    ]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "WANDB_", "MLFLOW_"))}
    own = {"HOME": str(tmp_path / "home"), "GLOSSTUNE_CACHE": str(tmp_path / "cache"), "RAY_TMPDIR": str(short)}
    own |= {"GLOSSTUNE_STUDY_URL": study, "WANDB_MODE": "offline", "AWS_ACCESS_KEY_ID": KEY}
    secrets = [*SECRETS.values(), STUDY_PASSWORD]
    with watched_arguments(secrets) as listed:
        ran = subprocess.run(
            [sys.executable, "-c", RUN_ALL, json.dumps(commands)],
            env={**clean, **forks.environment, **own, **SECRETS},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=600,
        )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert listed == set()
    assert leaks_below(tmp_path, secrets) == {}
    assert leaks_below(short, secrets) == {}
    assert leaks((ran.stdout + ran.stderr).encode(), secrets) == set()
    assert (tmp_path / "study.db").stat().st_size  # so the URL with the password was used
    assert list(short.rglob("gcs_server*"))
    names = s3.names("secret/")
    assert "secret/mlflow.db" in names
    assert any(name.startswith("secret/wandb/") for name in names)
    contents = {name: s3.client.get_object(Bucket="bucket", Key=name)["Body"].read() for name in names}
    assert {name: held for name, content in contents.items() if (held := leaks(content, secrets))} == {}


@pytest.mark.parametrize(
    "options",
    [
        ["slurm", "--cpus-per-node", "2", "--time-limit-min", "60"],
        ["kuberay", "--image", "me/glosstune:1", "--cpus-per-node", "2", "--env-from-secret", "s3-keys"],
        ["ray", "--address", "http://127.0.0.1:1", "--dry-run"],
    ],
    ids=["slurm", "kuberay", "ray"],
)
def test_what_is_sent_to_a_cluster_holds_no_secret_and_asks_for_a_token(
    options: list[str], run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {**SECRETS, "GLOSSTUNE_STUDY_URL": f"postgresql://me:{STUDY_PASSWORD}@db/studies"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("RAY_AUTH_MODE")
    monkeypatch.chdir(tmp_path)
    assert run("submit", "student", "--to", *options, "--out", "s3://bucket/runs/a") == 0
    told = capsys.readouterr()
    sent = "".join([told.out, told.err, *(path.read_text() for path in tmp_path.rglob("*") if path.is_file())])
    assert leaks(sent.encode(), [*SECRETS.values(), STUDY_PASSWORD]) == set()
    if options[0] == "kuberay":
        (job,) = (part for part in yaml.safe_load_all(sent) if part["kind"] == "RayJob")
        assert job["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    else:
        assert {"slurm": "export RAY_AUTH_MODE=token", "ray": "RAY_AUTH_MODE=token"}[options[0]] in sent


@pytest.mark.parametrize("argument", ["storage", "--out"])
def test_an_address_with_credentials_is_refused_and_not_repeated(
    argument: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    address = f"s3://key:{STUDY_PASSWORD}@bucket/runs"
    given = [f"storage={address}"] if argument == "storage" else ["--out", address]
    assert run("sweep", "student", *given) == 2
    told = capsys.readouterr()
    assert "must hold no credentials" in told.err
    assert STUDY_PASSWORD not in told.out + told.err
    assert list(tmp_path.iterdir()) == []
