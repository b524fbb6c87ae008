"""Serve Optuna's dashboard on the study that a sweep is mirrored to."""

from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from glosstune.results.reading.names import RECORD, SWEEP
from glosstune.results.reading.record import read_record
from glosstune.search.config.loading import load_sweep
from glosstune.search.scheduler.state import SweepState
from glosstune.search.storage.lock import Driven, owned
from glosstune.search.tracking.optuna_study import URL, OptunaStudy, open_storage, study_name
from glosstune.spaces.errors import FolderError, SettingError


def serve(folder: Path, host: str, port: int) -> None:
    """Serve until the process is interrupted. A study that is missing, torn or behind is made anew first.

    Args:
        folder: of the sweep.

    Raises:
        SettingError: optuna-dashboard is not installed, the storage that the environment names cannot be used, or
            the port is taken.
        FolderError: no sweep lies there.
    """
    if find_spec("optuna_dashboard") is None:
        raise SettingError('dashboard: optuna-dashboard is not installed; pip install "glosstune[dashboard]"')
    from optuna_dashboard import run_server

    events = read_record(folder).events
    state = SweepState(load_sweep(folder / SWEEP))
    state.replay(events, folder / RECORD)
    with suppress(Driven), owned(folder):  # a driver that lives keeps the study itself
        OptunaStudy(state.sweep, state.id, folder).open(state.trials.values(), final=True)
    storage = open_storage(folder)
    try:
        storage.get_study_id_from_name(study_name(state.sweep, state.id))
    except KeyError:
        rule = f"its driver keeps the study elsewhere, or has not begun it; wait, or set {URL} as it was for the driver"
        raise FolderError(f"{folder}: {rule}") from None
    try:
        run_server(storage, host=host, port=port)
    except OSError as error:
        rule = f"cannot be served there ({error.strerror or error}); choose another --port or --host"
        raise SettingError(f"--host {host} --port {port}: {rule}") from None
