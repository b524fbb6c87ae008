"""Objects of S3 as the files of a sweep: whole, new where they must be, and there after every passing fault."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from s3_server import ENDPOINT, S3Server

from glosstune.spaces.errors import FolderError, SettingError
from glosstune.spaces.files import object_storage, s3_client
from glosstune.spaces.files.addresses import check_uri, is_uri, join
from glosstune.spaces.files.object_storage import ObjectFolder

NAMES = st.text("abcdefghij0123456789-_.", min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("uri", "rule"),
    [
        ("gs://bucket/a", "storage: must be a path, or s3://BUCKET/PREFIX; got 'gs://bucket/a'"),
        ("s3:///a", "storage: must be a path, or s3://BUCKET/PREFIX; got 's3:///a'"),
        (
            "s3://key:secret@bucket/a",
            "must hold no credentials; got some before 's3://bucket/a': set AWS_ACCESS_KEY_ID",
        ),
        ("s3://bucket:9000/a", "storage: must name a bucket of letters, digits, '.', '_', '-'; a server goes into"),
        ("s3://Bad bucket!/a", "storage: must name a bucket of letters"),
        ("s3://bucket/a?regoin=x", "s3://bucket/a: option 'regoin': unknown key; did you mean 'region'?"),
    ],
)
def test_a_wrong_address_is_refused_without_showing_secrets(uri: str, rule: str) -> None:
    with pytest.raises(SettingError) as caught:
        check_uri(uri)
    assert rule in str(caught.value)
    assert "secret" not in str(caught.value)


@given(st.lists(NAMES, max_size=3), NAMES, st.sampled_from(["", "?region=eu-1", "?scheme=http&endpoint_override=h:1"]))
def test_a_place_below_an_address_keeps_its_query(prefix: list[str], name: str, query: str) -> None:
    whole = check_uri("/".join(["s3://bucket", *prefix]) + query)
    below = join(whole, name)
    assert is_uri(below)
    assert below.partition("?")[0] == "/".join(["s3://bucket", *prefix, name])
    assert below.partition("?")[2] == query.removeprefix("?")


def test_what_is_written_is_read_listed_and_removed(s3: S3Server, tmp_path: Path) -> None:
    folder = ObjectFolder(s3.uri("plain"), tmp_path / "here")
    folder.check_usable()
    folder.write("a/b", b"1")
    (tmp_path / "file").write_bytes(bytes(3_000_000))
    folder.send("a/c", tmp_path / "file")
    assert (folder.read("a/b"), folder.read("nothing")) == (b"1", None)
    assert sorted(folder.names()) == ["a/b", "a/c"]
    assert sorted(folder.names("a/c")) == ["a/c"]
    assert folder.fetch("a/c") == tmp_path / "here" / "a" / "c"
    assert (tmp_path / "here" / "a" / "c").read_bytes() == bytes(3_000_000)
    (tmp_path / "here" / "nothing").touch()
    assert folder.fetch("nothing") is None
    assert not (tmp_path / "here" / "nothing").exists()
    folder.remove("a/b", "a/c", "nothing")
    assert folder.names() == {}


def test_whether_there_is_any_object_is_learnt_from_the_first(s3: S3Server) -> None:
    folder = ObjectFolder(s3.uri("many"), Path("here"))
    assert not folder.holds("a/")
    folder.write("a/", b"")  # a folder of a console's
    assert not folder.holds("a/")
    for number in range(6):
        folder.write(f"a/{number}", b"1")
    before = len(s3.requests)
    assert folder.holds("a/")
    assert len(s3.requests) == before + 1


def test_where_nobody_knows_the_user_s_own_folder_credentials_come_from_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pwd = pytest.importorskip("pwd")

    def refuse(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", refuse)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert s3_client._origin()[1] == (None, None)


def test_of_two_that_write_a_new_object_one_is_told(s3: S3Server) -> None:
    folder, wrote, refused = ObjectFolder(s3.uri("new"), Path("here")), [], []

    def write(number: int) -> None:
        try:
            folder.write("event", b"%d" % number, new=True)
            wrote.append(number)
        except FileExistsError:
            refused.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrote) == 1
    assert len(refused) == 3
    assert folder.read("event") == b"%d" % wrote[0]


def test_an_answer_that_is_lost_does_not_make_a_new_object_an_old_one(s3: S3Server) -> None:
    folder = ObjectFolder(s3.uri("lost"), Path("here"))
    folder.write("event", b"mine")  # as if the first attempt had arrived
    folder.write("event", b"mine", new=True)
    with pytest.raises(FileExistsError):
        folder.write("event", b"another", new=True)


def _times(count: int, fault: str) -> Callable[[str, str], str | None]:
    left = [count]

    def answer(method: str, path: str) -> str | None:
        left[0] -= 1
        return fault if left[0] >= 0 else None

    return answer


@pytest.mark.parametrize("fault", ["503 Slow Down", "500 Internal Error", "429 Throttling"])
def test_what_fails_for_a_moment_is_tried_again_and_told_once(s3: S3Server, fault: str) -> None:
    told: list[str] = []
    folder = ObjectFolder(s3.uri("faults"), Path("here"), say=told.append)
    s3.fault = _times(3, fault)
    folder.write("event", b"1")
    assert folder.read("event") == b"1"
    assert len(told) == 1
    assert told[0].startswith(f"{s3.uri('faults')}: does not answer (")


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("403 Access Denied", "the storage refuses (AccessDenied); check credentials and rights"),
        ("404 No Such Bucket", "there is no such bucket; make it, or correct storage"),
    ],
)
def test_what_does_not_pass_is_an_error_at_once(s3: S3Server, fault: str, rule: str) -> None:
    folder = ObjectFolder(s3.uri("refused"), Path("here"))
    s3.fault = lambda method, path: fault
    before = len(s3.requests)
    with pytest.raises(FolderError, match="refused/event") as caught:
        folder.write("event", b"1")
    assert rule in str(caught.value)
    assert len(s3.requests) == before + 1


def test_a_bucket_of_another_region_and_a_server_without_tls_are_told_with_what_to_write(s3: S3Server) -> None:
    s3.fault = lambda method, path: "400 Authorization Header Malformed"
    with pytest.raises(FolderError, match=r"another region; name that in the address, such as \?region="):
        ObjectFolder(s3.uri("x"), Path("here")).check_usable()
    s3.fault = None
    with pytest.raises(FolderError, match="a server without TLS needs scheme=http in its address"):
        ObjectFolder(s3.uri("x").replace("scheme=http", "scheme=https"), Path("here")).check_usable()


def test_a_bucket_that_is_not_there_shows_before_anything_begins(s3: S3Server) -> None:
    uri = s3.uri("x").replace("s3://bucket", "s3://no-such-bucket")
    with pytest.raises(FolderError, match="there is no such bucket; make it, or correct storage") as caught:
        ObjectFolder(uri, Path("here")).check_usable()
    assert str(caught.value).startswith(f"{uri}: ")


@pytest.mark.parametrize(("header", "harm"), [("If-None-Match", "two drivers"), ("If-Match", "a lost node")])
def test_a_storage_that_overwrites_what_has_to_stay_is_refused(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, header: str, harm: str
) -> None:
    folder = ObjectFolder(s3.uri("old"), Path("here"))
    put = folder._client.put_object

    def deaf(**request: Any) -> Any:
        request.pop(header.replace("-", ""), None)
        return put(**request)

    monkeypatch.setattr(folder._client, "put_object", deaf)
    with pytest.raises(FolderError, match=f"does not heed {header}, so {harm} could .*; use a storage that was"):
        folder.check_usable()
    assert folder.names() == {}


@pytest.mark.skipif(ENDPOINT in os.environ, reason="a server of its own compares as it does")
def test_a_server_that_compares_tags_without_their_quotes_is_told_them_so(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As Ceph 16 does."""
    folder = ObjectFolder(s3.uri("bare"), tmp_path)
    put = folder._client.put_object

    def compare(**request: Any) -> Any:
        if (tag := request.get("IfMatch")) is not None:
            request["IfMatch"] = f'"{tag}"'
        return put(**request)

    monkeypatch.setattr(object_storage, "_BARE_TAGS", set())
    monkeypatch.setattr(folder._client, "put_object", compare)
    folder.check_usable()
    (tmp_path / "last.pt").write_bytes(b"epoch 1")
    first = folder.replace("last.pt", None)
    (tmp_path / "last.pt").write_bytes(b"epoch 2")
    folder.replace("last.pt", first)
    before = len(s3.requests)
    (tmp_path / "last.pt").write_bytes(b"epoch 3")
    folder.replace("last.pt", folder.tag("last.pt"))
    assert len(s3.requests) == before + 2  # how it compares is found out once
    (tmp_path / "last.pt").write_bytes(b"another epoch 2")
    with pytest.raises(FileExistsError):
        folder.replace("last.pt", first)


