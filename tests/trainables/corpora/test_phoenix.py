import os
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_phoenix import random_features, write_small

from glosstune.spaces import CorpusError
from glosstune.trainables.corpora import PhoenixCorpus, pack_corpus
from glosstune.trainables.corpora.files.features import load_values
from glosstune.trainables.corpora.store import pack
from glosstune.trainables.corpora.vocabulary import split_glosses
from glosstune.trainables.settings import CorpusSettings


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_small(tmp_path / "phoenix")


def test_annotations_and_features_are_read(root: Path) -> None:
    corpus = PhoenixCorpus(root, layout="base")
    assert [(u.key, u.split, u.signer, u.glosses) for u in corpus.utterances()] == [
        ("one", "train", "Signer01", ("MORGEN", "REGEN")),
        ("two", "train", "Signer01", ("MORGEN", "REGEN")),
        ("three", "dev", "Signer01", ("MORGEN", "REGEN")),
    ]
    assert [frames.shape for frames in corpus.read()] == [(4, 1629)] * 3


@pytest.mark.parametrize("key", ["features", "feature", "arr_0"])
def test_every_array_key_is_found(tmp_path: Path, key: str) -> None:
    np.savez(tmp_path / "a.npz", **{key: random_features(), "metadata": np.array(["x"])})
    assert np.array_equal(load_values(tmp_path / "a.npz"), random_features())


def test_npy_files_lie_beside_the_annotations(root: Path) -> None:
    (root / "train" / "one.npz").unlink()
    np.save(root / "one.npy", random_features(7))
    assert next(PhoenixCorpus(root, layout="base").read()).shape == (7, 1629)


def test_a_block_order_that_differs_arrives_in_canonical_order(root: Path) -> None:
    full = random_features(width=6516)
    pose, hands, face, temporal = np.split(full, [99, 225, 1629], axis=1)
    per_channel = [np.split(channel, [99, 225], axis=1) for channel in np.split(temporal, 3, axis=1)]
    other = [pose, face, hands] + [block for p, h, f in per_channel for block in (p, f, h)]
    for path in root.glob("*/*.npz"):
        np.savez(path, features=np.concatenate(other, axis=1))
    frames = next(PhoenixCorpus(root, layout="split-hands").read())
    assert np.array_equal(frames, full)


def test_si5_files_are_another_split_of_the_same_features(root: Path) -> None:
    for split, key in {"train": "one", "dev": "two", "test": "three"}.items():
        (root / f"{split}.SI5.corpus.csv").write_text(f"id|folder|signer|annotation\n{key}|x|S|A", encoding="utf-8")
    corpus = PhoenixCorpus(root, layout="base", split="unseen-signers")
    assert [(u.key, u.split) for u in corpus.utterances()] == [("one", "train"), ("two", "dev"), ("three", "test")]


def test_phoenix_2014_t_annotations_are_read(root: Path) -> None:
    for split, key in {"train": "one", "dev": "two"}.items():
        (root / f"{split}.corpus.csv").unlink()
        text = f"name|video|start|end|speaker|orth|translation\n{key}|v|-1|-1|Signer08|JETZT WETTER|und nun"
        (root / f"PHOENIX-2014-T.{split}.corpus.csv").write_text(text, encoding="utf-8")
    corpus = PhoenixCorpus(root, layout="base")
    assert [(u.signer, u.glosses) for u in corpus.utterances()] == [("Signer08", ("JETZT", "WETTER"))] * 2


def test_only_phoenix_2014_has_a_split_by_signer(root: Path) -> None:
    (root / "split_1.txt").write_text("name|split\nS1_P1_T0|train", encoding="utf-8")
    for split in ("train", "dev"):
        (root / f"{split}.corpus.csv").rename(root / f"PHOENIX-2014-T.{split}.corpus.csv")
    with pytest.raises(CorpusError, match=r"no annotation file train\.SI5\.corpus\.csv"):
        PhoenixCorpus(root, layout="base", split="unseen-signers").utterances()


