"""Folders on object storage, ``s3://bucket/prefix``: read, write, list; whatever fails for a moment is tried again.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html for objects that must be new.
"""

import copy
import io
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from glosstune.spaces.errors import FolderError
from glosstune.spaces.files.addresses import check_uri, join
from glosstune.spaces.files.atomic import write_whole
from glosstune.spaces.files.s3_client import s3_client

# An outage of this length ends nothing.
PATIENCE_S = 600.0
PROBE = ".probe-"
# By the query of an address: servers that compare tags without their quotes where they write, as Ceph 16 does.
_BARE_TAGS: set[str] = set()
_ELSEWHERE = ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException")
_REMOVED_AT_ONCE = 1000  # S3 takes no more in one request

Answer = TypeVar("Answer")


class ObjectFolder:
    """The objects below a URI (see ``folder.Folder``).

    Credentials and whatever the URI leaves open come from the environment and the files that AWS's own tools read.

    Args:
        here: where this machine has files of it.
        patience_s: how long what may pass, as a lost connection, is tried again before it is an error.
        say: hears that storage does not answer.

    Raises:
        SettingError: see ``check_uri``; or boto3 is not installed.
    """

    look_s = 10.0  # which costs a request

    def __init__(
        self,
        uri: str,
        here: Path,
        *,
        patience_s: float = PATIENCE_S,
        say: Callable[[str], object] = lambda line: None,
    ) -> None:
        self.place = check_uri(uri)
        self.here = here
        self._patience_s = patience_s
        self._say = say
        parts = urlsplit(self.place)
        self._bucket, self._prefix = parts.netloc, parts.path.lstrip("/")
        self._query, self._options = parts.query, dict(parse_qsl(parts.query))
        s3_client(self._options)  # whatever is wrong with them shows here

    @property
    def _client(self) -> Any:
        return s3_client(self._options)

    def below(self, *names: str) -> "ObjectFolder":
        """The objects below a longer prefix."""
        inner = copy.copy(self)
        inner.place, inner.here = join(self.place, *names), self.here.joinpath(*names)
        inner._prefix = urlsplit(inner.place).path.lstrip("/")
        return inner

    def read(self, name: str) -> bytes | None:
        """The content of an object; None if there is none."""

        def get() -> bytes:
            content: bytes = self._client.get_object(Bucket=self._bucket, Key=self._key(name))["Body"].read()
            return content

        return self._if_there(get, name)

    def write(self, name: str, content: bytes, *, new: bool = False) -> None:
        """Write an object whole; with ``new`` FileExistsError where another one is there, and that stays."""
        try:
            self._put(name, content, {"IfNoneMatch": "*"} if new else None)
        except FileExistsError:
            # An answer that was lost on its way made the second attempt find the first one's object.
            if self.read(name) != content:
                raise

    def send(self, name: str, path: Path | None = None) -> None:
        """Write an object from a file, by default that of its name here."""
        self._put(name, path or self.here / name)

    def replace(self, name: str, tag: str | None) -> str:
        """Write an object from the file of its name here, where nobody else has written it since; returns its tag.

        Args:
            tag: that it had last, None where there was no such object.

        Raises:
            FileExistsError: somebody has.
        """
        return self._replace(name, self.here / name, tag)

    def _replace(self, name: str, content: Path | bytes, tag: str | None) -> str:
        bare = self._query in _BARE_TAGS
        spelled = tag.strip('"') if tag is not None and bare else tag
        try:
            return self._put(name, content, {"IfNoneMatch": "*"} if spelled is None else {"IfMatch": spelled})
        except (FileExistsError, FileNotFoundError):
            now = self.tag(name)
            if tag is not None and now == tag and not bare:  # nobody has written it
                _BARE_TAGS.add(self._query)
                return self._replace(name, content, tag)
            # An answer that was lost on its way made the second attempt find the first one's object.
            if now is None or self.read(name) != (content if isinstance(content, bytes) else content.read_bytes()):
                raise FileExistsError(name) from None
            return now

    def tag(self, name: str) -> str | None:
        """What changes with the content of an object; None if there is none."""

        def head() -> str:
            return str(self._client.head_object(Bucket=self._bucket, Key=self._key(name))["ETag"])

        return self._if_there(head, name)

    def fetch(self, name: str) -> Path | None:
        """The file of an object, as it is now, here; None if there is none, and then not here either."""
        path = self.here / name

        def get() -> Path:
            body = self._client.get_object(Bucket=self._bucket, Key=self._key(name))["Body"]

            def save(partial: Path) -> None:
                with partial.open("wb") as file:
                    shutil.copyfileobj(body, file)

            write_whole(path, save)
            return path

        fetched = self._if_there(get, name)
        if fetched is None:
            path.unlink(missing_ok=True)
        return fetched

    def forget(self) -> None:
        """Remove what lies here."""
        shutil.rmtree(self.here, ignore_errors=True)

    def names(self, prefix: str = "", *, after: str = "") -> dict[str, str]:
        """Every object below a prefix, with its tag; of a sorted list what comes after a name."""

        def pages() -> dict[str, str]:
            later = {"StartAfter": self._key(after)} if after else {}
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._key(prefix), **later
            )
            return {name: tag for page in pages for name, tag in self._listed(page)}

        return self._try(pages, prefix)

    def holds(self, prefix: str) -> bool:
        """Whether there is any object below a prefix."""

        def look() -> bool:
            # A page at a time; the first may be a folder of its own (see ``_listed``).
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._key(prefix), PaginationConfig={"PageSize": 10}
            )
            return any(True for page in pages for _ in self._listed(page))

        return self._try(look, prefix)

    def parts(self) -> tuple[dict[str, str], list[str]]:
        """The objects at the top with their tags, and the prefixes below it, each with a slash at its end."""

        def pages() -> tuple[dict[str, str], list[str]]:
            listed = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._key(""), Delimiter="/"
            )
            cut = len(self._key(""))
            objects: dict[str, str] = {}
            prefixes: list[str] = []
            for page in listed:
                objects |= self._listed(page)
                prefixes += [each["Prefix"][cut:] for each in page.get("CommonPrefixes", ())]
            return objects, prefixes

        return self._try(pages, "")

    def _listed(self, page: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Names and tags; not of a folder, which consoles, and servers that keep files, have as an empty object."""
        cut = len(self._key(""))
        for each in page.get("Contents", ()):
            if not each["Key"].endswith("/"):
                yield each["Key"][cut:], each["ETag"]

    def remove(self, *names: str) -> None:
        """Remove objects; one that is not there is no error."""
        for start in range(0, len(names), _REMOVED_AT_ONCE):
            keys = [{"Key": self._key(name)} for name in names[start : start + _REMOVED_AT_ONCE]]
            delete = partial(self._client.delete_objects, Bucket=self._bucket, Delete={"Objects": keys, "Quiet": True})
            self._try(delete, "")

    def check_usable(self) -> None:
        """Write, read and remove an object; FolderError within seconds where that cannot be done as it has to be."""
        patience, self._patience_s = self._patience_s, 0.0
        name = f"{PROBE}{uuid.uuid4().hex}"
        try:
            self.write(name, b"glosstune", new=True)
            try:
                self._check_refused(name, "If-None-Match", "*", "two drivers could spoil a record")
                wrong = f'"{"0" * 32}"'
                self._check_refused(name, "If-Match", wrong, "a lost node could write over a newer checkpoint")
                self._check_taken(name)
            finally:
                self.remove(name)
        finally:
            self._patience_s = patience

    def _check_refused(self, name: str, header: str, tag: str, harm: str) -> None:
        """Raise FolderError where an object is written over though a condition forbids it."""
        try:
            self._put(name, b"another", {header.replace("-", ""): tag})
        except FileExistsError:
            return
        raise self._unusable(f"does not heed {header}", harm)

    def _check_taken(self, name: str) -> None:
        """Raise FolderError where an object cannot be written over though nobody else has."""
        try:
            self._replace(name, b"newer", self.tag(name))
        except FileExistsError:
            fault = "refuses a second write with the tag that it gave itself"
            raise self._unusable(fault, "no checkpoint could follow on the first") from None

    def _unusable(self, fault: str, harm: str) -> FolderError:
        way_out = "use a storage that was tried, as Ceph and SeaweedFS, or a shared folder"
        return FolderError(f"{self.place}: {fault}, so {harm}; {way_out}")

    def _put(self, name: str, content: Path | bytes, condition: Mapping[str, str] | None = None) -> str:
        def put() -> str:
            with content.open("rb") if isinstance(content, Path) else io.BytesIO(content) as file:
                answer = self._client.put_object(
                    Bucket=self._bucket, Key=self._key(name), Body=file, **(condition or {})
                )
            return str(answer["ETag"])

        return self._try(put, name)

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    def _if_there(self, get: Callable[[], Answer], name: str) -> Answer | None:
        try:
            return self._try(get, name)
        except FileNotFoundError:
            return None

    def _try(self, request: Callable[[], Answer], name: str) -> Answer:
        """Send a request until it is answered, or for as long as patience lasts."""
        ends, pause_s, told = time.monotonic() + self._patience_s, 0.2, False
        while True:
            try:
                return request()
            except Exception as error:  # boto3 has no common base of what it raises
                why = _reason(error)
                if why.missing:
                    raise FileNotFoundError(name) from None
                if why.exists:
                    raise FileExistsError(name) from None
                if not why.passing or time.monotonic() + pause_s > ends:
                    where = self.place if not name or name.startswith(PROBE) else join(self.place, name)
                    raise FolderError(f"{where}: {why.rule}") from error
                if not told:
                    self._say(f"{self.place}: does not answer ({why.rule}); trying for {self._patience_s / 60:.0f} min")
                    told = True
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 15.0)


@dataclass(frozen=True)
class _Reason:
    """Why a request failed."""

    rule: str
    passing: bool = False
    missing: bool = False
    exists: bool = False


def _reason(error: Exception) -> _Reason:
    from botocore import exceptions

    if isinstance(error, exceptions.ClientError):
        code = str(error.response["Error"].get("Code"))
        status = int(error.response["ResponseMetadata"].get("HTTPStatusCode", 0))
        if code in ("NoSuchKey", "404"):
            return _Reason(code, missing=True)
        if code in ("PreconditionFailed", "412"):
            return _Reason(code, exists=True)
        told = {"NoSuchBucket": "there is no such bucket; make it, or correct storage"} | dict.fromkeys(
            _ELSEWHERE, "the bucket is in another region; name that in the address, such as ?region=eu-central-1"
        )
        refused = f"the storage refuses ({code}); check credentials and rights"
        rule = told.get(code, refused if status in (401, 403) else _one_line(error))
        return _Reason(rule, passing=_may_pass(status, code))
    if isinstance(error, exceptions.NoCredentialsError | exceptions.PartialCredentialsError):
        return _Reason("there are no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile")
    if isinstance(error, exceptions.SSLError):
        return _Reason(f"{_one_line(error)}; a server without TLS needs scheme=http in its address", passing=True)
    lost = (exceptions.HTTPClientError, exceptions.ResponseStreamingError, exceptions.IncompleteReadError)
    if isinstance(error, (*lost, exceptions.ConnectionError)):
        return _Reason(_one_line(error), passing=True)
    if isinstance(error, exceptions.BotoCoreError | OSError):
        return _Reason(_one_line(error))
    raise error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _may_pass(status: int, code: str) -> bool:
    return status >= 500 or status in (409, 429) or code in ("RequestTimeout", "SlowDown", "Throttling")
