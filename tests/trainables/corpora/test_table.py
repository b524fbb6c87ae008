"""One's own recordings in one table: which frames, splits and contents they are."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from tables import ROWS, Cells, open_table, recorded, write_csv, write_tsv

import glosstune.trainables.corpora.table as table_module
from glosstune.search.checks.inspecting import describe_inspection
from glosstune.search.config.loading import load_sweep
from glosstune.search.driver.preparing import _describe
from glosstune.spaces import CheckpointError, CorpusError, SettingError
from glosstune.trainables.checks.inspection import inspect_corpus
from glosstune.trainables.corpora import FingerspellingCorpus, TableCorpus, pack_corpus
from glosstune.trainables.corpora.fingerspelling import lexicon_folder
from glosstune.trainables.corpora.provenance import check_unseen, training_recordings
from glosstune.trainables.corpora.store import pack


def test_paths_may_be_absolute_and_the_id_is_the_path(root: Path) -> None:
    (root.parent / "elsewhere.npy").write_bytes((root / "clips" / "001.npy").read_bytes())
    rows = [
        {"path": str(root / "clips" / "001.npy"), "glosses": "A", "split": "train"},
        {"path": "../elsewhere.npy", "glosses": "A", "split": "train"},
        {"path": str(root.parent / "elsewhere.npy"), "glosses": "A", "split": "dev", "start": 4},
    ]
    rows[1]["end"] = 4
    corpus = open_table(write_csv(root / "a.csv", rows))
    keys = [u.key for u in corpus.utterances()]
    assert keys == ["clips/001", "../elsewhere", f"{root.parent / 'elsewhere'}:4"]
    with pytest.raises(CorpusError, match=r"line 3 \(train\) and line 4 \(dev\) share frames of .*elsewhere\.npy"):
        open_table(write_csv(root / "a.csv", [*rows[:2], {**rows[2], "start": 3}])).utterances()


def test_rows_are_cut_out_of_one_recording(root: Path) -> None:
    values = recorded(30)
    np.save(root / "long.npy", values)
    rows: list[Cells] = [
        {"path": "long.npy", "glosses": "A", "split": "train", "start": None, "end": 10},
        {"path": "long.npy", "glosses": "B", "split": "train", "start": 5, "end": 20},
        {"path": "long.npy", "glosses": "A B", "split": "dev", "start": 20, "end": None},
    ]
    corpus = open_table(write_csv(root / "a.csv", rows))
    assert [(u.key, u.sources) for u in corpus.utterances()] == [
        ("long", ("long.npy[0:10]",)),
        ("long:5", ("long.npy[5:20]",)),
        ("long:20", ("long.npy[20:]",)),
    ]
    looked = dict(corpus.look([0, 1, 2]))
    for place, part in enumerate((values[:10], values[5:20], values[20:])):
        assert np.array_equal(looked[place], part)


def test_rows_of_different_splits_share_no_frame(root: Path) -> None:
    rows: list[Cells] = [
        {"path": "clips/001.npy", "glosses": "A", "split": "train", "start": 0, "end": 5},
        {"path": "clips/002.npy", "glosses": "A", "split": "dev", "start": 0, "end": 8},
        {"path": "./clips/001.npy", "glosses": "B", "split": "dev", "start": 4, "end": 8},
    ]
    with pytest.raises(
        CorpusError, match=r"a\.csv: line 2 \(train\) and line 4 \(dev\) share frames of clips/001\.npy; splits must"
    ):
        open_table(write_csv(root / "a.csv", rows)).utterances()
    apart = [*rows[:2], {**rows[2], "start": 5}]
    assert len(open_table(write_csv(root / "a.csv", apart)).utterances()) == 3


def test_arrays_in_one_file_are_recordings_of_their_own(root: Path) -> None:
    with h5py.File(root / "all.h5", "w") as file:
        for name in ("day/one", "day/two"):
            file[name] = recorded(6)
    np.savez(root / "all.npz", three=recorded(7))
    torch.save(torch.from_numpy(recorded(5)), root / "a#b.pt")
    rows: list[Cells] = [
        {"path": "all.h5#day/one", "glosses": "A", "split": "train"},
        {"path": "all.h5#day/two", "glosses": "A", "split": "dev"},
        {"path": "all.npz#three", "glosses": "A", "split": "train"},
        {"path": "a#b.pt", "glosses": "A", "split": "train"},
    ]
    corpus = open_table(write_csv(root / "a.csv", rows))
    assert [u.key for u in corpus.utterances()] == ["all#day/one", "all#day/two", "all#three", "a#b"]
    assert [len(frames) for frames in corpus.read()] == [6, 6, 7, 5]


def test_pose_files_are_what_the_embedded_corpus_makes_of_them(tmp_path: Path) -> None:
    clips = [
        f"{signer}/{path.name}" for signer in ("ase", "gsg") for path in sorted((lexicon_folder() / signer).iterdir())
    ]
    rows: list[Cells] = [
        {"path": str(lexicon_folder() / clip), "glosses": "A", "split": "train" if "ase" in clip else "dev"}
        for clip in clips[:3] + clips[-3:]
    ]
    corpus = TableCorpus(write_csv(tmp_path / "a.csv", rows))
    whole = list(corpus.read())
    assert {frames.shape[1] for frames in whole} == {1629}
    # The embedded corpus keeps the active frames of a clip, at 25 frames a second, and what a pose lacks at 0.
    wrist = slice(45, 48)
    embedded = FingerspellingCorpus(signers=("ase", "gsg"), sentences=12)
    paths = {embedded.clip("ase", letter).path: letter for letter in embedded.letters("ase")}
    for row, frames in zip(rows[:3], whole, strict=False):
        letter = paths.get(str(Path(str(row["path"])).relative_to(lexicon_folder())))
        if letter is not None:
            active = np.delete(embedded.clip("ase", letter).positions.reshape(-1, 1629), wrist, axis=1)
            others = np.delete(frames, wrist, axis=1)
            assert any(np.array_equal(active, others[start : start + len(active)]) for start in range(len(frames)))


def test_a_damaged_pose_file_does_not_speak_for_the_others(tmp_path: Path) -> None:
    clip = min((lexicon_folder() / "ase").iterdir())
    (tmp_path / "a.pose").write_bytes(b"damaged")
    rows = [{"path": path, "glosses": "A", "split": split} for path, split in (("a.pose", "train"), (str(clip), "dev"))]
    found = dict(TableCorpus(write_csv(tmp_path / "a.csv", rows)).look([0, 1]))
    assert isinstance(found[0], CorpusError)
    assert not isinstance(found[1], CorpusError) and found[1].shape[1] == 1659


def test_rows_without_files_or_glosses_are_counted_or_left_out(root: Path, tmp_path: Path) -> None:
    rows = [*ROWS, {**ROWS[0], "path": "gone.npy", "id": "gone"}, {**ROWS[0], "glosses": "", "id": "mute"}]
    table = write_csv(root / "a.csv", rows)
    both = r"1 rows have no gloss: train/mute, and 1 rows have no feature file: train/gone; corpus\.missing=skip"
    with pytest.raises(CorpusError, match=both):
        open_table(table).utterances()
    with pytest.raises(CorpusError, match=r"1 rows have no feature file: train/gone; corpus\.missing=skip leaves"):
        open_table(write_csv(root / "b.csv", rows[:-1])).utterances()
    rows[-2]["id"] = "long" * 1000
    with pytest.raises(CorpusError, match=r"1 rows have no feature file: train/(long){17}lo?n?\.\.\.; corpus\.missing"):
        open_table(write_csv(root / "c.csv", rows[:-1])).utterances()
    corpus = open_table(table, missing="skip")
    assert (len(corpus.utterances()), corpus.absent, corpus.unannotated) == (3, ["train/gone"], ["train/mute"])
    lacking = [{**rows[-1], "split": "dev"}, {**rows[-2], "id": "gone", "split": "train"}]
    told = "no gloss: dev/mute, and 1 rows have no feature file: train/gone; none of the rows has a gloss and a file"
    with pytest.raises(CorpusError, match=told):
        open_table(write_csv(root / "d.csv", lacking), missing="skip").utterances()
    with pytest.raises(CorpusError, match="1 rows have no gloss: dev/mute; none of the rows has a gloss and a file"):
        open_table(write_csv(root / "e.csv", lacking[:1]), missing="skip").utterances()
    shutil.rmtree(root / "clips")
    with pytest.raises(CorpusError, match=r"4 rows have no feature file: .*; none of the rows has a gloss and a file"):
        open_table(table, missing="skip").utterances()


def test_few_utterances_keep_the_splits_of_the_whole(root: Path) -> None:
    rows = [{"path": "clips/001.npy", "glosses": "A", "id": str(n), "start": n, "end": n + 1} for n in range(8)]
    rows += [{"path": f"clips/{clip}.npy", "glosses": "A"} for clip in ("002", "003")]
    whole = open_table(write_csv(root / "a.csv", rows), split_seed=_seed_of_three())
    few = whole.only({"3", "clips/003"})
    assert [u for u in whole.utterances() if u.key in ("3", "clips/003")] == few.utterances()
    assert few.identity() != whole.identity()
    assert len(list(few.read())) == 2
    assert len({u.split for u in whole.utterances() if u.sources[0].startswith("clips/001")}) == 1


def _seed_of_three() -> int:
    """A seed under which the three recordings fall into training and dev."""
    from glosstune.trainables.corpora.splits import draw_by_recording

    for seed in range(99):
        try:
            draw_by_recording([f"clips/00{n}.npy" for n in (1, 2, 3)], seed)
        except SettingError:
            continue
        return seed
    raise AssertionError


def test_splits_are_drawn_and_told_by_every_command(root: Path, tmp_path: Path) -> None:
    rows = [{"path": f"clips/{name}.npy", "glosses": "A B", "signer": name} for name in ("001", "002", "003")]
    table = write_csv(root / "a.csv", rows)
    changes = [f"corpus.root={table}", "corpus.layout=base", f"corpus.cache={tmp_path / 'cache'}"]
    sweep = load_sweep(None, [*changes, "corpus.split=unseen-signers", "corpus.fold=2"])
    assert sweep.corpus.kind == "table"
    packed = pack_corpus(sweep.corpus)
    assert sorted(packed.table["split"]) == ["dev", "test", "train"]
    (told,) = packed.notes
    assert told.startswith("splits: drawn by signer, fold 2 of 3, under corpus.split_seed=0: train 00")
    page = describe_inspection(sweep, inspect_corpus(sweep.corpus))
    assert " ".join(told.split(": ", 1)) in " ".join(page.split())
    assert told in _describe(packed)


def test_a_link_to_a_file_of_another_split_is_a_leak(root: Path) -> None:
    (root / "clips" / "link.npy").symlink_to("001.npy")
    table = write_csv(root / "a.csv", [ROWS[0], {**ROWS[0], "path": "clips/link.npy", "id": "link", "split": "dev"}])
    with pytest.raises(CorpusError, match=r"line 2 \(train\) and line 3 \(dev\) share frames of clips/link\.npy"):
        open_table(table).utterances()


def test_signers_are_chosen_by_name(root: Path) -> None:
    np.save(root / "clips" / "004.npy", recorded())
    rows = [*ROWS, {**ROWS[0], "path": "clips/004.npy", "id": "004", "signer": "03"}]
    table = write_csv(root / "a.csv", rows)
    assert [u.key for u in open_table(table, signers=("03", "NA")).utterances()] == ["003", "004"]
    with pytest.raises(SettingError, match=r"corpus\.signers: must be signers of the table, 01, 03, NA; got 02"):
        open_table(table, signers=("01", "02")).utterances()


def test_who_signs_must_be_known_to_draw_by_signer(root: Path) -> None:
    rows = [{"path": row["path"], "glosses": "A", "signer": signer} for row, signer in zip(ROWS, "ab ", strict=True)]
    with pytest.raises(CorpusError, match=r"line 4: signer: is empty or no column, and corpus\.split=unseen-signers"):
        open_table(write_csv(root / "a.csv", rows), split="unseen-signers").utterances()


def test_rows_cut_out_of_one_file_are_looked_at_with_one_reading_and_keep_no_more_than_their_frames(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    load = table_module.load_values
    monkeypatch.setattr(table_module, "load_values", lambda path, inner: (read.append(path.name), load(path, inner))[1])
    rows = [
        {"path": f"clips/{clip}.npy", "glosses": "A", "start": n, "end": n + 1, "id": f"{clip}{n}"}
        for n in range(4)
        for clip in ("001", "002")
    ]
    corpus = open_table(write_csv(root / "a.csv", [*({**row, "split": "train"} for row in rows), ROWS[2]]))
    found = dict(corpus.look([5, 2, 0, 3, 7]))
    assert sorted(found) == [0, 2, 3, 5, 7] and read == ["002.npy", "001.npy"]
    assert all(isinstance(values, np.ndarray) and values.base is None for values in found.values())


def test_a_table_beside_its_features_is_the_same_wherever_both_lie(root: Path, tmp_path: Path) -> None:
    (root / "tables").mkdir()
    rows = [{**row, "path": f"../{row['path']}"} for row in ROWS]
    before = open_table(write_csv(root / "tables" / "a.csv", rows)).identity()
    shutil.copytree(root, tmp_path / "elsewhere")
    assert open_table(tmp_path / "elsewhere" / "tables" / "a.csv").identity() == before


def test_identity_is_what_is_read_and_what_decided_the_splits(root: Path) -> None:
    table = write_csv(root / "a.csv", ROWS)
    first = open_table(table).identity()
    assert open_table(write_tsv(root / "b.tsv", [{**row, "age": 3} for row in ROWS])).identity() == first
    assert open_table(table, split_seed=5).identity() == first  # for nothing is drawn
    assert open_table(write_csv(root / "a.csv", [*ROWS[:2], {**ROWS[2], "glosses": "SCHNEE"}])).identity() != first
    assert open_table(write_csv(root / "a.csv", [*ROWS[:2], {**ROWS[2], "end": 7}])).identity() != first
    write_csv(root / "a.csv", ROWS)
    np.save(root / "clips" / "001.npy", recorded(9))
    assert open_table(table).identity() != first


def test_a_file_of_another_width_or_with_infinity_is_named(root: Path) -> None:
    table = write_csv(root / "a.csv", ROWS)
    np.save(root / "clips" / "002.npy", recorded(width=1662))
    with pytest.raises(CorpusError, match=r"clips/002\.npy: 1662 values a frame, but .* has 1629; .*fits holistic"):
        list(open_table(table).read())
    values = recorded()
    values[3, 7] = np.inf
    np.save(root / "clips" / "002.npy", values)
    with pytest.raises(CorpusError, match=r"clips/002\.npy: infinity at frame 3, value 7"):
        list(open_table(table).read())
    (root / "clips" / "002.npy").write_bytes(b"")
    found = dict(open_table(table).look([0, 1]))
    assert isinstance(found[1], CorpusError) and not isinstance(found[0], CorpusError)


def test_a_root_that_is_a_table_says_what_kind_it_is(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.CSV", "a.parquet"):
        assert load_sweep(None, [f"corpus.root={name}"]).corpus.kind == "table"
        assert load_sweep("student", [f"corpus.root={name}"]).corpus.kind == "table"
        assert load_sweep(None, [f"corpus.root={name}", "corpus.kind=phoenix"]).corpus.kind == "phoenix"
        assert load_sweep("baseline", [f"corpus={{kind: phoenix, root: {name}}}"]).corpus.kind == "phoenix"
        assert load_sweep("baseline", [f"corpus={{root: {name}}}"]).corpus.kind == "table"
    assert load_sweep(None, ["corpus.root=folder"]).corpus.kind == "phoenix"
    (tmp_path / "own.yaml").write_text("corpus: {root: a.jsonl}")
    assert load_sweep(tmp_path / "own.yaml").corpus.kind == "table"
    (tmp_path / "folder.csv").mkdir()
    assert load_sweep(None, ["corpus.root=folder.csv"]).corpus.kind == "phoenix"
    with pytest.raises(SettingError, match=r"corpus\.root: must name the corpus's table, .* give corpus\.root=TABLE"):
        load_sweep(None, ["corpus.kind=table"])


def test_the_conversion_in_the_docs_makes_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = [f"clip{number}" for number in range(40)]
    np.savez("landmarks.npz", **{name: np.ones((5, 2, 21, 2), np.float16) for name in names})
    Path("annotations.csv").write_text("clip,glosses,signer\n" + "".join(f"{name},A B,s\n" for name in names))
    page = (Path(__file__).parents[3] / "docs" / "your-corpus.md").read_text(encoding="utf-8")
    exec(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0], {})
    corpus = TableCorpus(Path("recordings/table.csv"))
    assert [u.key for u in corpus.utterances()] == names
    assert next(iter(corpus.look([0])))[1].shape == (5, 84)


def test_copies_of_training_files_under_other_names_are_told(root: Path, tmp_path: Path) -> None:
    shutil.copy(root / "clips" / "001.npy", root / "clips" / "003.npy")
    packed = pack(open_table(write_csv(root / "a.csv", ROWS)), tmp_path)
    (told,) = [note for note in packed.notes if "copies" in note]
    assert "1 files of dev or test are copies of files of train: clips/003.npy of clips/001.npy" in told
    np.save(root / "clips" / "003.npy", recorded() / 3)
    assert not any("copies" in note for note in pack(open_table(write_csv(root / "b.csv", ROWS)), tmp_path).notes)


def test_recordings_are_known_by_their_content_and_not_by_their_names(root: Path, tmp_path: Path) -> None:
    for place, name in enumerate(("001", "002", "003")):
        np.save(root / "clips" / f"{name}.npy", recorded() / (place + 1))
    mine = pack(open_table(write_csv(root / "a.csv", ROWS)), tmp_path)
    other = tmp_path / "other"
    shutil.copytree(root, other)
    for place, name in enumerate(("001", "002", "003")):
        np.save(other / "clips" / f"{name}.npy", recorded() / (place + 5))
    theirs = pack(
        open_table(write_csv(other / "a.csv", [{**row, "split": "train"} for row in ROWS[2:]] + _as_dev(ROWS))),
        tmp_path,
    )
    seen = {"recordings": training_recordings(theirs)}
    check_unseen(Path("theirs.safetensors"), seen, mine)  # of the same names
    shutil.copy(root / "clips" / "003.npy", other / "clips" / "renamed.npy")
    rows = [{**ROWS[2], "path": "clips/renamed.npy", "split": "train"}, *_as_dev(ROWS)]
    leaking = pack(open_table(write_csv(other / "b.csv", rows)), tmp_path)
    with pytest.raises(CheckpointError, match="learned from 1 of the 1 recordings"):
        check_unseen(Path("leaking.safetensors"), {"recordings": training_recordings(leaking)}, mine)


def _as_dev(rows: Sequence[Cells]) -> list[Cells]:
    return [{**row, "split": "dev"} for row in rows[:1]]


def test_pose_files_beside_others_need_a_layout(root: Path) -> None:
    clip = min((lexicon_folder() / "ase").iterdir())
    rows = [*ROWS, {"path": str(clip), "glosses": "A", "split": "train"}]
    with pytest.raises(CorpusError, match=r"says itself what it holds, and .*001\.npy does not; say .* corpus\.layout"):
        list(TableCorpus(write_csv(root / "a.csv", rows)).read())
