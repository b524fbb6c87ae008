"""Signed words made of real fingerspelling recordings: the corpus that comes with ``glosstune[demo]``.

Source: the fingerspelling lexicon of the package spoken-to-signed (MIT): MediaPipe Holistic recordings
of single letters, one signer a sign language. A word joins clips of one signer.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata, util
from pathlib import Path

import numpy as np
import numpy.typing as npt

from glosstune.spaces.errors import CorpusError, SettingError
from glosstune.trainables.corpora.files.pose import open_pose
from glosstune.trainables.corpora.utterance import SPLITS, Corpus, CorpusTraits, Split, Utterance
from glosstune.trainables.layouts.geometry import (
    Positions,
    mirror,
    mirror_order,
    present,
    resample,
    seen_landmarks,
    to_frame,
)
from glosstune.trainables.layouts.layout import DEFAULT

# Right-handed one-handed Latin alphabets, so that A-Z are comparable handshapes (lls lacks Q, W, X).
DEFAULT_SIGNERS = ("ase", "asq", "bzs", "eso", "gsg", "lls", "mfs", "psr", "sgg", "ssp", "svk", "swl")
LEFT_HANDED = ("ise",)
LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
FOLDS = 5
FRAME_RATE_HZ = 25.0
CLIP_SPEEDS = (1.2, 2.0)  # of a letter in a word, against its recording
HELD_OUT_LETTERS = {"dev": 4, "test": 3}
_SEED = 20140
_REACH = 0.3  # shoulder widths from the resting wrist that still belong to a letter
_LEFT_WRIST, _RIGHT_WRIST = (each.span.start for each in DEFAULT.landmarks if each.part == "hands")
_TRIES = 1000


@dataclass(frozen=True)
class Clip:
    """One letter of one signer: its file, and its active frames in the shoulder frame."""

    path: str
    positions: Positions


class FingerspellingCorpus(Corpus):
    """Words of 3 to 7 letters; glosses are the letters A-Z.

    Splits: ``multi-signer`` (dev and test are unseen words of the training signers' clips),
    ``unseen-clips`` (each signer's dev and test words use letters that this signer never shows in
    training), ``unseen-signers`` (dev and test signers never appear in training; fold 1 to 5).

    Args:
        split: one of the three above.
        fold: which signers are held out, 1 to 5; only for ``unseen-signers``.
        signers: sign-language codes of the lexicon; default the twelve one-handed Latin alphabets.
        sentences: training words; dev and test have a fifth of that each.

    Raises:
        SettingError: the demo extra is not installed, or a signer is unknown.
    """

    traits = CorpusTraits(
        splits=("multi-signer", "unseen-clips", "unseen-signers"), folds=True, isolated=True, extra="demo"
    )

    def __init__(
        self,
        split: str = "multi-signer",
        *,
        fold: int = 1,
        signers: tuple[str, ...] | None = None,
        sentences: int = 600,
    ) -> None:
        self.split = split
        self.fold = fold
        self.sentences = sentences
        self.root = lexicon_folder()
        self.signers = signers or DEFAULT_SIGNERS
        if len(set(self.signers)) < len(self.signers):
            raise SettingError(f"corpus.signers: each signer once; got {list(self.signers)}")
        self._files = _letter_files(self.root, self.signers)
        if split == "unseen-signers" and len(self.signers) < FOLDS:
            raise SettingError(f"corpus.signers: unseen-signers needs at least {FOLDS}, got {list(self.signers)}")

    @property
    def shares_recordings(self) -> bool:
        return self.split == "multi-signer"

    def identity(self) -> dict[str, object]:
        return {
            "corpus": "fingerspelling",
            "lexicon": metadata.version("spoken-to-signed"),
            "split": self.split,
            "fold": self.fold if self.split == "unseen-signers" else None,
            "signers": list(self.signers),
            "sentences": self.sentences,
            "seed": _SEED,
        }

    def utterances(self) -> list[Utterance]:
        return [utterance for utterance, _ in self._plan]

    def read(self) -> Iterator[npt.NDArray[np.float32]]:
        for index, (utterance, clips) in enumerate(self._plan):
            generator = np.random.default_rng([_SEED, SPLITS.index(utterance.split), index])
            yield DEFAULT.flat(_join([self.clip(*clip).positions for clip in clips], generator))

    def clip(self, signer: str, letter: str) -> Clip:
        """The active part of one recording."""
        return self._clips[signer][letter]

    def isolated(self) -> list[tuple[str, npt.NDArray[np.float32]]]:
        """The recordings that training words are made of, at the mean speed they have there."""
        used = {clip for utterance, clips in self._plan if utterance.split == "train" for clip in clips}
        return [
            (letter, DEFAULT.flat(resample(self.clip(signer, letter).positions, sum(CLIP_SPEEDS) / 2)))
            for signer, letter in sorted(used)
        ]

    def letters(self, signer: str) -> tuple[str, ...]:
        """The letters that a signer shows in the lexicon."""
        return tuple(self._files[signer])

    @cached_property
    def _clips(self) -> dict[str, dict[str, Clip]]:
        return {
            signer: {
                letter: Clip(path, _read_clip(self.root / path, mirrored=signer in LEFT_HANDED))
                for letter, path in letters.items()
            }
            for signer, letters in self._files.items()
        }

    @cached_property
    def _plan(self) -> list[tuple[Utterance, list[tuple[str, str]]]]:
        generator = np.random.default_rng([_SEED, self.fold])
        taken: set[str] = set()
        plan = []
        for split in SPLITS:
            count = self.sentences if split == "train" else max(1, self.sentences // 5)
            pool = self._pool(split)
            for number in range(count):
                signer, letters = pool[number % len(pool)]
                word = _draw_word(letters, taken, generator)
                sources = tuple(sorted({self._files[signer][letter] for letter in word}))
                key = f"{split}-{number:05d}-{signer}"
                plan.append(
                    (Utterance(key, split, signer, tuple(word), sources), [(signer, letter) for letter in word])
                )
        return plan

    def _pool(self, split: Split) -> list[tuple[str, tuple[str, ...]]]:
        if self.split == "unseen-signers":
            groups = [group.tolist() for group in np.array_split(np.array(self.signers), FOLDS)]
            dev, test = groups[self.fold - 1], groups[self.fold % FOLDS]
            chosen = {"dev": dev, "test": test}.get(split, [s for s in self.signers if s not in dev + test])
            return [(signer, self.letters(signer)) for signer in chosen]
        if self.split == "unseen-clips":
            return [(signer, self._held(rank)[split]) for rank, signer in enumerate(self.signers)]
        return [(signer, self.letters(signer)) for signer in self.signers]

    def _held(self, rank: int) -> dict[Split, tuple[str, ...]]:
        # Rotating through one shuffled alphabet holds every letter out of about as many signers.
        letters = self.letters(self.signers[rank])
        shuffled = [str(letter) for letter in np.random.default_rng(_SEED).permutation(LETTERS) if letter in letters]
        held = sum(HELD_OUT_LETTERS.values())
        start = rank * held % len(shuffled)
        rotated = shuffled[start:] + shuffled[:start]
        dev = HELD_OUT_LETTERS["dev"]
        return {"dev": tuple(rotated[:dev]), "test": tuple(rotated[dev:held]), "train": tuple(rotated[held:])}


def lexicon_folder() -> Path:
    """Folder of the lexicon; SettingError with the command when the demo extra is missing."""
    missing = [name for name in ("spoken_to_signed", "pose_format") if util.find_spec(name) is None]
    if missing:
        raise SettingError(
            f"corpus.kind: fingerspelling needs {' and '.join(missing)}, which the demo extra installs: "
            'pip install "glosstune[demo]"'
        )
    spec = util.find_spec("spoken_to_signed")
    assert spec is not None and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "assets" / "fingerspelling_lexicon"


def _letter_files(root: Path, signers: tuple[str, ...]) -> dict[str, dict[str, str]]:
    with (root / "index.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    languages = sorted({row["signed_language"] for row in rows})
    owners: dict[str, str] = {}
    files: dict[str, dict[str, str]] = {}
    for signer in signers:
        letters = {
            row["words"]: row["path"] for row in rows if row["signed_language"] == signer and row["words"] in LETTERS
        }
        if not letters:
            raise SettingError(
                f"corpus.signers: {signer!r} shows no letter A-Z; the lexicon has {', '.join(languages)}"
            )
        # The index lists some files under two languages (fsl's are ase's): one recording, one signer.
        for path in letters.values():
            other = owners.setdefault(path, signer)
            if other != signer:
                raise SettingError(
                    f"corpus.signers: {signer!r} and {other!r} are the same recordings ({path}); keep one of them"
                )
        files[signer] = dict(sorted(letters.items()))
    return files


def _read_clip(path: Path, *, mirrored: bool) -> Positions:
    file = open_pose(path)
    # Single landmarks that a pose lacks stand at 0, as they always have here: figures of this corpus stay comparable.
    raw = np.nan_to_num(DEFAULT.positions(file.values(DEFAULT.points)))
    seen = seen_landmarks(raw, DEFAULT, zeros=True)
    signing = seen[:, _LEFT_WRIST if mirrored else _RIGHT_WRIST]
    if not signing.any():
        raise CorpusError(f"{path}: no frame shows the signing hand")
    framed = to_frame(raw, seen, DEFAULT)
    if mirrored:
        framed = mirror(framed, mirror_order(DEFAULT, framed.mean(axis=0)))
    return resample(framed[_active(framed, signing)], file.rate_hz / FRAME_RATE_HZ)


def _active(framed: Positions, seen: npt.NDArray[np.bool_]) -> slice:
    # A recording raises the hand, holds the letter, lowers the hand; only the middle belongs to the word.
    wrist = framed[:, _RIGHT_WRIST]
    near = seen & (np.linalg.norm(wrist - np.median(wrist[seen], axis=0), axis=-1) < _REACH)
    frames = np.flatnonzero(near)
    return slice(int(frames[0]), int(frames[-1]) + 1)


def _draw_word(letters: tuple[str, ...], taken: set[str], generator: np.random.Generator) -> list[str]:
    for _ in range(_TRIES):
        word = [str(letter) for letter in generator.choice(letters, size=generator.integers(3, 8))]
        if "".join(word) not in taken:
            taken.add("".join(word))
            return word
    raise SettingError("corpus.sentences: more words than the letters of this split can spell; ask for fewer")


def _join(clips: list[Positions], generator: np.random.Generator) -> Positions:
    """One word: each clip at its own speed, short linear transitions, one small change of view for the word."""
    pieces: list[Positions] = []
    for clip in clips:
        # Noise is one offset a landmark and clip: drawn anew for each frame, derivatives would make it the
        # loudest signal there is.
        offset = generator.normal(0, 0.01, size=clip.shape[1:]).astype(np.float32) * present(clip, DEFAULT)[:, None]
        piece = resample(clip, generator.uniform(*CLIP_SPEEDS)) + offset
        if pieces:
            steps = int(generator.integers(2, 5))
            weight = (np.arange(1, steps + 1, dtype=np.float32) / (steps + 1))[:, None, None]
            pieces.append(pieces[-1][-1] * (1 - weight) + piece[0] * weight)
        pieces.append(piece)
    word = np.concatenate(pieces)
    angle = generator.normal(0, 0.05)
    rotation = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]], dtype=np.float32
    )
    scale = np.float32(generator.uniform(0.95, 1.05))
    shift = generator.normal(0, 0.03, size=3).astype(np.float32)
    return np.asarray(word @ rotation.T * scale + shift, dtype=np.float32)
