"""What a confirmation needs of a corpus is asked for before anything trains."""

import json
from pathlib import Path

import numpy as np
import pytest
from s3_server import S3Server
from sweep_folder import SweepFolder

from glosstune.results.reading.names import CONFIRM, MANIFEST, PLAN, SWEEP
from glosstune.search.config.changes import list_changes
from glosstune.search.config.loading import load_sweep
from glosstune.search.confirm.confirming import _as_it_began, _check_test, _inputs, confirm
from glosstune.search.storage.manifest import build_manifest
from glosstune.search.storage.sweep_folder import SweepFolder as Work
from glosstune.search.storage.sweep_folder import write_sweep
from glosstune.spaces import CorpusError, SettingError
from glosstune.spaces.errors import CheckpointError
from glosstune.trainables.corpora import pack_corpus
from glosstune.trainables.settings import Gains
from glosstune.trainables.training.input_files import InputFile


@pytest.fixture
def changes(tmp_path: Path) -> list[str]:
    """Overrides for a table of nine recordings by three signers, without a test split."""
    lines = ["path,glosses,signer,split"]
    for place in range(9):
        np.save(tmp_path / f"{place}.npy", np.random.default_rng(place).random((4, 1629), np.float32))
        lines.append(f"{place}.npy,A B,s{place % 3},{'dev' if place > 5 else 'train'}")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    return [f"corpus.root={tmp_path / 'table.csv'}", "corpus.layout=base", f"corpus.cache={tmp_path / 'cache'}"]


def test_a_corpus_without_test_is_refused_at_once(changes: list[str]) -> None:
    with pytest.raises(CorpusError, match=r"table\.csv \(multi-signer\): split test: no utterance, and a confirmation"):
        _check_test({"seeds": load_sweep("student", changes)})


def test_a_confirmation_that_is_refused_leaves_no_plan_behind(changes: list[str], tmp_path: Path) -> None:
    sweep = SweepFolder(tmp_path / "sweep")
    corpus = ", ".join(change.removeprefix("corpus.").replace("=", ": ", 1) for change in changes)
    sweep.settle(f"corpus: {{{corpus}}}\nspace: {{learning_rate: {{float: [1e-4, 1e-2]}}}}\n")
    sweep.start(0, learning_rate=1e-3)
    sweep.report(0, 1, wer=0.5)
    sweep.end(0, "finished", "epochs")
    manifest = build_manifest(pack_corpus(load_sweep("student", changes).corpus), {}, [], gains=Gains())
    (sweep.path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(CorpusError, match=r"split test: no utterance"):
        confirm(sweep.path)
    assert not (sweep.path / CONFIRM / PLAN).exists()


@pytest.mark.parametrize("stored", [False, True])
def test_each_fold_makes_its_weights_and_new_seeds_begin_from_those_of_the_sweep(
    changes: list[str], tmp_path: Path, s3: S3Server, stored: bool
) -> None:
    sweep = load_sweep("teacher", [*changes, "space={strategy: full-finetune}"])
    work, weights = Work.at(s3.uri("folds") if stored else tmp_path / "sweep"), tmp_path / "made.safetensors"
    write_sweep(sweep, work)
    weights.write_bytes(b"made")
    made = InputFile.read(weights)
    (name,) = work.keep_inputs({"pretrained": made}).values()
    corpus = pack_corpus(sweep.corpus)
    work.write(MANIFEST, json.dumps(build_manifest(corpus, {}, [], {"sha256": made.sha256}, gains=Gains())))
    for overrides in ([], ["corpus.cache=" + json.dumps(str(tmp_path / "another"))]):
        asked = load_sweep(work.folder / SWEEP, overrides)
        assert _as_it_began(work, work.folder, asked, True, print).pretrained == "auto"
        assert _as_it_began(work, work.folder, asked, False, print).pretrained == str(work.folder / name)
    weights.write_bytes(b"others")
    began = load_sweep(work.folder / SWEEP, [f"pretrained={weights}"])
    with pytest.raises(CheckpointError, match=r"made\.safetensors: are not the weights that the sweep began with"):
        _as_it_began(work, work.folder, began, False, print)


def test_folds_that_signers_do_not_make_are_refused_at_once(changes: list[str], tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("\n".join(line.rpartition(",")[0] for line in table.read_text().splitlines()))
    folds = {
        f"fold-{fold}": load_sweep("student", [*changes, "corpus.split=unseen-signers", f"corpus.fold={fold}"])
        for fold in range(1, 6)
    }
    _check_test({name: folds[name] for name in ("fold-1", "fold-2", "fold-3")})
    with pytest.raises(SettingError, match=r"corpus\.fold: must be 1 to 3, as the 3 signers make; got 4"):
        _check_test(folds)


def test_a_part_that_was_told_where_weights_lie_goes_on_without_hearing_it_again() -> None:
    began = ["space={strategy: {choice: [baseline, full-finetune]}}", "corpus.root=/data", "corpus.cache=/data/cache"]
    made = load_sweep("student", [*began, "pretrained=auto"])
    told = load_sweep("student", [*began, "pretrained=/data/weights.pt"])
    assert list_changes(told, load_sweep("student", [*began, "pretrained=/data/weights.pt", *_inputs(made)])) == {}
    moved = load_sweep("student", [*began, "pretrained=/moved/w.pt", "corpus.cache=/moved/cache"])
    expected = {"pretrained": "/moved/w.pt", "corpus.cache": "/moved/cache"}
    assert list_changes(told, load_sweep("student", [*began, *_inputs(moved)])) == expected
