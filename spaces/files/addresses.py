"""Addresses on object storage, s3://bucket/prefix: whether one is right, and what lies below it."""

import hashlib
import os
import re
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from glosstune.spaces.errors import SettingError, unknown_key
from glosstune.spaces.files.cache import cache_folder

# As Arrow has them in its URIs, which Ray takes too.
OPTIONS = ("region", "scheme", "endpoint_override")


def is_uri(place: Path | str) -> bool:
    """Whether a place is an address and not a path; a letter alone is a drive of Windows."""
    return isinstance(place, str) and re.match(r"[a-z][a-z0-9+.-]+://", place, re.IGNORECASE) is not None


def check_uri(uri: str, key: str = "storage") -> str:
    """The URI without a slash at its end.

    Raises:
        SettingError: it is none of S3, has no bucket, an unknown option, or credentials, which would be written down.
    """
    parts = urlsplit(uri)
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    if parts.scheme != "s3" or not parts.hostname:
        raise SettingError(f"must be a path, or s3://BUCKET/PREFIX; got {shown!r}", key=key)
    if "@" not in parts.netloc and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", parts.netloc):
        rule = "must name a bucket of letters, digits, '.', '_', '-'; a server goes into ?endpoint_override=HOST:PORT"
        raise SettingError(f"{rule}; got {shown!r}", key=key)
    if "@" in parts.netloc:
        rule = f"must hold no credentials; got some before {shown!r}"
        raise SettingError(f"{rule}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile", key=key)
    for name, _ in parse_qsl(parts.query, keep_blank_values=True):
        if name not in OPTIONS:
            raise SettingError(f"{shown}: option {name!r}: {unknown_key(name, OPTIONS)}", key=key)
    return parts._replace(path=parts.path.rstrip("/"), fragment="").geturl()


def join(place: str, *names: str) -> str:
    """A place below a path or a URI, whose query stays behind it."""
    if not is_uri(place):
        return os.path.join(place, *names)
    parts = urlsplit(place)
    return parts._replace(path="/".join([parts.path.rstrip("/"), *names])).geturl()


def local_folder(uri: str, kind: str) -> Path:
    """Where this machine keeps what belongs to a sweep on object storage.

    Args:
        kind: ``sweeps`` for drivers and trials, ``copies`` and ``files`` for readers.
    """
    name = uri.partition("?")[0].rpartition("/")[2]
    return cache_folder() / kind / f"{name}-{hashlib.sha256(uri.encode()).hexdigest()[:12]}"
