"""Gains that a training split speaks for: what glosses explain is loudest, whoever signs them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glosstune.trainables import TrainingSession, TrialSettings
from glosstune.trainables.batches import gains as gains_module
from glosstune.trainables.batches.conditioning import Conditioning, feature_gains, live_blocks
from glosstune.trainables.batches.gains import (
    Sentence,
    corpus_gains,
    describe_gains,
    estimate_gains,
    explained_variance,
    with_gains,
)
from glosstune.trainables.corpora import PackedCorpus
from glosstune.trainables.corpora.store import SampledCorpus
from glosstune.trainables.layouts.layout import DEFAULT, FileLayout
from glosstune.trainables.settings import BlockGains, CorpusSettings, Gains

LAYOUT = FileLayout.of([{"block": name, "values": 4} for name in ("sign", "face", "noise", "still")]).layout
FLOOR = np.full(16, 0.05)
Values = npt.NDArray[np.float64]


def _signing(seed: int, count: int = 120, glosses: int = 4, frames: int = 5) -> tuple[list[Sentence], list[Values]]:
    """Sentences whose first block says the gloss, and whose second the signer, who has glosses of his own."""
    generator = np.random.default_rng(seed)
    signs, faces = generator.normal(size=(10, 4)), generator.normal(size=(2, 4))
    sentences, values = [], []
    for number in range(count):
        signer = number % 2
        labels = generator.integers(0, 8, glosses) + 2 * signer
        blocks = [signs[labels], faces[[signer] * glosses], np.zeros((glosses, 8))]
        clean = np.repeat(np.concatenate(blocks, axis=1), frames, axis=0)
        clean[:, :12] += generator.normal(size=(len(clean), 12)) * [*[0.5] * 4, *[0.1] * 4, *[1.0] * 4]
        sentences.append(Sentence([str(label) for label in labels], str(signer)))
        values.append(clean)
    return sentences, values


def _estimate(
    sentences: Sequence[Sentence], values: Sequence[Values], floor: Values = FLOOR, scale: Values | float = 1.0
) -> dict[str, float]:
    scaled = [each * scale for each in values]
    deviation = np.concatenate(scaled).std(axis=0)
    found = estimate_gains(sentences, lambda place: scaled[place], LAYOUT, floor, deviation)
    return {part.removeprefix("values_"): each["shape"] for part, each in found.items()}


def test_what_glosses_explain_is_loudest_and_what_they_do_not_is_mute() -> None:
    gains = _estimate(*_signing(0))
    assert gains["sign"] == 1
    assert gains["noise"] <= 0.1
    assert gains["still"] == 0


def test_a_signer_with_glosses_of_his_own_is_no_signal() -> None:
    assert _estimate(*_signing(0))["face"] <= 0.1
    isolated = _signing(0, count=400, glosses=1)
    assert (gains := _estimate(*isolated))["sign"] == 1 and gains["face"] <= 0.1
    nobody = [Sentence(sentence.glosses, "") for sentence in isolated[0]]
    assert _estimate(nobody, isolated[1])["face"] > 0.3  # where nobody says who signs


@given(st.integers(0, 2**16), st.floats(1e-3, 1e3))
@settings(max_examples=20)
def test_units_and_order_do_not_matter(seed: int, factor: float) -> None:
    sentences, values = _signing(seed, count=24)
    plain = _estimate(sentences, values)
    scale = np.random.default_rng(seed).uniform(0.5, 2, 16) * factor
    assert _estimate(sentences, values, FLOOR * scale, scale) == pytest.approx(plain, abs=2e-3)
    order = np.random.default_rng(seed).permutation(len(sentences))
    turned = _estimate([sentences[place] for place in order], [values[place] for place in order])
    assert turned == pytest.approx(plain, abs=2e-3)


def test_many_copies_of_a_signal_are_no_louder_than_one() -> None:
    layout = FileLayout.of([{"block": "sign", "values": 4}, {"block": "copies", "values": 400}]).layout
    sentences, values = _signing(0)
    wide = [np.concatenate([each[:, :4], np.tile(each[:, :4], 100)], axis=1) for each in values]
    deviation = np.concatenate(wide).std(axis=0)
    found = estimate_gains(sentences, lambda place: wide[place], layout, np.full(404, 0.05), deviation)
    energy = {part: each["shape"] ** 2 * size for (part, each), size in zip(found.items(), (4, 400), strict=True)}
    assert found["values_sign"]["shape"] == 1
    assert 0.5 < energy["values_copies"] / energy["values_sign"] < 12


def test_chance_is_the_mean_over_orders_of_the_same_glosses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gains_module, "_BEYOND_CHANCE", 0.0)
    sentences, values = _signing(3, count=12)
    generator = np.random.default_rng(0)
    drawn = []
    for _ in range(400):
        shuffled = [Sentence(generator.permutation(each.glosses).tolist(), each.signer) for each in sentences]
        drawn.append(explained_variance(shuffled, lambda place: values[place], LAYOUT, np.ones(16)))
    mean, error = np.mean(drawn, axis=0), np.std(drawn, axis=0) / 20
    assert (np.abs(mean) <= 4 * error + 1e-12).all()


def test_where_glosses_explain_nothing_all_gains_are_one() -> None:
    sentences, values = _signing(0)
    assert set(_estimate(sentences, [each * 0 for each in values]).values()) == {1.0}
    assert set(_estimate([], [np.zeros((2, 16))]).values()) == {1.0}


def test_letters_are_in_the_hands(small_corpus: PackedCorpus) -> None:
    gains = corpus_gains(small_corpus, 0.05)
    assert gains["hands"]["shape"] == 1
    assert all(gains["face"][channel] <= 0.1 for channel in gains["face"])
    assert max(each["acceleration"] for each in gains.values()) <= 0.1


def test_an_estimate_is_kept_beside_the_packed_corpus(
    small_corpus: PackedCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = corpus_gains(small_corpus, 0.051)
    kept = set(small_corpus.folder.glob("gains-*.json"))
    sampled = SampledCorpus.of(small_corpus, {"train": (0, 1), "dev": (2,)})
    with monkeypatch.context() as patch:
        patch.setattr(gains_module, "estimate_gains", lambda *given: pytest.fail("computed again"))
        assert corpus_gains(small_corpus, 0.051) == first == corpus_gains(sampled, 0.051)
    assert set(small_corpus.folder.glob("gains-*.json")) == kept
    for path in kept:
        path.write_text('{"gains": {"pose": 3}}')  # damaged
    assert corpus_gains(small_corpus, 0.051) == first
    monkeypatch.setattr(gains_module, "ESTIMATOR", 0)
    corpus_gains(small_corpus, 0.051)
    assert len(set(small_corpus.folder.glob("gains-*.json")) - kept) == 1


def test_a_cache_that_cannot_be_written_does_no_harm(
    small_corpus: PackedCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, text: str) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", refuse)
        first = corpus_gains(small_corpus, 0.052)
    assert corpus_gains(small_corpus, 0.052) == first


def test_gains_of_a_sweep_are_factors_beside_estimates(
    small_settings: CorpusSettings, small_corpus: PackedCorpus
) -> None:
    auto = small_settings.model_copy(update={"gains": Gains(blocks="auto", face=0.0, velocity=0.5)})
    gains = with_gains(auto, small_corpus).gains
    assert isinstance(gains.blocks, dict) and (gains.face, gains.velocity) == (0.0, 0.5)
    features = feature_gains(DEFAULT, gains)
    for block in DEFAULT.blocks:
        expected = gains.blocks[block.part][block.channel] * (0 if block.part == "face" else 1)
        assert features[block.features.start] == expected * (0.5 if block.channel == "velocity" else 1)
    assert not any(block.part == "face" for block in live_blocks(DEFAULT, gains))
    assert with_gains(small_settings, small_corpus) is small_settings  # numbers stay as they are


def test_a_checkpoint_keeps_numbers(small_settings: CorpusSettings, small_corpus: PackedCorpus, tmp_path: Path) -> None:
    source = small_settings.model_copy(update={"gains": Gains(blocks="auto")})
    trial = TrialSettings.model_validate({"corpus": source, "model": {"width": 0.25}})
    session = TrainingSession(trial, small_corpus, device=torch.device("cpu"))
    session.save(tmp_path / "last.pt")
    kept = torch.load(tmp_path / "last.pt", weights_only=True)["settings"]["corpus"]["gains"]["blocks"]
    assert kept == corpus_gains(small_corpus, small_settings.noise_floor)
    alone = Conditioning.of_corpus(small_corpus, source)
    assert torch.equal(alone.scale, session.conditioning.scale)


def test_a_line_names_the_loud_and_the_muted() -> None:
    gains: BlockGains = {"hands": {"shape": 0.5, "velocity": 0.0}, "pose": {"shape": 1.0}}
    assert describe_gains(gains) == "pose shape 1, hands shape 0.5; muted hands velocity"
    assert describe_gains({"pose": {"shape": 1.0}}) == "pose shape 1"
