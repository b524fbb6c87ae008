"""Sweeps on object storage outlive every machine, and whatever S3 does meanwhile."""

import random
import shutil
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
import ray
from hypothesis import given
from hypothesis import strategies as st
from player import Player, play
from replay import crash_plan, drive, learning
from rich.console import Console
from s3_server import SECRET, S3Server
from victim import Victim, read_reports

from glosstune.results import load_results
from glosstune.results.reading import loading, remote
from glosstune.results.reading.events import Event, SweepBegun, parse_event
from glosstune.results.reading.record import read_record
from glosstune.results.reading.remote import as_local, number_events
from glosstune.search.confirm import confirming
from glosstune.search.driver import driving
from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.search.storage import lock
from glosstune.search.storage import record as record_module
from glosstune.search.storage.lock import Driven
from glosstune.search.storage.sweep_folder import SweepFolder, write_sweep
from glosstune.spaces.errors import FolderError
from glosstune.spaces.files.addresses import join
from glosstune.spaces.files.object_storage import ObjectFolder

Run = Callable[..., int]
Events = list[Event]
PLAN = crash_plan(4, "resources.concurrent=2")


def _begin(work: SweepFolder) -> Events:
    write_sweep(PLAN, work)
    return [parse_event(work.record.append("sweep", format=1, id="s3", samples=4, epochs=18, metric="wer", target=0.3))]


def _drive(work: SweepFolder, events: Events, kind: type[Player] = Player) -> None:
    trainable = play(work.folder, kind, work.place)
    driving.drive(PLAN, work, events, Console(quiet=True), print, trainable=trainable)


def _check(uri: str) -> None:
    """Every sample is there, and every epoch once."""
    results = load_results(uri)
    ends = results.trials[["trial", "status", "stop_reason"]]
    assert set(ends["status"]) <= {"finished", "stopped"}, ends.to_string()
    assert len(results.trials) == 4
    for number, epochs in results.epochs.groupby("trial"):
        configuration = results.configuration(int(number))
        assert list(epochs["epoch"]) == list(range(1, len(epochs) + 1))
        assert list(epochs["wer"]) == [learning(configuration, epoch)["wer"] for epoch in epochs["epoch"]]


def test_a_sweep_on_s3_is_read_from_anywhere_and_faults_cost_time_alone(ray_cluster: None, s3: S3Server) -> None:
    generator = random.Random(0)
    faults = ["503 Slow Down", "500 Internal Error", 0.3]
    s3.fault = lambda method, path: generator.choice(faults) if generator.random() < 0.15 else None
    work = SweepFolder.at(s3.uri("whole"))
    with work.owned():
        _drive(work, _begin(work))
    s3.fault = None
    shutil.rmtree(work.folder)
    _check(work.place)
    results = load_results(work.place)
    assert results.place == work.place
    assert str(results.best["last_checkpoint"]).startswith("s3://bucket/whole/trials/")
    names = s3.names("whole/")
    assert "whole/driver.json" not in names
    assert "whole/study.journal" in names
    assert any(name.startswith("whole/tensorboard/0000/") for name in names)


@pytest.mark.slow
def test_a_sweep_goes_on_without_the_machine_that_drove_it(
    ray_cluster: None, drivers: ForkServerContext, s3: S3Server, tmp_path: Path
) -> None:
    uri, address = s3.uri("lost"), ray.get_runtime_context().gcs_address
    first = Victim(drivers, tmp_path, 4, 2, address, uri=uri)
    assert first.wait_for(8)
    first.kill("driver", random.Random(0))
    reported = read_reports(first.folder)
    first.folder.rename(tmp_path / "lost")  # at once: trials that outlive their driver for a moment still write there
    second = Victim(drivers, tmp_path, 4, 2, address, uri=uri)
    second.process.join(timeout=180)
    assert second.process.exitcode == 0, (tmp_path / "driver.log").read_text()[-2000:]
    _check(uri)
    assert reported == read_reports(as_local(uri))[: len(reported)]


