"""Draw the splits that a table of recordings does not say: by signer, or at random by recording."""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from glosstune.spaces.errors import SettingError
from glosstune.trainables.corpora.utterance import SPLITS, Split

MOST_FOLDS = 5
DEV_FROM, TEST_FROM = 0.8, 0.9  # of the recordings, in the order of chance
_SEEDS = 1000


@dataclass(frozen=True)
class Candidate:
    """An utterance whose split is looked for; ``said`` is the one that it has already."""

    recording: str
    signer: str
    said: Split | None


@dataclass(frozen=True)
class SplitPlan:
    """The split of each utterance.

    Attributes:
        decided: what they depend on besides the utterances, as JSON.
        notes: what to say of it, as ``Corpus.notes``.
    """

    splits: list[Split]
    decided: dict[str, object]
    notes: list[str]


def plan_splits(
    candidates: Sequence[Candidate], *, unseen_signers: bool = False, fold: int = 1, seed: int = 0
) -> SplitPlan:
    """The splits that utterances have, and where they have none, or none is dev, those that are drawn.

    Args:
        unseen_signers: draw by signer, one of the folds; else by recording.

    Raises:
        SettingError: there are too few of them to draw from, or splits that stand already forbid it.
    """
    said, under = [each.said for each in candidates], f"under corpus.split_seed={seed}"
    if unseen_signers:
        if any(said):
            rule = "unseen-signers draws splits, and the table says its own in column split"
            raise SettingError(f"{rule}; leave one of them out", key="corpus.split")
        of = draw_by_signer((each.signer for each in candidates), seed, fold)
        held = {split: ", ".join(name for name in sorted(of) if of[name] == split) for split in SPLITS}
        told = "; ".join(f"{split} {names or 'none'}" for split, names in held.items())
        decided: dict[str, object] = {"by": "signer", "fold": fold, "seed": seed}
        return SplitPlan(
            [of[each.signer] for each in candidates],
            decided,
            [f"splits: drawn by signer, fold {fold} of {count_folds(of)}, {under}: {told}"],
        )
    if not any(said):
        drawn = draw_by_recording((each.recording for each in candidates), seed)
        splits = [drawn[each.recording] for each in candidates]
        signers = {each.signer for each in candidates}
        shared = "; corpus.split=unseen-signers draws by signer" * (len(signers) > 1 and all(signers))
        told = f"splits: drawn by recording {under}: {_counted(splits)}{shared}"
        return SplitPlan(splits, {"by": "recording", "seed": seed}, [told, *_uneven(drawn, seed)])
    own = [each or "train" for each in said]
    if "dev" in own or "train" not in own:  # what lacks training is told where utterances are checked
        return SplitPlan(own, {"by": "table"}, [])
    dev = draw_dev((each.recording for each in candidates if each.said == "train"), seed)
    splits = [
        "dev" if split == "train" and each.recording in dev else split
        for each, split in zip(candidates, own, strict=True)
    ]
    told = f"splits: the table has no dev, which is drawn from train {under}: {_counted(splits)}"
    return SplitPlan(splits, {"by": "table", "dev": "drawn", "seed": seed}, [told])


def draw_by_recording(recordings: Iterable[str], seed: int) -> dict[str, Split]:
    """The split of each recording, about eight in ten for training and one each for dev and test.

    Each is drawn by its own name, so that those that come later move none that are there.

    Raises:
        SettingError: none falls into training or into dev.
    """
    names = sorted(set(recordings))
    drawn = {name: _by_chance(name, seed) for name in names}
    _require(lambda other: {_by_chance(name, other) for name in names} >= {"train", "dev"}, len(names), seed)
    return drawn


def _uneven(drawn: Mapping[str, Split], seed: int) -> list[str]:
    """What to say where chance has left less than half its share to dev or test: an error rate of few says little."""

    def least(splits: Collection[Split]) -> float:
        counts = Counter(splits)
        return min(counts["dev"], counts["test"]) / len(splits)

    share = TEST_FROM - DEV_FROM
    if len(drawn) * share < 2 or least(drawn.values()) >= share / 2:
        return []
    other = next(
        (each for each in range(_SEEDS) if least([_by_chance(name, each) for name in drawn]) >= 0.9 * share), None
    )
    if other is None:
        return []
    few, counts = Counter(drawn.values()), Counter(_by_chance(name, other) for name in drawn)
    told = f"{few['dev']} recordings for dev and {few['test']} for test are few of {len(drawn)}"
    return [f"splits: {told}; corpus.split_seed={other} draws {counts['dev']} and {counts['test']}"]


def draw_dev(recordings: Iterable[str], seed: int) -> set[str]:
    """About one in ten of the training recordings, for dev; errors as ``draw_by_recording``."""
    names = set(recordings)

    def dev(seed: int) -> set[str]:
        return {name for name in names if _chance(name, seed) >= TEST_FROM}

    _require(lambda other: 0 < len(dev(other)) < len(names), len(names), seed)
    return dev(seed)


def draw_by_signer(signers: Iterable[str], seed: int, fold: int) -> dict[str, Split]:
    """The split of each signer, who is in no other: one group for dev, the next for test, the rest for training.

    Signers are dealt into as many groups as there are, at most MOST_FOLDS. Of two signers none is left for test.

    Raises:
        SettingError: fewer than two signers, or no such fold.
    """
    names = sorted(set(signers), key=lambda name: (_chance(name, seed), name))
    if len(names) < 2:
        rule = f"unseen-signers needs at least 2 signers; got {', '.join(names) or 'none'}"
        raise SettingError(f"{rule}; set corpus.split=multi-signer", key="corpus.split")
    groups = count_folds(names)
    if not 1 <= fold <= groups:
        raise SettingError(f"must be 1 to {groups}, as the {len(names)} signers make; got {fold}", key="corpus.fold")
    held: dict[int, Split] = {fold - 1: "dev"}
    if groups > 2:
        held[fold % groups] = "test"
    return {name: held.get(place % groups, "train") for place, name in enumerate(names)}


def count_folds(signers: Collection[str]) -> int:
    """How many folds signers make."""
    return min(MOST_FOLDS, len(signers))


def _counted(splits: Sequence[Split]) -> str:
    counts = Counter(splits)
    return ", ".join(f"{counts[split]} {split}" for split in SPLITS)


def _by_chance(name: str, seed: int) -> Split:
    chance = _chance(name, seed)
    return "train" if chance < DEV_FROM else "dev" if chance < TEST_FROM else "test"


def _chance(name: str, seed: int) -> float:
    """A number from 0 to 1 that is the same wherever and whenever it is asked for."""
    digest = hashlib.sha256(f"{seed}\0{name}".encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _require(sound: Callable[[int], bool], count: int, seed: int) -> None:
    if sound(seed):
        return
    other = next((each for each in range(_SEEDS) if sound(each)), None) if count > 1 else None
    if other is None:
        rule = f"{count} recordings cannot be split into training and dev"
        raise SettingError(
            f"{rule}; record more, say the splits in a column split, or set unseen-signers", key="corpus.split"
        )
    rule = f"leaves training or dev without one of the {count} recordings; got {seed}"
    raise SettingError(f"{rule}; set corpus.split_seed={other}, or say the splits in a column", key="corpus.split_seed")
