"""Requests to a running driver, one small JSON file or object each: only the driver writes the record.

A driver may be killed at any moment, and the next one then finds a request whose file is still there. What of it is
done, that one sees: the sweep file names the request that it was last written for, the record with each configuration
the request that brought it.
"""

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from glosstune.results.reading.events import USER
from glosstune.results.reading.names import REQUESTS, SWEEP
from glosstune.search.config.changes import INPUTS, count_samples, list_changes
from glosstune.search.config.loading import load_sweep
from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.search.storage.record import Unwritten
from glosstune.search.storage.sweep_folder import SweepFolder, request_in, write_sweep
from glosstune.spaces.errors import FolderError, SettingError
from glosstune.spaces.files.bounded import parse_json


def send(work: SweepFolder, request: dict[str, Any]) -> None:
    """Leave a request for whoever drives the sweep."""
    work.files.write(f"{REQUESTS}/{time.time_ns()}-{uuid.uuid4().hex}.json", json.dumps(request).encode())


def take(work: SweepFolder) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every request that waits and its name, oldest first; each is gone once the next is asked for.

    Before them comes the one that the sweep file was last written for, if its driver was killed before it was gone:
    clocks differ, and behind another one nobody would see that its change is done.
    """
    names = work.files.names(f"{REQUESTS}/")
    begun = f"{REQUESTS}/{request_in(work)}" if names else None
    for name in sorted(names, key=lambda name: (name != begun, name)):
        if not name.endswith(".json") or not name.isprintable():
            continue  # on its way still, or of nobody who would have it followed
        try:
            request = parse_json(work.files.read(name) or b"null")
        except (ValueError, FolderError):  # or a pipe, which cannot be read
            request = None
        if isinstance(request, dict):
            yield name.removeprefix(f"{REQUESTS}/"), request
        work.files.remove(name)


class Requests:
    """Does what users ask of a running driver.

    Args:
        note: hears what was not done, and why.
    """

    def __init__(self, scheduler: Scheduler, work: SweepFolder, note: Callable[[str], object]) -> None:
        self._scheduler = scheduler
        self._work = work
        self._note = note

    def obey(self) -> bool:
        """Do what users ask for; whether they asked for anything."""
        asked = False
        for name, request in take(self._work):
            asked = True
            try:
                self._follow(name, request)
            except Unwritten:  # what was asked for waits for the next driver
                raise
            except Exception as error:  # whatever somebody has put there
                self._note(f"a request was not followed: {error}")
        return asked

    def _follow(self, name: str, request: Mapping[str, Any]) -> None:
        if "stop" in request:
            trial = self._scheduler.state.trials.get(int(request["stop"]))
            if trial is None or trial.rule != USER:  # else the driver before this one has followed it
                self._scheduler.stop(int(request["stop"]))
        elif "pin" in request:
            self._scheduler.pin(int(request["pin"]))
        else:
            if request_in(self._work) != name:
                self._change(name, request["changes"], request["samples"])
            for configuration in request["queue"][self._scheduler.state.followed[name] :]:
                self._scheduler.queue(configuration, name)

    def _change(self, name: str, asked: Mapping[str, Any], samples: str | None) -> None:
        old = load_sweep(self._work.folder / SWEEP)
        overrides = [f"{key}={json.dumps(value)}" for key, value in asked.items()]
        if samples is not None:
            overrides.append(f"search.samples={count_samples(samples, old)}")
        new = load_sweep(self._work.folder / SWEEP, overrides)
        changes = list_changes(old, new)
        begun_with = (*INPUTS, "resources.cpu", "resources.gpu", "search.prior", "tracking")
        for key in changes:
            if key in begun_with:
                raise SettingError("can change only when a sweep is resumed; interrupt it first", key=key)
        if changes:
            # The file may leave weights, gains and the share of a GPU open, which this driver has found.
            now = self._scheduler.state.sweep
            resources = new.resources.model_copy(update={"gpu": now.resources.gpu})
            ready = new.model_copy(update={"pretrained": now.pretrained, "resources": resources, "corpus": now.corpus})
            self._scheduler.change(ready, changes)
            # Last, and with the name in the same file: how many more are asked for is counted from what stands there.
            write_sweep(new, self._work, name)