def test_a_thousand_events_become_one_object(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_module, "COMPACTED", 7)
    work = SweepFolder.at(s3.uri("compact"))
    with work.owned():
        begun = _begin(work)
        drive(Scheduler(PLAN, work.record.append, events=begun))
        count = len((work.folder / "record.jsonl").read_bytes().splitlines())
    assert len(s3.names("compact/thousands/")) == count // 7
    assert len(s3.names("compact/record/")) == count
    before = len(s3.requests)
    assert (as_local(work.place) / "record.jsonl").read_bytes() == (work.folder / "record.jsonl").read_bytes()
    read = [path for method, path in s3.requests[before:] if method == "GET" and "/compact/record/" in path]
    assert len(read) == count % 7  # the others came by sevens


def test_a_thousand_events_that_no_driver_came_to_copy_are_read_one_by_one(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_module, "COMPACTED", 7)
    work = SweepFolder.at(s3.uri("gap"))
    with work.owned():
        begun = _begin(work)
        drive(Scheduler(PLAN, work.record.append, events=begun))
    work.files.remove("thousands/00000007-00000013.json")
    before = len(s3.requests)
    assert (as_local(work.place) / "record.jsonl").read_bytes() == (work.folder / "record.jsonl").read_bytes()
    read = {path[-13:-5] for method, path in s3.requests[before:] if method == "GET" and "/gap/record/" in path}
    assert {f"{event:08d}" for event in range(7, 14)} <= read


