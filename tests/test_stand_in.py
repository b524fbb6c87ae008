"""The folder of PHOENIX-2014's kind that benchmarks/stand_in.py writes."""

import importlib
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from glosstune.spaces import SettingError
from glosstune.trainables.corpora.kinds import open_corpus
from glosstune.trainables.layouts.layout import DEFAULT, FileLayout
from glosstune.trainables.layouts.recognition import recognise_layout
from glosstune.trainables.settings import CorpusSettings


@pytest.fixture
def stand_in(benchmark_module: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_module("stand_in")


@pytest.fixture
def sentences(stand_in: ModuleType) -> ModuleType:
    return importlib.import_module("signing.sentences")


@pytest.fixture
def signs(stand_in: ModuleType) -> ModuleType:
    return importlib.import_module("signing.signs")


@pytest.fixture
def few(sentences):
    return [sentence for sentence in sentences.make_up_sentences() if sentence.key.endswith(("-0", "-1", "-2"))]


def test_no_two_glosses_are_signed_alike_and_marked_forms_as_their_gloss(signs):
    glosses = [f"GLOSS{number}" for number in range(1300)]
    made = signs.make_signs([*glosses, "loc-GLOSS7", "cl-loc-GLOSS8-PLUSPLUS-PLUSPLUS", "__ON__", "__OFF__"], 0)
    assert set(made) == {*glosses, "__ON__", "__OFF__"} and len(set(made.values())) == len(made)
    fragments = [len(made[gloss]) for gloss in glosses]
    assert set(fragments) == {2, 3}


def test_a_share_signs_each_sentence_as_the_whole_does(stand_in, sentences, few):
    whole, again = (stand_in.StandIn.of(sentences.make_up_sentences(), 0) for _ in range(2))
    for sentence in few[:2]:
        assert np.array_equal(whole.features(sentence), again.features(sentence))
    other = stand_in.StandIn.of(sentences.make_up_sentences(), 1)
    assert len(other.features(few[0])) > 0 and other.signs != whole.signs


def test_splits_shrink_alike_and_keep_their_order(sentences):
    whole = sentences.make_up_sentences()
    kept = sentences.draw_share(whole, 0.5, 0)
    assert [sum(s.split == split for s in kept) for split in ("train", "dev", "test")] == [18, 4, 4]
    assert [sentence for sentence in whole if sentence in kept] == kept
    assert sentences.draw_share(whole, 0.5, 1) != kept and sentences.draw_share(whole, 1.0, 0) == whole
    assert len(sentences.draw_share(whole, 1e-6, 0)) == 6


def test_the_folder_is_read_as_ready_features_that_move_without_jerks(stand_in, few, tmp_path, capsys):
    stand_in.write_folder(tmp_path / "out", few, stand_in.StandIn.of(few, 0))
    corpus = open_corpus(CorpusSettings(kind="phoenix", root=tmp_path / "out"))
    utterances = corpus.utterances()
    assert [(u.split, u.key, u.signer, u.glosses) for u in utterances] == [
        (s.split, s.key, s.signer, s.glosses) for s in few
    ]
    values = list(corpus.read())
    assert {each.shape[1] for each in values} == {DEFAULT.feature_width}
    frames = sum(map(len, values)) / sum(len(u.glosses) for u in utterances)
    assert 10 < frames < 15 and f"{sum(map(len, values)):,} frames" in capsys.readouterr().out
    blocks = {(block.channel, block.part): block.features for block in DEFAULT.blocks}
    for each in values:
        velocity, position = each[:, blocks["velocity", "face"]], each[:, blocks["position", "face"]]
        assert np.allclose(velocity[1:], np.diff(position, axis=0), atol=1e-4)
        # What shakes a face anew for each frame makes accelerations the square root of 3 as large as velocities.
        assert each[:, blocks["acceleration", "face"]].std() < velocity.std()


def test_positions_are_recognised_by_points_that_stand_twice(stand_in, few):
    made = stand_in.StandIn.of(few, 0, "positions")
    seen = recognise_layout([made.features(sentence) for sentence in few], FileLayout.of("default"))
    assert seen.blocks is not None and not seen.disagrees
    assert seen.channels == ("velocity", "acceleration", "position")


def test_signers_sign_the_same_gloss_differently_and_each_likewise(stand_in, sentences):
    made = stand_in.StandIn.of(sentences.make_up_sentences(), 0)
    hand = next(each.features for each in DEFAULT.blocks if (each.channel, each.part) == ("shape", "hands"))

    def mean(signer: str, key: str, gloss: str) -> np.ndarray:
        return made.features(sentences.Sentence("train", key, signer, (gloss,) * 3))[:, hand].mean(axis=0)

    one, again, other = (mean(*who, "GLOSS1") for who in [("Signer01", "a"), ("Signer01", "b"), ("Signer02", "a")])
    unlike = mean("Signer01", "c", "GLOSS2")
    assert np.linalg.norm(one - again) < min(np.linalg.norm(one - other), np.linalg.norm(one - unlike)) / 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("id\tglosses\n", "must begin with the columns split, id, signer, glosses"),
        ("split\tid\tsigner\tglosses\ntrain\ta\tS1\n", "line 2 needs"),
        ("split\tid\tsigner\tglosses\nvalid\ta\tS1\tA\n", "line 2 needs .* a split of train, dev, test"),
        ("split\tid\tsigner\tglosses\ntrain\t../a\tS1\tA\n", "line 2: id '../a' must be a file's name"),
        ("split\tid\tsigner\tglosses\ntrain\ta\tS1\tA\ntrain\ta\tS1\tA\n", "line 3: id 'a' must be"),
    ],
)
def test_a_table_that_is_none_is_refused_with_its_line(sentences, tmp_path, text, message):
    table = tmp_path / "glosses.tsv"
    if text is not None:
        table.write_text(text)
    with pytest.raises(SettingError, match=message):
        sentences.read_sentences(table)


def test_a_table_is_read_and_a_folder_that_is_there_is_left_alone(stand_in, sentences, few, tmp_path):
    rows = [f"{s.split}\t{s.key}\t{s.signer}\t{' '.join(s.glosses)}" for s in few]
    (tmp_path / "glosses.tsv").write_text("\n".join(["split\tid\tsigner\tglosses", *rows]) + "\n")
    assert sentences.read_sentences(tmp_path / "glosses.tsv") == few
    with pytest.raises(SettingError, match="is there already"):
        stand_in.write_folder(tmp_path, few, stand_in.StandIn.of(few, 0))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["glosses.tsv"]


def test_what_training_lacks_is_counted(sentences):
    given = [
        sentences.Sentence("train", "a", "S1", ("A", "B")),
        sentences.Sentence("dev", "b", "S1", ("B", "C", "C")),
        sentences.Sentence("test", "c", "S1", ("A",)),
    ]
    lines = list(sentences.describe(given))
    assert lines[1].endswith("training lacks 1 of them, in 2 places")
