"""What a sweep needs is read once before its first trial, and handed on."""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from glosstune.models import build_model
from glosstune.models.weights import weights_file
from glosstune.models.weights.weights_file import write_weights
from glosstune.search import launch, load_sweep
from glosstune.search.driver import launching
from glosstune.search.driver.driving import _Watcher, go_on, tell_loss
from glosstune.search.storage.manifest import read_manifest
from glosstune.search.storage.record import Record, Unwritten
from glosstune.search.storage.sweep_folder import SweepFolder
from glosstune.spaces.errors import FolderError
from glosstune.spaces.files.atomic import file_hash
from glosstune.trainables.corpora import PackedCorpus

# What the teacher was trained on.
PLAIN = ["corpus.gains={}", "corpus.noise_floor=0.05", "corpus.layout=default"]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """How often each file is opened by Python, and by the library that reads tensors."""
    counts: Counter[str] = Counter()
    read, listening = weights_file._read_safetensors, [True]

    def parse(path: Path) -> Any:
        counts[f"tensors of {path}"] += 1
        return read(path)

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and listening:
            counts[str(arguments[0])] += 1

    monkeypatch.setattr(weights_file, "_read_safetensors", parse)
    sys.addaudithook(hear)
    yield counts
    listening.clear()  # a hook stays for good


def test_weights_teacher_and_earlier_sweeps_are_opened_once(
    ray_cluster: None,
    tiny: list[str],
    small_corpus: PackedCorpus,
    exported_teacher: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    opened: Counter[str],
) -> None:
    weights, earlier = tmp_path / "student.safetensors", tmp_path / "earlier"
    write_weights(weights, build_model("student", len(small_corpus.vocabulary), width=0.25).state_dict(), {})
    earlier.mkdir()
    Record(earlier / "record.jsonl").append("sweep", format=1, id="1", samples=1, epochs=3, metric="wer", target=0.3)
    asked = [f"pretrained={weights}", "space.strategy=full-finetune", f"teacher={exported_teacher}", *PLAIN]
    sweep = load_sweep(tiny[0], [*tiny[1:], *asked, f"search.warm_start=[{earlier}]"])
    handed: dict[str, Any] = {}
    monkeypatch.setattr(launching, "drive", lambda *given, **handed_on: handed.update(handed_on))
    opened.clear()
    launch(sweep, tmp_path / "sweep")
    for path in (weights, exported_teacher):
        assert (opened[str(path)], opened[f"tensors of {path}"]) == (1, 1)
    assert opened[str(earlier / "record.jsonl")] == 1
    inputs: Mapping[str, str] = handed["inputs"]
    manifest = read_manifest(tmp_path / "sweep")
    for key, path in (("pretrained", weights), ("teacher", exported_teacher)):
        assert (tmp_path / "sweep" / inputs[key]).read_bytes() == path.read_bytes()
        assert Path(inputs[key]).stem == manifest[key]["sha256"] == file_hash(path)


def test_where_ray_is_lost_what_goes_on_is_told_and_the_place_is_not_asked() -> None:
    said: list[str] = []
    tell_loss("Ray is gone", go_on(SweepFolder.at("/nowhere/a b")), said.append)
    assert [said[0], said[-1]] == ["glosstune: Ray is gone", "go on with: glosstune resume '/nowhere/a b'"]


def test_a_driver_that_was_replaced_ends_before_its_trials_report(tmp_path: Path) -> None:
    class Replaced(SweepFolder):
        def _check_owned(self) -> None:
            raise FolderError("another driver has taken the sweep over")

    work = Replaced(tmp_path)
    record = work.record
    watcher = _Watcher(MagicMock(), work, record, MagicMock())
    with pytest.raises(Unwritten, match="another driver has taken"):
        watcher.tick()
    assert record.broken is not None