def test_csl_daily_annotations_are_read(root: Path) -> None:
    for name in ("S000001_P0003_T00", "S000002_P0004_T00"):
        np.save(root / f"{name}.npy", random_features())
    (root / "split_1.txt").write_text("name|split\nS000001_P0003_T00|train\nS000002_P0004_T00|dev", encoding="utf-8")
    table = (
        "index|name|length|gloss|char|word|postag\n0|S000001_P0003_T00|9|我 去|x|x|x\n1|S000002_P0004_T00|9|我|x|x|x"
    )
    (root / "video_map.txt").write_text(table, encoding="utf-8")
    assert [(u.signer, u.glosses) for u in PhoenixCorpus(root, layout="base").utterances()] == [
        ("P0003", ("我", "去")),
        ("P0004", ("我",)),
    ]


CSL = ("S000001_P0003_T00", "S000002_P0004_T00", "S000005_P0004_T00")


def _csl(root: Path, *table: str, folder: str = "sentence_label") -> Path:
    """CSL-Daily's two files with three rows in the split, of which the gloss table has those that are given."""
    (root / folder).mkdir(exist_ok=True)
    for name in CSL:
        np.save(root / "train" / f"{name}.npy", random_features())
    rows = [f"{name}|{split}" for name, split in zip(CSL, ("train", "dev", "train"), strict=True)]
    (root / folder / "split_1.txt").write_text("\n".join(["name|split", *rows]), encoding="utf-8")
    (root / folder / "video_map.txt").write_text("\n".join(["name|gloss", *table]), encoding="utf-8")
    return root


def test_a_corpus_is_scored_as_its_papers_are(root: Path, tmp_path: Path) -> None:
    assert PhoenixCorpus(root, layout="base").scoring == "phoenix2014"
    packed = pack(PhoenixCorpus(root, layout="base"), tmp_path / "cache")
    assert packed.scoring == "phoenix2014"
    plain = pack(PhoenixCorpus(root, layout="base"), tmp_path / "cache", scoring="plain")
    assert (plain.scoring, plain.key) == ("plain", packed.key)  # nothing is packed again
    for split in ("train", "dev"):
        path = root / f"{split}.corpus.csv"
        rows = [line.split("|") for line in path.read_text().splitlines()[1:]]
        lines = [f"{key}|v|0|1|{signer}|{glosses}|text" for key, _, signer, glosses in rows]
        header = "name|video|start|end|speaker|orth|translation"
        (root / f"PHOENIX-2014-T.{split}.corpus.csv").write_text("\n".join([header, *lines]), encoding="utf-8")
        path.unlink()
    assert PhoenixCorpus(root, layout="base").scoring == "phoenix2014t"
    assert PhoenixCorpus(_csl(root, "one|MORGEN"), layout="base").scoring == "csl-daily"


def test_clean_targets_are_another_corpus_with_clean_glosses(root: Path, tmp_path: Path) -> None:
    path = root / "train.corpus.csv"
    text = path.read_text().replace("one/1/*.png|Signer01|MORGEN REGEN", "x|Signer01|loc-MORGEN __PU__ cl-WIND")
    path.write_text(text, encoding="utf-8")
    corpus = PhoenixCorpus(root, layout="base")
    raw, clean = pack(corpus, tmp_path / "cache"), pack(corpus, tmp_path / "cache", targets="clean")
    assert raw.vocabulary.glosses == ("MORGEN", "REGEN", "__PU__", "cl-WIND", "loc-MORGEN")
    assert clean.vocabulary.glosses == ("MORGEN", "REGEN", "WIND")
    assert clean.glosses(0) == ("MORGEN", "WIND") and clean.key != raw.key
    path.write_text(text.replace("loc-MORGEN __PU__ cl-WIND", "__PU__"), encoding="utf-8")
    with pytest.raises(CorpusError, match="leaves no gloss of 1 utterances: one"):
        pack(PhoenixCorpus(root, layout="base"), tmp_path / "cache", targets="clean")


