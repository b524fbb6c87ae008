"""Sweeps whose figures do not compare are told, with what differs."""

import json
import warnings

import pytest
from sweep_folder import SweepFolder

from glosstune.results import compare, load_results, rank_trials
from glosstune.results.analysis.comparability import tell_differences


def make(path, corpus="{}", packed=None):
    folder = SweepFolder(path)
    folder.settle(f"name: demo\ncorpus: {corpus}\n")
    if packed is not None:
        (path / "manifest.json").write_text(json.dumps({"corpus": packed}))
    folder.start(0, dropout=0.1)
    folder.report(0, 1, wer=0.5)
    return folder


def told(tmp_path):
    return tell_differences(load_results([tmp_path / "a", tmp_path / "b"]))


def test_another_corpus_is_told(tmp_path):
    make(tmp_path / "a", "{kind: fingerspelling}")
    make(tmp_path / "b", "{kind: phoenix2014}")
    (line,) = told(tmp_path)
    assert line.startswith("these sweeps are of different corpora, so their WER does not compare")
    assert line.endswith("corpus.kind is fingerspelling in a; phoenix2014 in b")


def test_another_split_is_told(tmp_path):
    make(tmp_path / "a", "{kind: fingerspelling, split: unseen-signers, fold: 1}")
    make(tmp_path / "b", "{kind: fingerspelling, split: unseen-signers, fold: 2}")
    (line,) = told(tmp_path)
    assert "different splits" in line and line.endswith("corpus.fold is 1 in a; 2 in b")


def test_another_number_of_utterances_is_another_split(tmp_path):
    for name, dev in (("a", 12), ("b", 10)):
        packed = {"key": name, "vocabulary_sha256": "0f", "vocabulary_size": 3, "utterances": {"train": 60, "dev": dev}}
        make(tmp_path / name, packed=packed)
    (line,) = told(tmp_path)
    assert line.endswith("there are 60 train, 10 dev in b; 60 train, 12 dev in a")


def test_a_corpus_that_was_moved_or_read_in_another_layout_is_the_same(tmp_path):
    for name in ("a", "b"):
        packed = {"key": name, "vocabulary_sha256": "0f", "vocabulary_size": 3, "utterances": {"dev": 12}}
        make(tmp_path / name, f"{{kind: table, root: /data/{name}, layout: {name}}}", packed)
    assert told(tmp_path) == []


@pytest.mark.parametrize("manifest", ["[" * 100_000, "[1]", '{"corpus": [1]}', '{"corpus": {"utterances": 7}}'])
def test_of_a_manifest_that_cannot_be_read_nothing_is_known(tmp_path, manifest):
    make(tmp_path / "a", "{kind: fingerspelling}")
    make(tmp_path / "b", "7")
    (tmp_path / "b" / "manifest.json").write_text(manifest)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*manifest.json: cannot be read")
        assert told(tmp_path) == []


def test_comparing_and_ranking_warn_whatever_the_metric(tmp_path):
    make(tmp_path / "a", "{kind: fingerspelling}").report(0, 2, wer=0.4, dev_loss=1.0)
    make(tmp_path / "b", "{kind: phoenix2014}").report(0, 2, wer=0.4, dev_loss=1.0)
    a, b = load_results(tmp_path / "a"), load_results(tmp_path / "b")
    for metric in ("wer", "dev_loss"):
        with pytest.warns(UserWarning, match="different corpora"):
            compare(a, b, metric=metric)
        with pytest.warns(UserWarning, match="different corpora"):
            rank_trials(load_results([tmp_path / "a", tmp_path / "b"]), metric)
