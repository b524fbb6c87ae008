"""Where a driver works: the folder of its sweep, and the object storage that outlives this machine where it has one."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from glosstune.results.reading.names import (
    CONFIRM,
    DRIVER_LOG,
    EVENTS,
    INPUTS,
    LOCK,
    MANIFEST,
    ORIGIN,
    OWNER,
    RAY,
    RECORD,
    REQUESTS,
    SWEEP,
    TRIALS,
)
from glosstune.results.reading.remote import mirror
from glosstune.search.config.loading import load_sweep
from glosstune.search.config.sections import AUTO
from glosstune.search.config.sweep import Sweep
from glosstune.search.storage.lock import check_idle, leased, owned
from glosstune.search.storage.manifest import read_manifest
from glosstune.search.storage.record import TAKEN_OVER, Record, StoredRecord
from glosstune.spaces.errors import FolderError, quoted
from glosstune.spaces.files.atomic import check_free, write_text
from glosstune.spaces.files.bounded import read_text
from glosstune.spaces.files.folder import Folder, LocalFolder, folder_at
from glosstune.spaces.files.locks import Hold
from glosstune.spaces.files.object_storage import PROBE, ObjectFolder
from glosstune.spaces.files.yaml_data import write_yaml
from glosstune.trainables.training.input_files import InputFile, has_hash, kept_file

_INPUT_KEYS = ("pretrained", "teacher")
# Of this machine alone, or sent by those who write them.
_STAYS_HERE = {RECORD, LOCK, OWNER, ORIGIN, DRIVER_LOG}
_STAYS_HERE_BELOW = {TRIALS, RAY, REQUESTS, INPUTS, CONFIRM}
# A comment, which is read with the settings or not at all.
_REQUEST = "# changed for request "


class SweepFolder:
    """The place of a sweep as its driver has it: a folder that all machines share.

    Attributes:
        files: of the place.
        folder: where this machine has them.
        place: what users call it.
    """

    files: Folder

    def __init__(self, folder: Path) -> None:
        self.files = LocalFolder(folder)
        self._hold: Hold | None = None

    @staticmethod
    def at(place: Path | str, say: Callable[[str], object] = lambda line: None, *, key: str = "--out") -> "SweepFolder":
        """The sweep folder of a path or a URI; nothing is made or asked.

        Args:
            say: hears where object storage does not answer.
            key: where the place was given, for the error.
        """
        files = folder_at(place, key=key, say=say)
        return StoredSweepFolder(files) if isinstance(files, ObjectFolder) else SweepFolder(files.here)

    @property
    def folder(self) -> Path:
        return self.files.here

    @property
    def place(self) -> str:
        return self.files.place

    @property
    def begun(self) -> bool:
        """Whether a sweep lies there."""
        return (self.folder / RECORD).exists()

    @property
    def record(self) -> Record:
        """Its record, as far as this folder has it."""
        return Record(self.folder / RECORD, self._check_owned)

    def check_free(self) -> None:
        """Fail before the minutes that corpus and weights may take.

        Raises:
            FolderError: something lies there already, or it cannot be written.
        """
        if self.begun:
            check_idle(self.folder)
            raise self._taken()
        if not self._is_prepared():
            check_free(self.folder)

    def _taken(self) -> FolderError:
        rule = f"holds a sweep already; go on with it: glosstune resume {quoted(self.place)}"
        return FolderError(f"{self.place}: {rule}; or give another place with --out")

    def _is_prepared(self) -> bool:
        """Whether nothing lies there but what a start in the background leaves before its driver begins."""
        names = {path.name for path in self.folder.iterdir()} if self.folder.is_dir() else set()
        return DRIVER_LOG in names and names <= {DRIVER_LOG, SWEEP}

    @contextmanager
    def owned(self, *, new: bool = False) -> Iterator[None]:
        """Keep other drivers off; the folder is then as the place has it.

        Args:
            new: it is to be made.

        Raises:
            Driven: another driver lives.
            FolderError: it should be new and is not, or cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=not new or self._is_prepared())
        except OSError as error:
            raise FolderError(f"{self.folder}: cannot be made: {error}; choose another folder with --out") from error
        with owned(self.folder, self.place) as self._hold:
            yield

    def _check_owned(self) -> None:
        """Raise FolderError where another driver has it now."""
        other = None if self._hold is None else self._hold.taken_by()
        if other is not None:
            raise FolderError(f"{self.place}: {other} {TAKEN_OVER}")

    def write(self, name: str, text: str) -> None:
        """Write a file whole, here and there."""
        write_text(self.folder / name, text)
        self.files.send(name)

    def keep_inputs(self, inputs: Mapping[str, InputFile]) -> dict[str, str]:
        """Keep the files that trials begin from with the sweep; their names in it."""
        for file in inputs.values():
            if not self._keeps(file):
                self.files.write(file.name, file.content)
        return {key: file.name for key, file in inputs.items()}

    def _keeps(self, file: InputFile) -> bool:
        return has_hash(self.folder / file.name, file.sha256)

    def with_inputs(self, sweep: Sweep, say: Callable[[str], object]) -> Sweep:
        """A sweep that begins from the files it has kept, where its own are gone, or have become others.

        One that makes its weights has made them, as far as they are kept. A file that the user has named anew is left
        alone, for ``check_inputs`` and ``check_same`` to judge.
        """
        wanted = {key: path for key in _INPUT_KEYS if (path := getattr(sweep, key)) is not None}
        if not wanted:
            return sweep
        for name in (SWEEP, MANIFEST):
            self.files.fetch(name)  # this machine may have driven it once, or never
        before, manifest = load_sweep(self.folder / SWEEP), read_manifest(self.folder)
        places: dict[str, str | Path] = {}
        for key, path in wanted.items():
            known = manifest[key]
            if path != getattr(before, key) or known is None or has_hash(Path(path), known["sha256"]):
                continue
            copy = next(filter(None, (kept_file(name, self.files) for name in self._kept(known["sha256"]))), None)
            if copy is not None:
                places[key] = str(copy) if key == "pretrained" else copy
                if path != AUTO:
                    say(f"{key}: {path} is gone, or another file now; the sweep's own copy is used")
        return sweep.model_copy(update=places)

    def _kept(self, sha256: str) -> Iterator[str]:
        """Names of what may have this content, which a stranger's manifest may have made up."""
        for name in self.files.names(f"{INPUTS}/"):
            folder, _, file = name.partition("/")
            if folder == INPUTS and "/" not in file and file.startswith(f"{sha256}."):
                yield name

    def publish(self) -> None:
        """Send what has changed in the folder and nobody has sent: boards, studies, pictures."""


