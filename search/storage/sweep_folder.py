"""Where a driver works: the folder of its sweep, and the object storage that outlives this machine where it has one."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glosstune.results.reading.names import (
    CONFIRM,
    EVENTS,
    INPUTS,
    LOCK,
    ORIGIN,
    OWNER,
    RAY,
    RECORD,
    REQUESTS,
    SWEEP,
    TRIALS,
)
from glosstune.results.reading.remote import mirror
from glosstune.search.config.sweep import Sweep
from glosstune.search.storage.lock import Driven, leased, owned
from glosstune.search.storage.record import Record
from glosstune.spaces.files.atomic import file_hash, write_whole
from glosstune.spaces.files.object_storage import ObjectFolder, check_uri, is_uri, local_folder
from glosstune.spaces.files.yaml_data import write_yaml

_INPUT_KEYS = ("pretrained", "teacher")
# Of this machine alone, or sent by those who write them.
_STAYS_HERE = {RECORD, LOCK, OWNER, ORIGIN}
_STAYS_HERE_BELOW = {TRIALS, RAY, REQUESTS, INPUTS, CONFIRM}


@dataclass(frozen=True)
class SweepFolder:
    """The place of a sweep as its driver has it.

    Attributes:
        folder: on this machine; all that counts of a sweep without object storage.
        storage: where a sweep on object storage is kept; its folder here can be thrown away.
    """

    folder: Path
    storage: ObjectFolder | None = None
    _sent: dict[str, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def at(cls, place: Path | str, say: Callable[[str], object] = lambda line: None) -> "SweepFolder":
        """The sweep folder of a path or a URI; nothing is made or asked.

        Args:
            say: hears where object storage does not answer.
        """
        if not is_uri(place):
            return cls(Path(place).expanduser().absolute())
        uri = check_uri(str(place), "--out")
        return cls(local_folder(uri, "sweeps"), ObjectFolder(uri, say=say))

    @property
    def place(self) -> str:
        """What users call it."""
        return str(self.folder) if self.storage is None else self.storage.uri

    @property
    def begun(self) -> bool:
        """Whether a sweep lies there."""
        if self.storage is None:
            return (self.folder / RECORD).exists()
        return bool(self.storage.names(f"{EVENTS}/"))

    @property
    def record(self) -> Record:
        """Its record, as far as this folder has it."""
        return Record(self.folder / RECORD, self.storage)

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Keep other drivers off; the folder is then as the storage has it.

        Raises:
            Driven: another driver lives.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with owned(self.folder):
            if self.storage is None:
                yield
                return
            try:
                with leased(self.storage):
                    if self.begun:
                        mirror(self.storage, self.folder)
                    yield
            except BlockingIOError as error:
                raise Driven(f"{self.place}: is being run by {error}; stop that first, or wait for its end") from None

    def write(self, name: str, text: str) -> None:
        """Write a file whole, here and there."""
        write_whole(self.folder / name, lambda partial: partial.write_text(text, encoding="utf-8"))
        if self.storage is not None:
            self.storage.write(name, text.encode())

    def fetch(self, name: str) -> Path | None:
        """A file as it lies in the place; None where there is none."""
        path = self.folder / name
        if self.storage is not None and not self.storage.download(name, path):
            path.unlink(missing_ok=True)  # of a place of that address that was removed since
        return path if path.exists() else None

    def keep_inputs(self, sweep: Sweep, manifest: Mapping[str, Any]) -> None:
        """Have the files that trials begin from outlive this machine too."""
        for key in _INPUT_KEYS:
            path, known = getattr(sweep, key), manifest[key]
            if self.storage is not None and path is not None and known is not None:
                self.storage.upload(f"{INPUTS}/{known['sha256']}", Path(path))

    def with_inputs(self, sweep: Sweep, manifest: Mapping[str, Any]) -> Sweep:
        """A sweep whose files are fetched where this machine does not have them."""
        places = {}
        for key in _INPUT_KEYS:
            path, known = getattr(sweep, key), manifest[key]
            if self.storage is None or path is None or known is None or _has(Path(path), known["sha256"]):
                continue
            copy = self.folder / INPUTS / f"{known['sha256']}{Path(path).suffix or '.safetensors'}"
            if copy.is_file() or self.storage.download(f"{INPUTS}/{known['sha256']}", copy):
                places[key] = str(copy) if key == "pretrained" else copy
        return sweep.model_copy(update=places)

    def share(self, name: str, folder: Path) -> None:
        """Send a file of a folder there, if there is any other place."""
        if self.storage is not None:
            self.storage.upload(name, folder / name)

    def publish(self) -> None:
        """Send what has changed in the folder and nobody has sent: boards, studies, pictures."""
        if self.storage is None:
            return
        for path in self.folder.rglob("*"):
            name = path.relative_to(self.folder)
            if not path.is_file() or name.name in _STAYS_HERE or name.parts[0] in _STAYS_HERE_BELOW:
                continue
            state = path.stat()
            if self._sent.get(name.as_posix()) != (state.st_size, state.st_mtime_ns):
                self.storage.upload(name.as_posix(), path)
                self._sent[name.as_posix()] = (state.st_size, state.st_mtime_ns)


def _has(path: Path, sha256: str) -> bool:
    return path.is_file() and file_hash(path) == sha256


def write_sweep(sweep: Sweep, work: SweepFolder) -> None:
    """Write the resolved sweep into its folder."""
    work.write(SWEEP, write_yaml(sweep.resolved()))
