"""A corpus of one's own is opened by the settings that it takes, and what it yields is checked."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glosstune.spaces.errors import CorpusError, GlosstuneError, SettingError
from glosstune.trainables.checks.inspection import inspect_corpus
from glosstune.trainables.corpora import FingerspellingCorpus, PackedCorpus, PhoenixCorpus, open_corpus, pack_corpus
from glosstune.trainables.corpora.kinds import corpus_class, corpus_traits, has_positions
from glosstune.trainables.settings import CorpusSettings

MODULE = "own_corpus"
SOURCE = """
import numpy as np
from glosstune.trainables.corpora import CorpusTraits, Recording

class Own:
    count = 8
    def utterances(self):
        generator = np.random.default_rng(0)
        for place in range(self.count):
            features = generator.uniform(0.2, 0.8, (30, 1629)).astype("float32")
            yield self.change(place, Recording(features, ["A", "B"], "s1", "train" if place % 2 else "dev"))
    def change(self, place, recording):
        return recording
"""

Write = Callable[..., CorpusSettings]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write a module with the class ``Own``, changed by lines of its body, and give the settings that name it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(*lines: str, **settings: Any) -> CorpusSettings:
        sys.modules.pop(MODULE, None)
        (tmp_path / f"{MODULE}.py").write_text(SOURCE + "".join(f"    {line}\n" for line in lines))
        return CorpusSettings(kind=f"{MODULE}:Own", cache=tmp_path / "cache", **settings)

    yield write
    sys.modules.pop(MODULE, None)


def test_kinds_of_ours_say_what_they_can() -> None:
    assert corpus_class("phoenix") is PhoenixCorpus and corpus_class("fingerspelling") is FingerspellingCorpus
    assert corpus_traits("fingerspelling").folds and not corpus_traits("phoenix").folds
    assert "unseen-clips" not in corpus_traits("phoenix").splits
    assert not has_positions(CorpusSettings(kind="phoenix"))
    assert has_positions(CorpusSettings(kind="phoenix", layout="base"))
    assert not has_positions(CorpusSettings(kind="phoenix", layout=({"block": "video", "values": 512},)))
    assert has_positions(CorpusSettings())


def test_recordings_are_packed_in_the_shoulder_frame_and_once(own: Write) -> None:
    settings = own()
    packed = pack_corpus(settings)
    assert packed.width == 1629 and packed.folder.name.startswith("Own-")
    assert packed.table["key"].tolist() == [f"Own-{place:06d}" for place in range(8)]
    assert packed.vocabulary.glosses == PackedCorpus.open(packed.folder).vocabulary.glosses
    frames = packed.frames(0).reshape(30, -1, 3).astype(np.float32)
    assert np.allclose(np.median(frames[:, [11, 12]].mean(axis=1), axis=0), 0, atol=0.02)  # the middle of the shoulders
    assert pack_corpus(settings).folder == packed.folder


def test_it_is_packed_anew_where_utterances_or_its_source_change(own: Write) -> None:
    first = pack_corpus(own()).key
    assert pack_corpus(own("count = 10")).key != first
    assert pack_corpus(own()).key == first


def test_its_own_identity_spares_reading_it_again(own: Write) -> None:
    packed = pack_corpus(own("reads = 0", "def identity(self): return {'version': 3}"))
    source = sys.modules[MODULE]
    source.Own.utterances = lambda self: 1 / 0  # type: ignore[attr-defined]
    again = pack_corpus(CorpusSettings(kind=f"{MODULE}:Own", cache=packed.folder.parent))
    assert again.folder == packed.folder


def test_another_fold_is_another_corpus_though_its_identity_says_nothing_of_it(own: Write, tmp_path: Path) -> None:
    settings = own("def __init__(self, root, fold): pass", "def identity(self): return 3", root=tmp_path)
    first, second = (pack_corpus(settings.model_copy(update={"fold": fold})).key for fold in (1, 2))
    moved = pack_corpus(settings.model_copy(update={"root": tmp_path / "moved"})).key
    assert first == moved != second


def test_the_class_gets_the_settings_that_it_takes_by_name(own: Write, tmp_path: Path) -> None:
    settings = own("def __init__(self, root, fold=9, *, signers): self.got = root, fold, signers")
    with pytest.raises(SettingError, match=r"corpus\.root: missing; corpus\.kind own_corpus:Own needs the folder"):
        open_corpus(settings)
    opened: Any = open_corpus(settings.model_copy(update={"root": tmp_path, "fold": 3}))
    assert opened.source.got == (tmp_path, 3, None)


def test_inspection_reads_a_corpus_of_ones_own(own: Write) -> None:
    seen = inspect_corpus(own(), sample=4)
    assert seen.rows == {"train": 4, "dev": 4} and seen.sampled == 4
    assert seen.layout["declared"] == ["pose", "left_hand", "right_hand", "face"]


def test_a_layout_of_which_not_all_is_packed_is_no_fault_of_ones_own_corpus(own: Write) -> None:
    line = "def change(self, place, one): return Recording(one.features[:, :126], one.glosses, 's', one.split)"
    hand = {"points": 21, "dims": 2, "confidence": "drop"}
    layout = ({"block": "left_hand", **hand}, {"block": "right_hand", **hand})
    seen = inspect_corpus(own("traits = CorpusTraits(layouts=True)", line, layout=layout), sample=4)
    assert seen.layout["width"] == 126 and not seen.broken
    assert "blocks in the wrong order" not in [finding.cause for finding in seen.findings]


def test_ready_features_keep_their_values(own: Write) -> None:
    line = "def change(self, place, one): return Recording(np.full((9, 6516), place, 'f4'), ['A'], 's', one.split)"
    packed = pack_corpus(own("traits = CorpusTraits(ready_features=True)", line))
    assert packed.width == 6516 and float(packed.frames(3).mean()) == 3


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            "Recording(one.features[:, :9], ['A'], 's', 'dev')",
            "Own-000002: features must have 1629 values a frame",
        ),
        ("Recording(np.ones((9, 6516)), ['A'], 's', 'dev')", "for 6516 set traits = CorpusTraits(ready_features=True)"),
        ("Recording(one.features * np.nan, ['A'], 's', 'dev')", "Own-000002: no frame shows the shoulders"),
        ("Recording(one.features.astype(int), ['A'], 's', 'dev', key='x')", "utterance x: features must be floats"),
        ("Recording(one.features[:0], ['A'], 's', 'dev')", "of at least one frame; got float32 (0, 1629)"),
        ("Recording(one.features, ['A'], 's', 'val')", "split must be train, dev or test; got 'val'"),
        ("Recording(one.features, [], 's', 'dev')", "utterance Own-000002: has no gloss; leave it out"),
        ("Recording(one.features * np.float32(1e38), ['A'], 's', 'dev')", "positions are too large to be measured"),
        ("Recording(one.features, {'A', 'B'}, 's', 'dev')", "glosses must be a list of words; got {'"),
        ("Recording(one.features, ['A'], None, 'dev')", "must have printable text for key, signer, glosses, sources"),
        ("Recording(one.features, ['A\\udcff'], 's', 'dev')", "must have printable text for key, signer, glosses"),
        ("Recording(one.features, ['A'], 's', 'dev', sources='t0')", "sources must be a list of recordings; got 't0'"),
        ("exit()", "utterance 2: cannot be read (SystemExit: None)"),
        ("Recording(one.features, 'A B', 's', 'dev')", "glosses must be a list of words; got 'A B'"),
        ("Recording(one.features * 0, ['A'], 's', 'dev')", "utterance Own-000002: no frame shows the shoulders"),
        ("3", "utterance 2: has no features, glosses, signer, split"),
        ("1 / 0", "utterance 2: cannot be read (ZeroDivisionError: division by zero)"),
    ],
)
def test_what_is_wrong_names_the_utterance_and_the_rule(own: Write, change: str, told: str) -> None:
    with pytest.raises(CorpusError) as refused:
        pack_corpus(own(f"def change(self, place, one): return {change} if place == 2 else one"))
    assert str(refused.value).startswith("own_corpus:Own: utterance ") and told in str(refused.value)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["traits = 3"], "own_corpus:Own is no class, or its traits are no CorpusTraits"),
        (["def __init__(self, path): pass"], "own_corpus:Own cannot be opened (TypeError: "),
        (["def identity(self): return object()"], "identity() gives nothing that JSON can hold (TypeError: "),
        (
            ["def change(self, place, one): one.features[0, 0] = np.random.rand(); return one"],
            "yields other features each time that it is read",
        ),
        (["random = 0", "@property", "def count(self): Own.random += 1; return 8 + Own.random"], "is another one each"),
    ],
)
def test_a_class_that_is_no_corpus_is_refused(own: Write, lines: list[str], told: str) -> None:
    with pytest.raises(GlosstuneError) as refused:
        pack_corpus(own(*lines))
    assert told in str(refused.value)


def test_a_module_without_the_method_is_refused(own: Write) -> None:
    own()
    with pytest.raises(SettingError, match=r"corpus\.kind: own_corpus:Recording lacks utterances"):
        open_corpus(CorpusSettings(kind=f"{MODULE}:Recording"))
