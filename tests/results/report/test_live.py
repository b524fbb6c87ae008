"""A page that is served follows its sweep, and leaves the reader's filter and trial alone."""

import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from sweep_folder import SweepFolder

from glosstune.results.report.live import LiveReport, serve_report
from glosstune.spaces.errors import FolderError, SettingError

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def live(sweep: SweepFolder, tmp_path: Path, said: list[str]) -> LiveReport:
    return LiveReport([str(sweep.path)], tmp_path / "report.html", said.append)


def test_the_page_is_made_anew_when_the_record_grows(live, sweep, tmp_path):
    assert live.update()
    first = live.page
    assert "No trial has reported a WER yet." in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not live.update() and live.page is first
    sweep.start(0, dropout=0.1)
    sweep.report(0, 1, wer=0.9)
    assert live.update()
    assert live.page.version != first.version and b"<b>90.0%</b>" in live.page.content
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<b>90.0%</b>" in text and "data-live" not in text.split("<body>")[0]  # the file follows nothing


def test_what_cannot_be_read_is_said_once_and_the_page_stays(live, sweep, said):
    sweep.start(0, dropout=0.1)
    live.update()
    before = live.page
    sweep.record.write_text("nonsense\n{}\n")
    assert not live.update() and not live.update()
    assert live.page is before and len(said) == 1 and "not a line of JSON" in said[0]


def test_a_folder_that_is_none_of_a_sweep_is_refused_at_once(tmp_path, said):
    with pytest.raises(FolderError, match="no such folder"):
        LiveReport([str(tmp_path / "none")], tmp_path / "report.html", said.append).update()


@pytest.fixture
def address(live: LiveReport, said: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where it is served; it looks at its folder twenty times a second."""
    live.update()
    begun, over = threading.Event(), threading.Event()
    update = live.update

    def stop() -> bool:
        begun.set()
        if over.is_set():
            raise KeyboardInterrupt
        return update()

    monkeypatch.setattr(live, "update", stop)
    thread = threading.Thread(target=serve_report, args=(live, 0), kwargs={"pause_s": 0.05})
    thread.start()
    assert begun.wait(60)
    yield said[0].split(" ")[0]
    over.set()
    thread.join()


def fetch(address: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(address, headers=headers)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {}, b""


def test_a_page_that_is_known_is_not_sent_again(address):
    status, headers, content = fetch(address)
    assert status == 200 and f"data-version='{headers['ETag']}'".encode() in content
    assert fetch(address, **{"If-None-Match": headers["ETag"]})[0] == 304
    assert fetch(address + "../../etc/passwd")[0] == fetch(address + "record.jsonl")[0] == 404


def test_a_page_of_elsewhere_cannot_read_it_by_a_name_of_its_own(address):
    assert fetch(address, Host="rebound.example:8090")[0] == 403
    assert fetch(address, Host="localhost:9000")[0] == 200  # through a tunnel


def test_a_port_that_is_taken_is_named(address, live):
    port = int(address.rstrip("/").rpartition(":")[2])
    with pytest.raises(SettingError, match=f"--port {port}: cannot be served there"):
        serve_report(live, port)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_an_open_page_follows_and_keeps_filter_and_trial(address, sweep):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(address)
        assert page.locator("#count").inner_text() == "0 of 0 trials"
        sweep.start(0, dropout=0.1)
        sweep.start(1, dropout=0.2)
        page.wait_for_function("document.querySelectorAll('#trials tbody tr').length === 2")
        page.locator("#filter").fill("dropout<0.15")
        page.wait_for_function("document.querySelectorAll('#trials tbody tr').length === 1")
        page.locator("#trials tbody tr").click()
        sweep.report(0, 1, wer=0.75)
        page.wait_for_function("document.querySelector('#head b').textContent === '75.0%'")
        page.wait_for_function("document.querySelector('#told pre').textContent.includes('75.0%')")
        assert page.locator("#told h2").inner_text() == "trial 0"
        assert page.locator("#filter").input_value() == "dropout<0.15"
        assert page.locator("#count").inner_text() == "1 of 2 trials"
        assert page.locator("#live").inner_text().startswith("live, as of")
        page.wait_for_selector("#learning:not([data-due]) svg")
        assert wrong == []
        browser.close()


@pytest.mark.slow
def test_the_command_serves_until_it_is_interrupted(sweep, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "glosstune.search", "report", str(sweep.path), "--live", "--port", port]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        try:
            assert process.stderr is not None
            assert process.stderr.readline().startswith(f"http://127.0.0.1:{port}/")
            assert fetch(f"http://127.0.0.1:{port}/")[0] == 200
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
            assert process.stderr.read() == f"{sweep.path / 'report.html'}: as it was last\n"
        finally:
            process.kill()
