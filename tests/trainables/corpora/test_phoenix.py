import os
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glosstune.spaces import CorpusError, FolderError
from glosstune.trainables.corpora import PhoenixCorpus, pack_corpus
from glosstune.trainables.corpora.files.features import load_values
from glosstune.trainables.corpora.store import pack
from glosstune.trainables.corpora.vocabulary import split_glosses
from glosstune.trainables.settings import CorpusSettings


def _features(frames: int = 4, width: int = 1629) -> np.ndarray:
    return np.random.default_rng(0).uniform(0.1, 0.9, size=(frames, width)).astype(np.float32)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two training utterances, one for dev, in base values."""
    root = tmp_path / "phoenix"
    for split, keys in {"train": ("one", "two"), "dev": ("three",)}.items():
        (root / split).mkdir(parents=True)
        lines = ["id|folder|signer|annotation"]
        for key in keys:
            np.savez(root / split / f"{key}.npz", features=_features(), detection_masks=np.ones(4))
            lines.append(f"{key}|{key}/1/*.png|Signer01|MORGEN REGEN")
        (root / f"{split}.corpus.csv").write_text("\n".join(lines), encoding="utf-8")
    return root


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
    np.savez(tmp_path / "a.npz", **{key: _features(), "metadata": np.array(["x"])})
    assert np.array_equal(load_values(tmp_path / "a.npz"), _features())


def test_npy_files_lie_beside_the_annotations(root: Path) -> None:
    (root / "train" / "one.npz").unlink()
    np.save(root / "one.npy", _features(7))
    assert next(PhoenixCorpus(root, layout="base").read()).shape == (7, 1629)


def test_a_block_order_that_differs_arrives_in_canonical_order(root: Path) -> None:
    full = _features(width=6516)
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
        np.save(root / f"{name}.npy", _features())
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
        np.save(root / "train" / f"{name}.npy", _features())
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
    np.save(root / "train" / "four.npy", _features())
    with pytest.raises(CorpusError, match=r"no gloss: train/four; corpus\.missing=skip leaves them out"):
        PhoenixCorpus(root, layout="base").utterances()
    assert len(PhoenixCorpus(root, layout="base", missing="skip").utterances()) == 3


def test_npy_files_lie_in_a_folder_a_split_too(root: Path) -> None:
    (root / "train" / "one.npz").unlink()
    np.save(root / "train" / "one.npy", _features(7))
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
    np.savez(root / folder / "one.npz", features=_features(7))
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


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def _write(path: Path, value: float) -> None:
    values = _features()
    values[2, 5] = value
    np.savez(path, features=values)


BAD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "empty, truncated or no NumPy file"),
    "truncated": (_truncate, "empty, truncated or no NumPy file"),
    "no frames": (lambda path: np.savez(path, features=_features(0)), r"expected floats \(time, width\)"),
    "no numbers": (lambda path: np.savez(path, features=np.ones((3, 1629), bool)), "expected floats"),
    "another key": (
        lambda path: np.savez(path, values=_features()),
        "no array features, feature, arr_0; it holds values",
    ),
    "another width": (
        lambda path: np.savez(path, features=_features(width=1662)),
        "1662 values a frame, but .* has 1629; that width fits holistic",
    ),
    "infinity": (lambda path: _write(path, np.inf), "infinity at frame 2, value 5; repair or remove the file"),
    "a pickle": (lambda path: np.savez(path, features=np.array([{}], dtype=object)), "empty, truncated or no NumPy"),
}


@pytest.mark.parametrize("fault", BAD_FILES)
def test_a_bad_feature_file_is_named_with_its_rule_and_nothing_is_written(
    root: Path, fault: str, tmp_path: Path
) -> None:
    spoil, rule = BAD_FILES[fault]
    path = root / "train" / "two.npz"
    spoil(path)
    with pytest.raises(CorpusError, match=rule) as caught:
        pack(PhoenixCorpus(root, layout="base"), tmp_path / "cache")
    assert str(path) in str(caught.value)
    assert [file.name for file in (tmp_path / "cache").iterdir() if not file.name.endswith(".lock")] == []


def test_nan_is_what_was_not_seen_unless_it_is_said_to_be_none(root: Path) -> None:
    path = root / "train" / "one.npz"
    _write(path, np.nan)
    filled = next(PhoenixCorpus(root, layout="base").read())
    assert np.isfinite(filled).all()
    rule = r"NaN at frame 2, value 5; corpus\.not_seen=zeros\+nan takes NaN for what was not seen"
    with pytest.raises(CorpusError, match=rule):
        next(PhoenixCorpus(root, layout="base", not_seen="zeros").read())


def test_rows_without_features_are_counted_and_listed_or_skipped(root: Path) -> None:
    rows = "".join(f"\nmissing{number}|x|S|A" for number in range(12))
    path = root / "train.corpus.csv"
    path.write_text(path.read_text() + rows, encoding="utf-8")
    with pytest.raises(
        CorpusError, match=r"12 annotation rows .* train/missing0, .* train/missing9 and 2 more; corpus.missing=skip"
    ):
        PhoenixCorpus(root, layout="base").utterances()
    assert len(PhoenixCorpus(root, layout="base", missing="skip").utterances()) == 3


def test_skipping_everything_is_still_an_error(tmp_path: Path) -> None:
    (tmp_path / "train.corpus.csv").write_text("id|folder|signer|annotation\none|x|S|A", encoding="utf-8")
    (tmp_path / "dev.corpus.csv").write_text("id|folder|signer|annotation\ntwo|x|S|A", encoding="utf-8")
    with pytest.raises(CorpusError, match="2 annotation rows have no feature file"):
        PhoenixCorpus(tmp_path, missing="skip").utterances()


@pytest.mark.parametrize(
    ("file", "text", "rule"),
    [
        ("dev", "id|folder|signer|annotation\none|x|S|A", "one.npz is in train and in dev"),
        (
            "dev",
            "id|folder|signer|annotation\nthree|x|S|",
            "1 annotation rows have no gloss: dev/three; corpus.missing=skip",
        ),
        ("dev", "id|folder|signer|annotation", "split dev: no utterance"),
        ("dev", "id;folder;signer;annotation\nthree;x;S;A", "header 'id;folder;signer;annotation' is unknown"),
        ("dev", "id|folder|signer|annotation\nthree|x|S", "line 2 has 3 fields, the header has 4"),
        ("dev", "id,folder\nthree,x,S", "header 'id,folder' is unknown"),
        ("dev", "id|folder|signer|annotation\nthree|x|S|A\nthree|x|S|B", "annotated more than once: three"),
        ("dev", "id|folder|signer|annotation\n../train/one|x|S|A", "leads outside the folder"),
    ],
)
def test_bad_annotations_are_named(root: Path, tmp_path: Path, file: str, text: str, rule: str) -> None:
    (root / f"{file}.corpus.csv").write_text(text, encoding="utf-8")
    with pytest.raises(CorpusError, match=rule):
        pack(PhoenixCorpus(root, layout="base"), tmp_path / "cache")


def test_annotations_in_another_encoding_are_named(root: Path) -> None:
    (root / "dev.corpus.csv").write_bytes("id|folder|signer|annotation\nthree|x|S|MÜNCHEN".encode("latin-1"))
    with pytest.raises(CorpusError, match=r"dev\.corpus\.csv: is not UTF-8 text"):
        PhoenixCorpus(root, layout="base").utterances()


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_annotations_written_on_windows_are_read(root: Path, ending: str) -> None:
    text = ending.join(["id|folder|signer|annotation", "three|x|S|A B", ""])
    (root / "dev.corpus.csv").write_bytes(text.encode("utf-8-sig"))
    assert PhoenixCorpus(root, layout="base").utterances()[-1].glosses == ("A", "B")


def test_a_missing_root_and_missing_annotations_are_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="is no folder"):
        PhoenixCorpus(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match=r"no annotation file train\.corpus\.csv"):
        PhoenixCorpus(tmp_path).utterances()


def test_a_gloss_that_training_does_not_have_stays_out_of_the_vocabulary(root: Path, tmp_path: Path) -> None:
    path = root / "dev.corpus.csv"
    path.write_text(path.read_text().replace("REGEN", "SCHNEE"), encoding="utf-8")
    settings = CorpusSettings(kind="phoenix", root=root, layout="base", cache=tmp_path / "cache")
    corpus = pack_corpus(settings)
    assert corpus.vocabulary.glosses == ("MORGEN", "REGEN")
    assert corpus.vocabulary.unknown(corpus.glosses(corpus.rows("dev")[0])) == ["SCHNEE"]


def test_a_cache_that_cannot_be_written_is_an_error(root: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(FolderError, match=r"cannot write the packed corpus .* corpus\.cache"):
        pack(PhoenixCorpus(root, layout="base"), blocked / "cache")


def test_a_changed_file_is_packed_anew(root: Path, tmp_path: Path) -> None:
    settings = CorpusSettings(kind="phoenix", root=root, layout="base", cache=tmp_path / "cache")
    first = pack_corpus(settings)
    assert pack_corpus(settings).key == first.key
    np.savez(root / "train" / "one.npz", features=_features(9))
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
