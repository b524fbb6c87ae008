"""Look for secrets in whatever was written, also where it is encoded or compressed."""

import gzip
import io
import threading
import zipfile
import zlib
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import pyarrow.parquet

_DEEPEST = 3


def forms(secret: str) -> set[bytes]:
    """A secret as text, in UTF-16, hexadecimal, quoted for a URL, and in base64 wherever in the text it begins."""
    plain = secret.encode()
    found = {plain, secret.encode("utf-16-le"), plain.hex().encode(), quote(secret, safe="").encode()}
    for shift in range(3):
        for encode in (b64encode, urlsafe_b64encode):
            # Letters that hold bits of what stands before or behind it too are not its own.
            letters = encode(bytes(shift) + plain)
            found.add(letters[-(-shift * 8 // 6) : (shift + len(plain)) * 8 // 6])
    return found


def leaks(content: bytes, secrets: Iterable[str]) -> set[str]:
    """The secrets that a file's content holds."""
    layers = list(_layers(content, _DEEPEST))
    return {secret for secret in secrets if any(form in layer for form in forms(secret) for layer in layers)}


def leaks_below(folder: Path, secrets: Iterable[str]) -> dict[str, set[str]]:
    """The secrets in all files below a folder and in their names, by path."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    found = {str(path): leaks(path.read_bytes(), secrets) | leaks(str(path).encode(), secrets) for path in files}
    return {path: held for path, held in found.items() if held}


@contextmanager
def watched_arguments(secrets: Iterable[str]) -> Iterator[set[str]]:
    """The secrets that any process of this machine has among its arguments meanwhile, which all users can list."""
    held: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):  # it has ended
                    held.update(leaks(path.read_bytes(), secrets))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield held
    finally:
        over.set()
        looking.join()


def _layers(content: bytes, depth: int) -> Iterator[bytes]:
    """The content, and what comes out of it where it is compressed."""
    yield content
    if depth == 0:
        return
    inner: list[bytes] = []
    if content.startswith(b"PAR1"):
        with suppress(pyarrow.ArrowException):
            inner.append(repr(pyarrow.parquet.read_table(io.BytesIO(content)).to_pylist()).encode())
    elif zipfile.is_zipfile(io.BytesIO(content)):
        with suppress(zipfile.BadZipFile), zipfile.ZipFile(io.BytesIO(content)) as archive:
            inner += [archive.read(name) for name in archive.namelist()]
    elif content.startswith(b"\x1f\x8b"):
        with suppress(OSError, EOFError):
            inner.append(gzip.decompress(content))
    elif content.startswith(b"\x78"):
        with suppress(zlib.error):
            inner.append(zlib.decompress(content))
    for each in inner:
        yield from _layers(each, depth - 1)
