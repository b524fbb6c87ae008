"""A sweep begins from the weights and the teacher that it has kept, wherever it lies."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from s3_server import S3Server

from glosstune.search import Sweep, load_sweep
from glosstune.search.storage import sweep_folder
from glosstune.search.storage.sweep_folder import SweepFolder, write_sweep
from glosstune.trainables.training.input_files import InputFile

MANIFEST = {"corpus": {"key": "k", "scoring": "plain"}, "versions": {}, "machine": {}, "gains": {}}


@pytest.mark.parametrize("stored", [False, True])
def test_a_sweep_begins_from_what_it_has_kept_where_its_files_are_lost(
    s3: S3Server, tmp_path: Path, stored: bool
) -> None:
    lines: list[object] = []
    weights, teacher, other = (tmp_path / name for name in ("weights.pth.tar", "teacher.safetensors", "other.pth"))
    for path in (weights, teacher, other):
        path.write_text(path.name)
    read = {"pretrained": InputFile.read(weights), "teacher": InputFile.read(teacher)}
    work = SweepFolder.at(s3.uri("kept") if stored else tmp_path / "sweep")
    work.files.write(f"{read['pretrained'].name}.1.partial", b"killed while it wrote")
    names = work.keep_inputs(read)
    assert names["pretrained"].endswith(".pth.tar")
    known = {key: {"sha256": file.sha256} for key, file in read.items()}
    work.write("manifest.json", json.dumps({**MANIFEST, **known}))
    kept = work.folder / names["pretrained"], work.folder / names["teacher"]

    def begins_from(pretrained: Path | str, began: Path | str = weights) -> tuple[Path, Path]:
        def load(path: Path | str) -> Sweep:
            return load_sweep("distil", [f"pretrained={path}", f"teacher={teacher}", "space={strategy: full-finetune}"])

        write_sweep(load(began), work)
        if stored:
            shutil.rmtree(work.folder)  # as on a machine that has never driven it
        found = work.with_inputs(load(pretrained), lines.append)
        assert found.pretrained is not None and found.teacher is not None
        return Path(found.pretrained), found.teacher

    assert begins_from(weights) == (weights, teacher)
    assert begins_from(other) == (other, teacher)  # which is refused: the user has named another file
    assert begins_from("auto", "auto") == (kept[0], teacher)  # it has made them already
    assert lines == []
    weights.write_text("others at the same place")
    teacher.unlink()
    assert begins_from(weights) == kept
    assert lines == [
        f"{key}: {path} is gone, or another file now; the sweep's own copy is used"
        for key, path in (("pretrained", weights), ("teacher", teacher))
    ]
    assert begins_from(tmp_path / "typo.pth")[0] == tmp_path / "typo.pth"
    weights.unlink()
    os.mkfifo(weights)
    assert begins_from(weights) == kept
    work.files.write(names["pretrained"], b"damaged")
    kept[0].unlink(missing_ok=True)
    assert begins_from(weights) == (weights, kept[1])
    if stored:
        work.files.remove(*names.values())
    work.keep_inputs(read)
    assert begins_from("auto", "auto") == kept


@pytest.mark.parametrize("stored", [False, True])
def test_a_strangers_manifest_that_names_what_lies_elsewhere_is_given_nothing(
    s3: S3Server, tmp_path: Path, stored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = hashlib.sha256(b"planted").hexdigest()
    work = SweepFolder.at(s3.uri("planted") if stored else tmp_path / "planted")
    write_sweep(load_sweep("teacher"), work)
    outside = f"../../{sha256}", f"../{sha256}", "../", ""
    for name in (f"{sha256}.pt", f"inputs/../../{sha256}.pt", f"inputs/{sha256}/../../a.pt"):
        if stored:
            s3.client.put_object(Bucket="bucket", Key=f"planted/{name}", Body=b"planted")
        else:
            work.files.write(name, b"planted")
    read: list[str] = []
    monkeypatch.setattr(sweep_folder, "kept_file", lambda name, files: read.append(name))
    for known in (*outside, sha256):
        work.write("manifest.json", json.dumps({**MANIFEST, "pretrained": {"sha256": known}, "teacher": None}))
        assert work.with_inputs(load_sweep("teacher"), print).pretrained == "auto"
    assert read == []
