import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from glosstune.trainables.batches.augmentation import augment_frames, mask_features
from glosstune.trainables.batches.batching import collate, shuffled_batches, sorted_batches
from glosstune.trainables.batches.conditioning import Conditioning
from glosstune.trainables.corpora import PackedCorpus
from glosstune.trainables.layouts.derivation import derive, expand
from glosstune.trainables.layouts.layout import DEFAULT
from glosstune.trainables.settings import AUGMENTATIONS, Gains

(HANDS,) = (block for block in DEFAULT.blocks if (block.channel, block.part) == ("shape", "hands"))
LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=200)


@given(LENGTHS, st.integers(1, 20), st.integers(0, 5))
def test_shuffled_batches_hold_every_row_once(lengths: list[int], size: int, seed: int) -> None:
    rows = [100 + index for index in range(len(lengths))]
    batches = shuffled_batches(rows, lengths, size, np.random.default_rng(seed))
    assert sorted(row for batch in batches for row in batch) == rows
    assert max(map(len, batches)) <= size
    assert batches == shuffled_batches(rows, lengths, size, np.random.default_rng(seed))


@given(LENGTHS, st.integers(1, 20))
def test_sorted_batches_hold_every_row_once_by_length(lengths: list[int], size: int) -> None:
    order = [row for batch in sorted_batches(range(len(lengths)), lengths, size) for row in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[row] for row in order] == sorted(lengths)


def test_buckets_waste_less_padding_than_chance() -> None:
    generator = np.random.default_rng(0)
    lengths = generator.integers(20, 200, size=640).tolist()

    def padding(batches: list[list[int]]) -> int:
        return sum(
            max(lengths[row] for row in batch) * len(batch) - sum(lengths[row] for row in batch) for batch in batches
        )

    chance = [list(range(start, start + 16)) for start in range(0, 640, 16)]
    assert padding(shuffled_batches(range(640), lengths, 16, generator)) < 0.3 * padding(chance)


def _conditioning(corpus: PackedCorpus) -> Conditioning:
    return Conditioning.of(corpus.statistics["mean"], corpus.statistics["deviation"], corpus.layout, Gains(), 0.05)


def test_an_utterance_is_the_same_alone_and_in_a_batch(small_corpus: PackedCorpus) -> None:
    rows = small_corpus.rows("train")[:4]
    together = collate(small_corpus, rows, _conditioning(small_corpus))
    for slot, row in enumerate(rows):
        alone = collate(small_corpus, [row], _conditioning(small_corpus))
        length = small_corpus.length(row)
        assert together.lengths[slot] == alone.lengths[0] == length
        assert torch.allclose(together.features[slot, :length], alone.features[0, :length], atol=1e-6)
        assert not together.features[slot, length:].any()


def test_conditioned_training_split_has_no_mean(small_corpus: PackedCorpus) -> None:
    rows = small_corpus.rows("train")
    batch = collate(small_corpus, rows, _conditioning(small_corpus))
    mean = batch.features.sum((0, 1)) / batch.lengths.sum()
    assert float(mean.abs().max()) < 0.02


def test_augmentation_follows_its_seed_and_changes_every_utterance(small_corpus: PackedCorpus) -> None:
    row = small_corpus.rows("train")[0]
    frames = small_corpus.frames(row).astype(np.float32)
    for name in sorted(set(AUGMENTATIONS) - {"time-masks", "part-dropout"}):
        first, again = (
            augment_frames(frames.copy(), {name}, DEFAULT, small_corpus.statistics, np.random.default_rng(3))
            for _ in range(2)
        )
        assert np.array_equal(first, again)
        assert first.shape != frames.shape or not np.array_equal(first, frames) or name == "mirror"
    assert np.array_equal(
        augment_frames(frames, set(), DEFAULT, small_corpus.statistics, np.random.default_rng(3)), frames
    )


def test_noise_of_a_clip_adds_no_velocity(small_corpus: PackedCorpus) -> None:
    frames = small_corpus.frames(0).astype(np.float32)
    noisy = augment_frames(frames, {"clip-noise"}, DEFAULT, small_corpus.statistics, np.random.default_rng(0))
    assert not np.array_equal(noisy, frames)
    assert np.allclose(np.diff(noisy, axis=0), np.diff(frames, axis=0), atol=1e-5)


@pytest.mark.parametrize("name", ["clip-noise", "rotation", "mirror", "scale"])
def test_a_hand_that_was_never_seen_stays_unseen(small_corpus: PackedCorpus, name: str) -> None:
    for row in small_corpus.rows("train"):
        frames = small_corpus.frames(row).astype(np.float32)
        before = derive(torch.from_numpy(frames), HANDS, DEFAULT).split(63, dim=-1)
        augmented = augment_frames(frames, {name}, DEFAULT, small_corpus.statistics, np.random.default_rng(row))
        after = derive(torch.from_numpy(augmented), HANDS, DEFAULT).split(63, dim=-1)
        assert sum(bool(hand.any()) for hand in before) == sum(bool(hand.any()) for hand in after)


def test_mirroring_turns_the_right_hand_into_a_left_one(small_corpus: PackedCorpus) -> None:
    frames = small_corpus.frames(0).astype(np.float32)
    draws = [
        augment_frames(frames, {"mirror"}, DEFAULT, small_corpus.statistics, np.random.default_rng(seed))
        for seed in range(8)
    ]
    mirrored = [draw for draw in draws if not np.array_equal(draw, frames)]
    assert 0 < len(mirrored) < 8
    right, left = frames[:, 162:225].reshape(-1, 21, 3), mirrored[0][:, 99:162].reshape(-1, 21, 3)
    assert np.array_equal(left, right * np.float32([-1, 1, 1]))


def test_speed_changes_stored_derivatives_as_it_changes_positions(small_corpus: PackedCorpus) -> None:
    frames = np.cumsum(np.full((40, 1629), 0.01, dtype=np.float32), axis=0)
    full = expand(torch.from_numpy(frames), DEFAULT).numpy()
    fast = augment_frames(frames, {"speed"}, DEFAULT, small_corpus.statistics, np.random.default_rng(1))
    fast_full = augment_frames(full, {"speed"}, DEFAULT, small_corpus.statistics, np.random.default_rng(1))
    velocity = expand(torch.from_numpy(fast), DEFAULT).numpy()[3:-3, 1629:3258]
    assert np.allclose(fast_full[3:-3, 1629:3258], velocity, atol=1e-3)


def test_masks_silence_spans_and_blocks_only() -> None:
    features = torch.ones(2, 50, 6516)
    names = {"time-masks", "part-dropout"}
    mask_features(features, torch.tensor([50, 30]), names, DEFAULT, np.random.default_rng(0))
    assert set(features.unique().tolist()) == {0.0, 1.0}
    assert 0.3 < float(features.mean()) < 1.0
