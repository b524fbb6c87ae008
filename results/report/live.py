"""Serve the report of sweeps that may be running, made anew whenever one of them has written something."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import plotly.graph_objects as go

from glosstune.results.analysis.metrics import Mode
from glosstune.results.reading.loading import load_frames
from glosstune.results.reading.names import CONFIRM, LOCK, RECORD, SUMMARY
from glosstune.results.reading.remote import as_local
from glosstune.results.report.page import draw_figures, rank_by, render_report
from glosstune.spaces.errors import FolderError, SettingError
from glosstune.spaces.files.addresses import is_uri
from glosstune.spaces.files.atomic import write_text
from glosstune.spaces.files.locks import is_free

_HOST = "127.0.0.1"
# How often folders here are looked at, and those on object storage, which is asked for a list each time.
_HERE_S, _STORAGE_S = 2.0, 15.0


@dataclass(frozen=True)
class _Page:
    content: bytes
    version: str
    made: str


class LiveReport:
    """The page of some folders, and whether it is still that of what lies in them.

    Args:
        folders: of sweeps, or their addresses.
        path: the page is written there too, each time.
        say: takes a line that the user should see.
        metric: that the page ranks by; mode as for ``rank_trials``.
    """

    def __init__(
        self,
        folders: Sequence[str],
        path: Path,
        say: Callable[[str], None],
        *,
        metric: str = "wer",
        mode: Mode | None = None,
    ) -> None:
        self.path, self.say = path, say
        self._metric, self._mode = metric, mode
        self.pause_s = _STORAGE_S if any(map(is_uri, folders)) else _HERE_S
        self._folders = folders
        self._seen: object = None
        self._ended: object = None
        self._figures: dict[str, go.Figure] = {}
        self._complaint = ""
        self._versions = 0
        self.page: _Page

    def update(self) -> bool:
        """Make the page anew where a folder has changed; whether it did.

        Raises:
            FolderError: on the first call, of a folder that cannot be read; later ones say so and keep the page.
        """
        try:
            seen = [_look(as_local(folder)) for folder in self._folders]
            if seen == self._seen:
                return False
            self._make()
        except FolderError as error:
            if self._seen is None:
                raise
            if str(error) != self._complaint:  # once, for it is looked at every few seconds
                self.say(f"{error}; the page stays as it was")
            self._complaint = str(error)
            return False
        self._seen, self._complaint = seen, ""
        return True

    def _make(self) -> None:
        results = load_frames(list(self._folders), leave_out=True)
        # What takes the longest only tells the trials that have ended a little better with each epoch of another.
        ended = results.trials["status"].tolist()
        kept = {name: figure for name, figure in self._figures.items() if name == "importance" and ended == self._ended}
        ranking = rank_by(results, self._metric, self._mode)
        self._figures, self._ended = draw_figures(results, kept, ranking), ended
        text = render_report(results, self._figures, results.confirmation, ranking)
        write_text(self.path, text)
        self._versions += 1
        version = f'"{time.time_ns()}-{self._versions}"'  # another server on this port has none of the same
        told = f'<html lang="en" data-live="{_HERE_S:g}" data-version=\'{version}\'>'
        content = text.replace('<html lang="en">', told, 1).encode()
        self.page = _Page(content, version, f"{datetime.now():%H:%M:%S}")


def serve_report(report: LiveReport, port: int, *, pause_s: float | None = None) -> None:
    """Serve the page on this machine alone, and keep it current, until the process is interrupted.

    Args:
        report: which has been made once.
        port: 0 takes any that is free.
        pause_s: between two looks at the folders.

    Raises:
        SettingError: the port is taken.
    """
    try:
        server = ThreadingHTTPServer((_HOST, port), _handler(report))
    except OSError as error:
        rule = f"cannot be served there ({error.strerror or error}); choose another"
        raise SettingError(f"--port {port}: {rule}") from None
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    report.say(f"http://{_HOST}:{server.server_port}/ shows it as it grows; Ctrl-C ends this")
    try:
        while True:
            time.sleep(report.pause_s if pause_s is None else pause_s)
            report.update()
    except KeyboardInterrupt:
        report.say(f"{report.path}: as it was last")
    finally:
        server.shutdown()
        server.server_close()


def _look(folder: Path) -> list[tuple[str, int, int]]:
    """What tells that something was written: of a sweep its record, of Ray's folders every result."""
    names = [RECORD, f"{CONFIRM}/{SUMMARY}"] if (folder / RECORD).exists() else ["*/result.json", "*/progress.csv"]
    found = []
    for path in sorted(path for name in names for path in folder.glob(name)):
        with suppress(OSError):  # gone since
            state = path.stat()
            found.append((str(path), state.st_mtime_ns, state.st_size))
    # A driver that is killed writes nothing more.
    return [*found, (LOCK, int(is_free(folder / LOCK)), 0)]


def _handler(report: LiveReport) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = report.page
            # A page of elsewhere could have its own name lead here, to read what this machine serves.
            if self.headers.get("Host", "").partition(":")[0] not in (_HOST, "localhost"):
                self.send_error(403)
            elif self.path.partition("?")[0] != "/":
                self.send_error(404)
            elif self.headers.get("If-None-Match") == page.version:
                self._answer(304, page, b"")
            else:
                self._answer(200, page, page.content)

        def _answer(self, status: int, page: _Page, content: bytes) -> None:
            self.send_response(status)
            self.send_header("ETag", page.version)
            self.send_header("X-As-Of", page.made)
            self.send_header("Cache-Control", "no-store")
            if status == 200:
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with suppress(ConnectionError):  # the reader has gone
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the terminal is for what went wrong."""

    return Handler
