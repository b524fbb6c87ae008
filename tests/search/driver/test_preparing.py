"""What a sweep needs is read once before its first trial, and handed on."""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from glosstune.models import build_model
from glosstune.models.weights import weights_file
from glosstune.models.weights.weights_file import write_weights
from glosstune.results.reading.names import RECORD
from glosstune.search import launch, load_sweep
from glosstune.search.driver import launching
from glosstune.search.driver.driving import tell_loss
from glosstune.search.storage.manifest import read_manifest
from glosstune.search.storage.record import Record
from glosstune.search.storage.sweep_folder import SweepFolder
from glosstune.spaces.files.atomic import file_hash
from glosstune.trainables.corpora import PackedCorpus
from glosstune.trainables.training.input_files import InputFile

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
    inputs: Mapping[str, InputFile] = handed["inputs"]
    manifest = read_manifest(tmp_path / "sweep")
    for key, path in (("pretrained", weights), ("teacher", exported_teacher)):
        assert inputs[key].sha256 == manifest[key]["sha256"] == file_hash(path)
        assert inputs[key].content.tobytes() == path.read_bytes()


def test_where_ray_is_lost_what_goes_on_is_the_sweep_that_has_begun_or_the_same_command(tmp_path: Path) -> None:
    work = SweepFolder.at(str(tmp_path / "a b"))
    said: list[str] = []
    tell_loss("Ray is gone", work, said.append)
    work.folder.mkdir()
    (work.folder / RECORD).touch()
    tell_loss("Ray is gone", work, said.append)
    assert said[0] == said[3] == "glosstune: Ray is gone"
    assert said[2::3] == ["go on with: the same command", f"go on with: glosstune resume '{tmp_path}/a b'"]
