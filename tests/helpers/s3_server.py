"""A real server of S3 on loopback, which can be told to fail.

That is moto, or, where the environment variable GLOSSTUNE_TEST_S3 names one as HOST:PORT, that server behind a proxy
that fails. It has to know the keys below, and to have no bucket ``bucket`` yet, which is removed at the end.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

KEY = "key-of-the-tests"
SECRET = "secret-of-the-tests"
BUCKET = "bucket"
ENDPOINT = "GLOSSTUNE_TEST_S3"
RESET = "reset"
LOST = "lost"

Environment = dict[str, Any]
Fault = Callable[[str, str], "str | float | None"]
Application = Callable[[Environment, Callable[..., Any]], Iterable[bytes]]


class S3Server:
    """Serves S3 until it is closed.

    Attributes:
        fault: asked with method and path of every request; a status such as ``503 Slow Down`` is answered instead,
            seconds are waited for first, ``RESET`` ends the connection, ``LOST`` too, once what was asked for is done.
        requests: every method and path.
    """

    def __init__(self) -> None:
        self.fault: Fault | None = None
        self.requests: list[tuple[str, str]] = []
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        endpoint = os.environ.get(ENDPOINT)
        self._serve: Application = (
            DomainDispatcherApplication(create_backend_app) if endpoint is None else _via(endpoint)
        )
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.query = f"scheme=http&endpoint_override=127.0.0.1:{self._server.server_port}&region=us-east-1"
        url = f"http://127.0.0.1:{self._server.server_port}"
        self.client = boto3.client("s3", endpoint_url=url, region_name="us-east-1")
        if BUCKET in [each["Name"] for each in self.client.list_buckets()["Buckets"]]:
            raise ValueError(f"{ENDPOINT}: the server has a bucket {BUCKET!r} already, which tests would write into")
        self.client.create_bucket(Bucket=BUCKET)

    def uri(self, name: str) -> str:
        """The address of a folder."""
        return f"s3://{BUCKET}/{name}?{self.query}"

    def names(self, prefix: str) -> list[str]:
        """Every object below a prefix."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [each["Key"] for page in pages for each in page.get("Contents", ())]

    def close(self) -> None:
        for name in self.names(""):
            self.client.delete_object(Bucket=BUCKET, Key=name)
        self.client.delete_bucket(Bucket=BUCKET)
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, environment: Environment, start: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environment["REQUEST_METHOD"], environment["PATH_INFO"]
        self.requests.append((method, path))
        fault = self.fault(method, path) if self.fault is not None else None
        if fault in (RESET, LOST):
            if fault == LOST:
                list(self._serve(environment, lambda *told: None))
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
        return self._serve(environment, start)


def _via(endpoint: str) -> Application:
    """Sends every request on as it came, also by the name of the host that it was signed for."""

    def answer(environment: Environment, start: Callable[..., Any]) -> Iterable[bytes]:
        connection = HTTPConnection(endpoint, timeout=60)
        try:
            connection.putrequest(
                environment["REQUEST_METHOD"], environment["RAW_URI"], skip_host=True, skip_accept_encoding=True
            )
            for name, value in environment.items():
                if name.startswith("HTTP_") and name not in _OF_A_CONNECTION:
                    connection.putheader(name.removeprefix("HTTP_").replace("_", "-"), value)
            for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                if environment.get(name):
                    connection.putheader(name.replace("_", "-"), environment[name])
            connection.endheaders(_read_whole(environment))
            response = connection.getresponse()
            content = response.read()
            told = [(name, value) for name, value in response.getheaders() if _variable(name) not in _OF_A_CONNECTION]
            start(f"{response.status} {response.reason}", told)
            return [content]
        finally:
            connection.close()

    return answer


_OF_A_CONNECTION = {"HTTP_CONNECTION", "HTTP_EXPECT", "HTTP_KEEP_ALIVE", "HTTP_TRANSFER_ENCODING"}


def _variable(name: str) -> str:
    return f"HTTP_{name.upper().replace('-', '_')}"


def _read_whole(environment: Environment) -> bytes:
    content: bytes = environment["wsgi.input"].read(int(environment.get("CONTENT_LENGTH") or 0))
    return content


@contextmanager
def serve_s3() -> Iterator[S3Server]:
    server = S3Server()
    try:
        yield server
    finally:
        server.close()