class StoredSweepFolder(SweepFolder):
    """A place on object storage, which outlives this machine; its folder here can be thrown away."""

    files: ObjectFolder

    def __init__(self, files: ObjectFolder) -> None:
        self.files = files
        self._hold = None
        self._sent: dict[str, tuple[int, int]] = {}

    @property
    def begun(self) -> bool:
        return self.files.holds(f"{EVENTS}/")

    @property
    def record(self) -> Record:
        return StoredRecord(self.folder / RECORD, self.files, self._check_owned)

    def check_free(self) -> None:
        self.files.check_usable()
        if self.begun:
            raise self._taken()
        self._check_unused()

    @contextmanager
    def owned(self, *, new: bool = False) -> Iterator[None]:
        with super().owned(), leased(self.files):
            if new:
                self._clear()
            elif self.begun:
                mirror(self.files)
            yield

    def _keeps(self, file: InputFile) -> bool:
        return file.name in self.files.names(file.name)  # an object is whole, and is not fetched to see that

    def publish(self) -> None:
        for path in self.folder.rglob("*"):
            name = path.relative_to(self.folder)
            if not path.is_file() or name.name in _STAYS_HERE or name.parts[0] in _STAYS_HERE_BELOW:
                continue
            state = path.stat()
            if self._sent.get(name.as_posix()) != (state.st_size, state.st_mtime_ns):
                self.files.send(name.as_posix())
                self._sent[name.as_posix()] = (state.st_size, state.st_mtime_ns)

    def _check_unused(self) -> None:
        objects, prefixes = self.files.parts()
        # What a driver leaves that was killed before its sweep had begun is in nobody's way.
        kept = {name for name in objects if not name.startswith(PROBE)} - {MANIFEST, SWEEP, OWNER}
        if kept or any(self.files.holds(prefix) for prefix in prefixes if prefix != f"{INPUTS}/"):
            raise FolderError(f"{self.place}: holds objects already; give another place with --out or remove them")

    def _clear(self) -> None:
        """Let go of what an earlier sweep of that address has left here; somebody may have begun one since."""
        self._check_unused()
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name not in (LOCK, OWNER, DRIVER_LOG):
                path.unlink(missing_ok=True)


def write_sweep(sweep: Sweep, work: SweepFolder, request: str | None = None) -> None:
    """Write the resolved sweep into its folder, with the name of the request that it was changed for, or was last."""
    request = request or request_in(work)
    work.write(SWEEP, write_yaml(sweep.resolved()) + (f"{_REQUEST}{request}\n" if request is not None else ""))


def request_in(work: SweepFolder) -> str | None:
    """The request of users that the sweep file was last changed for; None if it was for none."""
    try:
        last = read_text(work.folder / SWEEP).rstrip("\n").rpartition("\n")[2]
    except (OSError, ValueError):
        return None
    return last.removeprefix(_REQUEST) if last.startswith(_REQUEST) else None