def test_csl_daily_opens_as_it_is_released(root: Path) -> None:
    corpus = _csl(root, f"{CSL[0]}|我 去", f"{CSL[1]}|我", "S000007_P0003_T00|去")
    with pytest.raises(
        CorpusError, match=r"1 annotation rows have no gloss: train/S000005_P0004_T00; corpus\.missing=skip leaves"
    ):
        PhoenixCorpus(corpus, layout="base").utterances()
    opened = PhoenixCorpus(corpus, layout="base", missing="skip")
    assert [u.key for u in opened.utterances()] == list(CSL[:2])
    assert (opened.absent, opened.unannotated) == ([], [f"train/{CSL[2]}"])


def test_a_row_that_stands_twice_with_other_glosses_is_an_error(root: Path) -> None:
    corpus = _csl(root, f"{CSL[0]}|我 去", f"{CSL[1]}|我", f"{CSL[2]}|去", f"{CSL[0]}|去 我")
    with pytest.raises(CorpusError, match=r"video_map\.txt: S000001_P0003_T00 stands twice with other glosses"):
        PhoenixCorpus(corpus, layout="base").utterances()


def test_rows_without_a_gloss_are_an_error_or_left_out(root: Path) -> None:
    with (root / "train.corpus.csv").open("a", encoding="utf-8") as file:
        file.write("\nfour|x|Signer01| \u200b")
    np.save(root / "train" / "four.npy", random_features())
    with pytest.raises(CorpusError, match=r"no gloss: train/four; corpus\.missing=skip leaves them out"):
        PhoenixCorpus(root, layout="base").utterances()
    assert len(PhoenixCorpus(root, layout="base", missing="skip").utterances()) == 3
    for path in root.glob("*.corpus.csv"):
        lines = path.read_text(encoding="utf-8").splitlines()
        emptied = [lines[0], *(line.rpartition("|")[0] + "|" for line in lines[1:])]
        path.write_text("\n".join(emptied), encoding="utf-8")
    with pytest.raises(CorpusError, match=r"have no gloss: .*; none of the annotation rows has a gloss and a file$"):
        PhoenixCorpus(root, layout="base", missing="skip").utterances()


def test_npy_files_lie_in_a_folder_a_split_too(root: Path) -> None:
    (root / "train" / "one.npz").unlink()
    np.save(root / "train" / "one.npy", random_features(7))
    assert next(PhoenixCorpus(root, layout="base").read()).shape == (7, 1629)


@given(st.lists(st.text(st.characters(categories=["L", "M"]), min_size=1, max_size=5), max_size=4))
def test_a_gloss_is_the_same_however_its_letters_are_composed(glosses: list[str]) -> None:
    forms = {split_glosses(unicodedata.normalize(form, " ".join(glosses))) for form in ("NFC", "NFD")}
    assert len(forms) == 1
    (found,) = forms
    assert split_glosses("\ufeff" + "\u200b".join(" ".join(found))) == found


def _repeat(root: Path, split: str = "dev", folder: str = "dev") -> Path:
    """The id ``one``, which train has, in another split too, with a file of its own."""
    with (root / f"{split}.corpus.csv").open("a", encoding="utf-8") as file:
        file.write("\none|x|Signer02|REGEN")
    np.savez(root / folder / "one.npz", features=random_features(7))
    return root


def test_an_id_that_splits_repeat_is_an_utterance_of_each(root: Path, tmp_path: Path) -> None:
    corpus = PhoenixCorpus(_repeat(root), layout="base")
    assert [(u.key, u.sources) for u in corpus.utterances()] == [
        ("train/one", ("train/one.npz",)),
        ("two", ("train/two.npz",)),
        ("three", ("dev/three.npz",)),
        ("dev/one", ("dev/one.npz",)),
    ]
    assert [len(frames) for frames in corpus.read()] == [4, 4, 4, 7]
    assert [u.key for u in corpus.only(["dev/one", "two"]).utterances()] == ["two", "dev/one"]
    assert pack(corpus, tmp_path / "cache").rows("dev") == [2, 3]


def test_a_repeated_id_without_a_file_of_its_own_is_a_leak_still(root: Path, tmp_path: Path) -> None:
    (_repeat(root) / "dev" / "one.npz").unlink()
    with pytest.raises(CorpusError, match=r"train/one\.npz is in train and in dev; splits must not share a file"):
        pack(PhoenixCorpus(root, layout="base"), tmp_path / "cache")


