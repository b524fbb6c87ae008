"""The foot of a report says what its figures are of, and nothing that nobody knows."""

import json

from glosstune.results import load_results
from glosstune.results.report.provenance import tell_provenance


def test_date_corpus_split_seeds_and_versions_are_told(sweep):
    sweep.settle(
        "corpus: {kind: table, root: /data/signs, layout: default, split: unseen-signers, fold: 2}\n"
        "training: {seed: 3}\nsearch: {seed: 4}\n"
    )
    packed = {"utterances": {"train": 60, "dev": 12}, "vocabulary_size": 27}
    manifest = {"python": "3.11.7", "versions": {"torch": "2.13.0"}, "commit": "3f88e86", "corpus": packed}
    (sweep.path / "manifest.json").write_text(json.dumps(manifest))
    (told,) = tell_provenance(load_results(sweep.path))
    assert told == {
        "sweep": f"demo, {sweep.path}",
        "ran": "2026-11-21 22:44 to 2026-11-21 22:44",
        "corpus": "table, /data/signs, 60 train, 12 dev, 27 glosses",
        "layout": "default",
        "split": "unseen-signers, fold 2",
        "scoring": "plain",
        "seed": "training 3, search 4",
        "versions": "python 3.11.7, torch 2.13.0",
        "commit": "3f88e86",
    }


def test_of_a_folder_without_file_or_manifest_only_the_record_is_told(sweep):
    (sweep.path / "sweep.yaml").unlink()
    (told,) = tell_provenance(load_results(sweep.path))
    assert list(told) == ["sweep", "ran", "scoring"]


def test_a_manifest_of_somebody_else_brings_no_control_characters(sweep):
    (sweep.path / "manifest.json").write_text(json.dumps({"commit": "a\u001b[2Jb", "versions": [1], "corpus": "x"}))
    (told,) = tell_provenance(load_results(sweep.path))
    assert told["commit"] == "a [2Jb"
