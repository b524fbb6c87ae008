from pathlib import Path

import pytest
from feature_folder import write_folder
from hypothesis import given
from hypothesis import strategies as st

from glosstune.search.driver.excerpt import pack_excerpt, spread, stretch
from glosstune.trainables.corpora import FingerspellingCorpus, PackedCorpus
from glosstune.trainables.settings import CorpusSettings


@given(st.integers(1, 300), st.integers(1, 64))
def test_the_middle_of_each_part_stands_for_the_part(size: int, count: int) -> None:
    chosen = spread(range(size), count)
    assert len(set(chosen)) == len(chosen) == min(size, count)
    assert chosen == sorted(chosen) and set(chosen) <= set(range(size))
    stretched = stretch(chosen, size)
    assert len(stretched) == size and set(stretched) == set(chosen)
    # Nothing stands for what lies more than its own part away.
    assert max(abs(value - place) for place, value in enumerate(stretched)) <= size / len(chosen) + 1


@pytest.fixture(params=["a folder", "the embedded corpus"])
def settings(request: pytest.FixtureRequest, small_settings: CorpusSettings, tmp_path: Path) -> CorpusSettings:
    if request.param == "the embedded corpus":
        return small_settings
    root = write_folder(tmp_path / "root", FingerspellingCorpus(sentences=24, signers=("ase", "gsg")))
    return CorpusSettings(kind="phoenix", root=root, cache=tmp_path / "cache")


def test_an_excerpt_has_the_glosses_and_about_the_lengths_of_the_whole(
    settings: CorpusSettings, tmp_path: Path
) -> None:
    said: list[str] = []
    excerpt = pack_excerpt(settings, {"train": 8, "dev": 2}, tmp_path / "excerpt", said.append)
    assert said == ["corpus: reading 8 of 24 train, 2 of 4 dev utterances"]
    assert len(excerpt.rows("train")) == 8 and len(excerpt.rows("dev")) == 2 and not excerpt.rows("test")
    assert {split: len(lengths) for split, lengths in excerpt.lengths.items()} == {"train": 24, "dev": 4}
    used = sorted(excerpt.length(row) for row in excerpt.rows("train"))
    assert min(excerpt.lengths["train"]) <= used[0] and used[-1] <= max(excerpt.lengths["train"])
    whole = FingerspellingCorpus(sentences=24, signers=settings.signers or ("ase", "gsg"))
    train = [u for u in whole.utterances() if u.split == "train"]
    assert set(excerpt.vocabulary.glosses) == {gloss for u in train for gloss in u.glosses}
    frames = [len(v) for u, v in zip(whole.utterances(), whole.read(), strict=True) if u.split == "train"]
    assert sum(excerpt.lengths["train"]) == pytest.approx(sum(frames), rel=0.15)


def test_a_folder_is_not_packed_for_an_excerpt(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "root", FingerspellingCorpus(sentences=24, signers=("ase", "gsg")))
    settings = CorpusSettings(kind="phoenix", root=root, cache=tmp_path / "cache")
    excerpt = pack_excerpt(settings, {"train": 8, "dev": 2}, tmp_path / "excerpt", lambda line: None)
    assert not (tmp_path / "cache").exists()
    assert isinstance(excerpt, PackedCorpus) and excerpt.folder.parent == tmp_path / "excerpt"