def test_a_repeated_id_without_a_gloss_or_a_file_is_named_once_with_its_split(root: Path) -> None:
    for split, gloss in {"train": "A", "dev": ""}.items():
        with (root / f"{split}.corpus.csv").open("a", encoding="utf-8") as file:
            file.write(f"\nfour|x|S|{gloss}")
    corpus = PhoenixCorpus(root, layout="base", missing="skip")
    assert (corpus.absent, corpus.unannotated) == (["train/four"], ["dev/four"])


def test_a_file_that_may_be_meant_twice_is_refused_under_si5(root: Path) -> None:
    _repeat(root)
    for split, key in {"train": "two", "dev": "one"}.items():
        (root / f"{split}.SI5.corpus.csv").write_text(f"id|folder|signer|annotation\n{key}|x|S|A", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"dev/one: train/one\.npz and dev/one\.npz are there, .* which one is meant"):
        PhoenixCorpus(root, layout="base", split="unseen-signers").utterances()


def test_a_file_in_two_other_splits_folders_is_refused(root: Path) -> None:
    _repeat(root)
    (root / "test").mkdir()
    (root / "test.corpus.csv").write_text("id|folder|signer|annotation\none|x|S|A", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"test/one: train/one\.npz and dev/one\.npz are there"):
        PhoenixCorpus(root, layout="base").utterances()


@pytest.mark.parametrize("folder", ["{split}", "annotations/{split}", "annotations/manual/{split}"])
def test_annotations_may_lie_in_a_folder_a_split(root: Path, folder: str) -> None:
    for split in ("train", "dev"):
        place = root / folder.format(split=split)
        place.mkdir(parents=True, exist_ok=True)
        (root / f"{split}.corpus.csv").rename(place / f"{split}.corpus.csv")
    assert [u.key for u in PhoenixCorpus(root, layout="base").utterances()] == ["one", "two", "three"]


def test_features_may_lie_in_a_folder_of_their_own(root: Path) -> None:
    (root / "features").mkdir()
    for split in ("train", "dev"):
        (root / split).rename(root / "features" / split)
    corpus = PhoenixCorpus(root, layout="base")
    assert [u.sources for u in corpus.utterances()][2] == ("features/dev/three.npz",)
    assert len(list(corpus.read())) == 3


def test_a_gloss_that_training_does_not_have_stays_out_of_the_vocabulary(root: Path, tmp_path: Path) -> None:
    path = root / "dev.corpus.csv"
    path.write_text(path.read_text().replace("REGEN", "SCHNEE"), encoding="utf-8")
    settings = CorpusSettings(kind="phoenix", root=root, layout="base", cache=tmp_path / "cache")
    corpus = pack_corpus(settings)
    assert corpus.vocabulary.glosses == ("MORGEN", "REGEN")
    assert corpus.vocabulary.unknown(corpus.glosses(corpus.rows("dev")[0])) == ["SCHNEE"]


def test_a_changed_file_is_packed_anew(root: Path, tmp_path: Path) -> None:
    settings = CorpusSettings(kind="phoenix", root=root, layout="base", cache=tmp_path / "cache")
    first = pack_corpus(settings)
    assert pack_corpus(settings).key == first.key
    np.savez(root / "train" / "one.npz", features=random_features(9))
    again = pack_corpus(settings)
    assert again.key != first.key
    assert again.length(0) == 9


def test_a_copied_moved_or_touched_corpus_is_the_same(root: Path, tmp_path: Path) -> None:
    before = PhoenixCorpus(root, layout="base").identity()
    copied = Path(shutil.copytree(root, tmp_path / "copied"))
    for path in root.rglob("*"):
        os.utime(path, (1, 1))
    assert PhoenixCorpus(root, layout="base").identity() == before == PhoenixCorpus(copied, layout="base").identity()


def test_one_byte_makes_another_corpus(root: Path) -> None:
    before = PhoenixCorpus(root, layout="base").identity()
    path = root / "train" / "one.npz"
    state, data = path.stat(), bytearray(path.read_bytes())
    data[-700] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert PhoenixCorpus(root, layout="base").identity() != before
