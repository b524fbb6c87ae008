"""A real server of S3 on loopback, which can be told to fail."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

KEY = "key-of-the-tests"
SECRET = "secret-of-the-tests"
BUCKET = "bucket"
RESET = "reset"
LOST = "lost"

Environment = dict[str, Any]
Fault = Callable[[str, str], "str | float | None"]


class S3Server:
    """Serves moto's S3 until it is closed.

    Attributes:
        fault: asked with method and path of every request; a status such as ``503 Slow Down`` is answered instead,
            seconds are waited for first, ``RESET`` ends the connection, ``LOST`` too, once what was asked for is done.
        requests: every method and path.
    """

    def __init__(self) -> None:
        self.fault: Fault | None = None
        self.requests: list[tuple[str, str]] = []
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.query = f"scheme=http&endpoint_override=127.0.0.1:{self._server.server_port}&region=us-east-1"
        url = f"http://127.0.0.1:{self._server.server_port}"
        self.client = boto3.client("s3", endpoint_url=url, region_name="us-east-1")
        self.client.create_bucket(Bucket=BUCKET)

    def uri(self, name: str) -> str:
        """The address of a folder."""
        return f"s3://{BUCKET}/{name}?{self.query}"

    def names(self, prefix: str) -> list[str]:
        """Every object below a prefix."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [each["Key"] for page in pages for each in page.get("Contents", ())]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, environment: Environment, start: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environment["REQUEST_METHOD"], environment["PATH_INFO"]
        self.requests.append((method, path))
        fault = self.fault(method, path) if self.fault is not None else None
        if fault in (RESET, LOST):
            if fault == LOST:
                list(self._moto(environment, lambda *told: None))
            else:
                _read_whole(environment)
            environment["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            start("500 Nobody Hears", [])
            return []
        if isinstance(fault, str):
            _read_whole(environment)
            start(fault, [("Content-Type", "application/xml")])
            return [f"<Error><Code>{fault.partition(' ')[2].replace(' ', '')}</Code></Error>".encode()]
        if fault is not None:
            time.sleep(fault)
        return self._moto(environment, start)  # type: ignore[no-any-return]  # moto has no types


def _read_whole(environment: Environment) -> None:
    environment["wsgi.input"].read(int(environment.get("CONTENT_LENGTH") or 0))


@contextmanager
def serve_s3() -> Iterator[S3Server]:
    server = S3Server()
    try:
        yield server
    finally:
        server.close()
