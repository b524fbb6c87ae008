"""Ask for the end of a trial, or for its whole length."""

from pathlib import Path

from glosstune.results.reading.events import SweepVisited, write_event
from glosstune.results.reading.names import RECORD, SWEEP
from glosstune.results.reading.record import read_record
from glosstune.results.reading.remote import as_local
from glosstune.search.config.loading import load_sweep
from glosstune.search.driver.requests import send
from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.search.storage.lock import Driven
from glosstune.search.storage.record import Record
from glosstune.search.storage.sweep_folder import SweepFolder
from glosstune.spaces.errors import FolderError, quoted


def request(place: Path | str, number: int, action: str) -> str:
    """End (``stop``) or pin (``pin``) a trial and say what comes of it; a driver that runs the sweep is asked.

    Raises:
        FolderError: no sweep lies there.
        SettingError: there is no such trial, or it is beyond that.
    """
    # Whoever drives the sweep could only refuse what is refused here.
    _act(_scheduler(as_local(place), None), action, number)
    work = SweepFolder.at(place, key="FOLDER")
    try:
        with work.owned():
            _act(_scheduler(work.folder, work.record), action, number)
    except Driven:
        send(work, {action: number})
        return f"trial {number}: {action}, handed to the driver that runs the sweep"
    if action == "stop":
        return f"trial {number}: stopped"
    return f"trial {number}: pinned; it trains to its end with: glosstune resume {quoted(work.place)}"


def _scheduler(folder: Path, record: Record | None) -> Scheduler:
    if record is not None:
        record.repair()
    events = read_record(folder).events
    if not events:
        raise FolderError(f"{folder}: its record is empty; remove the folder and start the sweep again")
    if record is not None:
        events.append(write_event(record.append, SweepVisited()))

    def discard(event: str, **fields: object) -> dict[str, object]:
        return {"event": event, "time": events[-1].time, **fields}

    append = discard if record is None else record.append
    return Scheduler(load_sweep(folder / SWEEP), append, events=events, source=folder / RECORD)


def _act(scheduler: Scheduler, action: str, number: int) -> None:
    (scheduler.stop if action == "stop" else scheduler.pin)(number)