def test_a_storage_that_takes_no_second_checkpoint_is_refused(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ObjectFolder(s3.uri("stubborn"), Path("here"))
    put = folder._client.put_object

    def refuse(**request: Any) -> Any:
        return put(**request | ({"IfMatch": "another"} if "IfMatch" in request else {}))

    monkeypatch.setattr(object_storage, "_BARE_TAGS", set())
    monkeypatch.setattr(folder._client, "put_object", refuse)
    with pytest.raises(FolderError, match="refuses a second write with the tag that it gave itself, so no"):
        folder.check_usable()
    assert folder.names() == {}


def test_all_of_a_process_share_a_client_while_its_credentials_are_the_same(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[object] = []
    make = boto3.session.Session

    def count(*arguments: Any) -> Any:
        made.append(make(*arguments))
        return made[-1]

    monkeypatch.setattr(boto3.session, "Session", count)
    monkeypatch.setattr(s3_client, "_clients", {})
    uri = s3.uri("shared")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: ObjectFolder(uri, tmp_path).below(str(number)).write("a", b"1"), range(8)))
    folder = ObjectFolder(uri, tmp_path)
    assert folder.read("0/a") == b"1" and len(made) == 1

    def clients() -> int:
        _ = folder._client
        return len(made)

    known = [clients()]
    monkeypatch.setenv("AWS_SESSION_TOKEN", "another")
    known.append(clients())
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    for secret in ("first", "second one"):  # as a tool that logs in writes them
        (tmp_path / "credentials").write_text(f"[default]\naws_secret_access_key={secret}")
        known.append(clients())
    s3_client._forget()  # as in a forked process, whose connections are its parent's
    known += [clients(), clients()]
    assert known == [1, 2, 3, 4, 5, 5]
    ObjectFolder(uri.replace("us-east-1", "eu-central-1"), tmp_path)
    assert len(made) == 6


def test_a_server_that_is_not_there_is_not_waited_for_before_a_sweep_begins(s3: S3Server) -> None:
    with pytest.raises(FolderError, match=r"Could not connect to the endpoint URL"):
        ObjectFolder(
            "s3://bucket/x?scheme=http&endpoint_override=127.0.0.1:9&region=us-east-1", Path("here")
        ).check_usable()


def test_without_credentials_the_error_says_which(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "nowhere")
    with pytest.raises(FolderError, match="there are no credentials; set AWS_ACCESS_KEY_ID"):
        ObjectFolder(s3.uri("x"), Path("here")).check_usable()