def test_on_s3_trials_of_a_driver_that_is_gone_or_silent_are_interrupted(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = SweepFolder.at(s3.uri("left"))

    def statuses() -> set[str]:
        return set(load_results(work.place).trials["status"])

    with work.owned():
        begun = _begin(work)
        Scheduler(PLAN, work.record.append, events=begun).next_trial()
        assert statuses() == {"running"}
        with monkeypatch.context() as patch:
            patch.setattr(loading, "SILENT_S", -1.0)
            assert statuses() == {"interrupted"}
    assert statuses() == {"interrupted"}


@given(st.integers(1, 60), st.integers(1, 10), st.integers(0, 60), st.data())
def test_events_are_read_once_and_in_order(count: int, together: int, first: int, data: Any) -> None:
    spans = [(start, start + together - 1) for start in range(0, count - together + 1, together)]
    names = [f"thousands/{start:08d}-{end:08d}.json" for start, end in spans]
    singles = range(min(first, len(spans) * together), count)  # a listing may begin at any event that is in a span
    names += [f"record/{event:08d}.json" for event in singles]
    read = []
    for name in number_events(data.draw(st.permutations(names))):
        start, _, end = name.partition("/")[2].removesuffix(".json").partition("-")
        read += range(int(start), int(end or start) + 1)
    assert read == list(range(count))


def test_a_missing_event_is_an_error() -> None:
    with pytest.raises(FolderError, match="event 1 is missing; the next one is 2"):
        number_events(["record/00000000.json", "record/00000002.json"])


def test_a_driver_that_lives_keeps_others_off(s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(lock, "BEAT_S", 0.2)
    monkeypatch.setattr(lock.platform, "node", lambda: "another")
    with SweepFolder.at(s3.uri("owned")).owned():
        monkeypatch.setenv("GLOSSTUNE_CACHE", str(tmp_path))  # as another machine
        monkeypatch.setattr(lock.platform, "node", lambda: "here")
        living = pytest.raises(Driven, match=r"owned\?.*: is being run by process \d+ on another")
        with living, SweepFolder.at(s3.uri("owned")).owned():
            pass
    with SweepFolder.at(s3.uri("owned")).owned():
        pass


def test_a_driver_that_has_gone_silent_is_replaced_and_can_write_no_more(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lock, "SILENCE_S", 0.3)
    first = SweepFolder.at(s3.uri("silent"))
    with first.owned():
        (begun,) = _begin(first)
        record = first.record
        monkeypatch.setenv("GLOSSTUNE_CACHE", str(tmp_path))
        monkeypatch.setattr(lock.platform, "node", lambda: "elsewhere")
        second = SweepFolder.at(s3.uri("silent"))
        with second.owned():
            second.record.append("resume", changes={})
            with pytest.raises(FolderError, match="another driver has taken the sweep over"):
                record.append("trial", trial=0, configuration={})
    kept = load_results(second.place)
    assert isinstance(begun, SweepBegun)
    assert kept.trials.empty


def test_a_process_of_a_node_that_was_given_up_writes_over_nothing(s3: S3Server, tmp_path: Path) -> None:
    living, zombie = (ObjectFolder(s3.uri("zombie"), tmp_path / name) for name in ("living", "zombie"))
    for folder, content in ((zombie, b"epoch 3"), (living, b"epoch 4")):
        folder.here.mkdir()
        (folder.here / "last.pt").write_bytes(content)
    tag = zombie.replace("last.pt", None)
    assert zombie.tag("last.pt") == tag
    newer = living.replace("last.pt", tag)
    for stale in (tag, None):
        with pytest.raises(FileExistsError):
            zombie.replace("last.pt", stale)
    assert living.replace("last.pt", tag) == newer  # the answer to the first one was lost
    assert living.read("last.pt") == b"epoch 4"


def test_a_sweep_that_was_killed_before_its_first_event_is_in_nobodys_way(
    ray_cluster: None, s3: S3Server, run: Run, tiny: list[str]
) -> None:
    uri = s3.uri("early")
    for name in ("inputs/abc", "manifest.json", "sweep.yaml"):
        s3.client.put_object(Bucket="bucket", Key=f"early/{name}", Body=b"old")
    asked = [*tiny, "search.samples=1", "search.epoch_budget=1", "--out", uri, "--resume"]
    assert run("sweep", *asked) == 0
    assert load_results(uri).trials["epochs"].to_list() == [1]


def test_folders_without_files_are_in_nobodys_way(s3: S3Server) -> None:
    """As consoles make them, and servers that keep what was once there."""
    for name in ("folders/", "folders/trials/", "folders/trials/0000/"):
        s3.client.put_object(Bucket="bucket", Key=name)
    work = SweepFolder.at(s3.uri("folders"))
    work.check_free()
    with work.owned(new=True):
        begun = _begin(work)
        assert work.files.names("record/") == {"record/00000000.json": work.files.tag("record/00000000.json")}
    assert [event.time for event in read_record(as_local(work.place)).events] == [event.time for event in begun]
    s3.client.put_object(Bucket="bucket", Key="others/trials/0000/last.pt")
    with pytest.raises(FolderError, match="holds objects already"):
        SweepFolder.at(s3.uri("others")).check_free()


def test_a_record_that_cannot_be_written_is_one_line(
    ray_cluster: None, s3: S3Server, run: Run, tiny: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(method: str, path: str) -> str | None:
        return "403 Access Denied" if method == "PUT" and path.endswith("record/00000002.json") else None

    s3.fault = refuse
    assert run("sweep", *tiny, "search.samples=1", "--out", s3.uri("refused")) == 2
    told = capsys.readouterr().err
    assert "record/00000002.json" in told and "the storage refuses (AccessDenied)" in told
    assert "Traceback" not in told


def test_names_that_lead_out_of_the_folder_are_left_alone(s3: S3Server, tmp_path: Path) -> None:
    work = SweepFolder.at(s3.uri("evil"))
    with work.owned():
        _begin(work)
    for name in ("evil/../../outside", "evil//absolute", "evil/trials/../../../outside"):
        s3.client.put_object(Bucket="bucket", Key=name, Body=b"planted")
    folder = as_local(work.place)
    planted = [path for path in folder.parents[1].rglob("*") if path.is_file() and path.read_bytes() == b"planted"]
    assert planted == []


def test_commands_take_the_address_of_a_sweep(
    ray_cluster: None, s3: S3Server, run: Run, tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = s3.uri("runs/a")
    assert run("sweep", *tiny, "search.samples=1", "--out", uri) == 0
    assert f"sweep folder: {uri}" in capsys.readouterr().err
    assert run("sweep", *tiny, "search.samples=1", "--out", uri) == 2
    assert f"holds a sweep already; go on with it: glosstune resume '{uri}'" in capsys.readouterr().err
    for folder in ("sweeps", "copies", "files"):
        shutil.rmtree(remote.local_folder(uri, folder).parent, ignore_errors=True)
    assert run("resume", uri, "--samples", "+1") == 0
    out = capsys.readouterr()
    assert "1 finished, 1 stopped" in out.out
    assert f"look      glosstune report '{uri}'" in out.out
    for command in ("status", "watch"):
        assert run(command, uri) == 0
        assert capsys.readouterr().out.startswith(f"{uri}: ended; ")
    assert run("results", uri, "--columns", "trial,status", "--format", "csv") == 0
    assert capsys.readouterr().out == "trial,status\n0,finished\n1,stopped\n"
    assert run("report", uri, "--out", str(tmp_path / "report.html")) == 0
    assert run("export", uri, "--out", str(tmp_path / "student.safetensors")) == 0
    assert run("explain", uri, "1") == 0
    assert run("trial", uri, "0", "--stop") == 2
    assert "trial 0 is over already" in capsys.readouterr().err
    assert run("results", s3.uri("runs/none")) == 2
    assert "not the folder of a sweep: there is no record" in capsys.readouterr().err
    written = [s3.client.get_object(Bucket="bucket", Key=name)["Body"].read() for name in s3.names("runs/a/")]
    assert not [content for content in written if SECRET.encode() in content]


@pytest.mark.slow
def test_a_confirmation_is_kept_beside_its_sweep_and_scores_once_whatever_machine_goes_on(
    ray_cluster: None,
    s3: S3Server,
    run: Run,
    tiny: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    uri, options = s3.uri("confirmed"), ["--top", "1", "--seeds", "2"]
    assert run("sweep", *tiny, "search.samples=1", "--out", uri) == 0

    def forget() -> None:
        for folder in ("sweeps", "copies", "files"):
            shutil.rmtree(remote.local_folder(uri, folder).parent, ignore_errors=True)

    def lost(*arguments: Any) -> Any:
        raise FolderError("this machine is lost")

    forget()
    with monkeypatch.context() as patch:
        patch.setattr(confirming, "score_parts", lost)
        assert run("confirm", uri, *options) == 2
    events = s3.names("confirmed/confirm/seeds/record/")
    assert len([name for name in s3.names("confirmed/confirm/seeds/trials/") if name.endswith("/best.pt")]) == 2
    assert "confirmed/confirm/utterances.parquet" not in s3.names("confirmed/confirm/")
    forget()
    capsys.readouterr()
    assert run("confirm", uri, *options) == 0
    told = capsys.readouterr().out
    assert "95 % interval" in told
    assert s3.names("confirmed/confirm/seeds/record/") == events  # nothing was trained again
    forget()
    with monkeypatch.context() as patch:
        patch.setattr(confirming, "score_parts", lost)
        assert run("confirm", uri, *options) == 0
    assert capsys.readouterr().out == told
    assert run("confirm", uri, "--top", "1", "--seeds", "3") == 2
    assert "confirmed/confirm?" in (refused := capsys.readouterr().err) and "holds another confirmation" in refused
    assert run("results", join(uri, "confirm", "seeds"), "--columns", "seed,status", "--format", "csv") == 0
    assert capsys.readouterr().out == "seed,status\n1,finished\n2,finished\n"
    page = tmp_path / "report.html"
    assert run("report", uri, "--out", str(page)) == 0
    assert "confirmed on test" in page.read_text()
    copied = as_local(uri) / "confirm"
    assert sorted(path.name for path in copied.iterdir()) == ["confirmation.json", "plan.json", "utterances.parquet"]
