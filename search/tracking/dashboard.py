"""Serve Optuna's dashboard on the study that a sweep is mirrored to."""

import warnings
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from optuna.storages import BaseStorage

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
        folder: of the sweep; where it cannot be written to, the study is made elsewhere, for the time being.

    Raises:
        SettingError: optuna-dashboard is not installed, the storage that the environment names cannot be used, or
            the port is taken.
        FolderError: no sweep lies there.
    """
    if find_spec("optuna_dashboard") is None:
        raise SettingError('dashboard: optuna-dashboard is not installed; pip install "glosstune[dashboard]"')
    events = read_record(folder).events
    state = SweepState(load_sweep(folder / SWEEP))
    state.replay(events, folder / RECORD)
    with ExitStack() as stack:
        place = folder
        try:
            with owned(folder):
                _make_study(state, folder)
        except Driven:  # a driver that lives keeps the study itself
            pass
        except FolderError as error:
            if not isinstance(error.__cause__, OSError):
                raise
            warnings.warn(f"{error}; the study is shown as it is now", stacklevel=2)
            place = Path(stack.enter_context(TemporaryDirectory()))
            _make_study(state, place)
        _serve(open_storage(place), study_name(state.sweep, state.id), folder, host, port)


def _make_study(state: SweepState, folder: Path) -> None:
    OptunaStudy(state.sweep, state.id, folder).open(state.trials.values(), final=True)


def _serve(storage: BaseStorage, study: str, folder: Path, host: str, port: int) -> None:
    from optuna_dashboard import run_server

    try:
        storage.get_study_id_from_name(study)
    except KeyError:
        rule = f"its driver keeps the study elsewhere, or has not begun it; wait, or set {URL} as it was for the driver"
        raise FolderError(f"{folder}: {rule}") from None
    try:
        run_server(storage, host=host, port=port)
    except OSError as error:
        rule = f"cannot be served there ({error.strerror or error}); choose another --port or --host"
        raise SettingError(f"--host {host} --port {port}: {rule}") from None
