"""A folder of PHOENIX-2014's kind and size: python benchmarks/stand_in.py --glosses FILE --out FOLDER [--share 0.1]

FILE is a table of real sentences, columns split, id, signer and glosses between tabs; the annotations of
RWTH-PHOENIX-Weather 2014, which may be used for evaluation only, do not come along. Every gloss is signed as two or
three fragments of letters out of the embedded recordings, always the same ones; forms such as loc-NORD look like
NORD, and marks such as __ON__ are short gestures of a hand at rest. Each signer has a shape, a size, a place, a speed
and transitions of its own. What is written are all 6516 features of the layout default, single precision, in shoulder
widths: train.corpus.csv, dev.corpus.csv, test.corpus.csv, and <split>/<id>.npz. A tenth of PHOENIX-2014 is 2.5 GB.

--form shapes writes hands from the wrist in hand sizes and faces from the nose, as glosstune derives them itself,
instead of where they lie before the signer; then no point stands in two blocks, by which inspect would recognise their
order.

--short needs no table: it makes up a few sentences of this shape, writes them to a temporary folder, and packs them.
"""

import argparse
import hashlib
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from glosstune.spaces.errors import SettingError
from glosstune.trainables.corpora import pack_corpus
from glosstune.trainables.corpora.fingerspelling import LETTERS, FingerspellingCorpus
from glosstune.trainables.corpora.utterance import SPLITS
from glosstune.trainables.layouts.derivation import expand
from glosstune.trainables.layouts.geometry import Positions, resample
from glosstune.trainables.layouts.layout import DEFAULT
from glosstune.trainables.settings import CorpusSettings

COLUMNS = ["split", "id", "signer", "glosses"]
PREFIXES, SUFFIX = ("loc-", "cl-", "qu-", "poss-", "lh-"), "-PLUSPLUS"

# Every signer has half of its hands from one who signs for all, so that a gloss is the same sign, and half from one of
# these, so that it looks different; lls lacks letters, and swl is left for whoever wants another signer.
SHARED, OWN = "ase", ("asq", "bzs", "eso", "gsg", "mfs", "psr", "sgg", "ssp", "svk")
OWN_WEIGHT = 0.5

# At 25 frames a second; with transitions 12.4 frames a gloss, so that all sentences have 960,000.
FRAGMENT_FRAMES = 4.3
MARK_FRAMES = 4.5
THREE_FRAGMENTS = 0.3  # share of glosses; the others have two
PHASES = (0.0, 0.25, 0.5)  # of a clip, from which a fragment shows half
INNER_FRAMES = 1  # between the fragments of a gloss

PLACES = {each.name: each.span for each in DEFAULT.landmarks}
WRISTS = {"left_hand": 15, "right_hand": 16}  # of the pose
ARM = {14: 0.5, 16: 1.0, 18: 1.0, 20: 1.0, 22: 1.0}  # of the pose: how far elbow, wrist and fingers go with the hand

# Where a head or a hip happened to be in a clip would tell the letter, so that hands need not be looked at.
STILL = 0.25  # of what differs from clip to clip, outside of the signing hand and its arm
_HAND = range(PLACES["right_hand"].start, PLACES["right_hand"].stop)
_BODY = [place for place in range(DEFAULT.landmark_count) if place not in ARM and place not in _HAND]

# Shoulder widths, of a tremor slower than 1.5 Hz: of each landmark, and of each block as a whole.
TREMOR = {"pose": 0.004, "left_hand": 0.004, "right_hand": 0.005, "face": 0.002}
SWAY, SWAY_HZ = 0.012, (0.2, 1.5)
WAVES = 3


@dataclass(frozen=True)
class Sentence:
    """A row of the table."""

    split: str
    key: str
    signer: str
    glosses: tuple[str, ...]


@dataclass(frozen=True)
class Fragment:
    """Half of a letter's clip, from a phase of it."""

    letter: str
    phase: float


@dataclass(frozen=True)
class Mark:
    """A hand at rest that moves from one place to another, in shoulder widths from where letters begin."""

    first: tuple[float, ...]
    last: tuple[float, ...]


Sign = tuple[Fragment, ...] | Mark


def read_sentences(path: Path) -> list[Sentence]:
    """The rows of a table; SettingError where it is none, with the line."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"--glosses {path}: cannot be read ({error})") from None
    if lines[0].split("\t") != COLUMNS:
        raise SettingError(f"--glosses {path}: must begin with the columns {', '.join(COLUMNS)}, got {lines[0]!r}")
    sentences, seen = [], set[tuple[str, str]]()
    for number, line in enumerate(lines[1:], start=2):
        if not line:
            continue
        fields = line.split("\t")
        if len(fields) != len(COLUMNS) or fields[0] not in SPLITS or not fields[3].split():
            rule = f"needs {', '.join(COLUMNS)}, with a split of {', '.join(SPLITS)} and a gloss at least"
            raise SettingError(f"--glosses {path}: line {number} {rule}")
        split, key, signer, glosses = fields
        if Path(key).name != key or "|" in line or (split, key) in seen:
            raise SettingError(f"--glosses {path}: line {number}: id {key!r} must be a file's name, once a split, no |")
        seen.add((split, key))
        sentences.append(Sentence(split, key, signer, tuple(glosses.split())))
    return sentences


def make_up_sentences(seed: int = 0) -> list[Sentence]:
    """Sentences of this shape: frequent and rare glosses, marked forms, nine signers."""
    generator = np.random.default_rng(seed)
    names = ["__ON__", "__OFF__", *(f"GLOSS{number}" for number in range(30)), "loc-GLOSS3", "GLOSS4-PLUSPLUS"]
    share = 1 / np.arange(1, len(names) + 1)
    return [
        Sentence(
            split,
            f"{split}-{number}",
            f"Signer{number % 9 + 1:02}",
            tuple(map(str, generator.choice(names, generator.integers(5, 14), p=share / share.sum()))),
        )
        for split, count in (("train", 36), ("dev", 9), ("test", 9))
        for number in range(count)
    ]


def draw_share(sentences: Sequence[Sentence], share: float, seed: int) -> list[Sentence]:
    """So many of each split's sentences, two at least, drawn at random, in their order."""
    kept = []
    for split in SPLITS:
        own = [sentence for sentence in sentences if sentence.split == split]
        count = min(len(own), max(2, round(share * len(own))))
        chosen = np.random.default_rng([seed, SPLITS.index(split)]).permutation(len(own))[:count]
        kept += [own[place] for place in sorted(chosen.tolist())]
    return kept


def stem(gloss: str) -> str:
    """What a gloss looks like: NORD of loc-NORD and NORD-PLUSPLUS."""
    while (prefix := next((each for each in PREFIXES if gloss.startswith(each)), None)) is not None:
        gloss = gloss.removeprefix(prefix)
    while gloss.endswith(SUFFIX):
        gloss = gloss.removesuffix(SUFFIX)
    return gloss


def make_signs(glosses: Sequence[str], seed: int) -> dict[str, Sign]:
    """The sign of each stem, no two alike: no letters and phases twice in the same order."""
    signs: dict[str, Sign] = {}
    taken = set[tuple[Fragment, ...]]()
    for name in sorted(set(map(stem, glosses))):
        generator = _generator(seed, "gloss", name)
        if name.startswith("__"):
            first, last = generator.normal([-0.1, 0.7, 0.0], [0.25, 0.25, 0.05], (2, 3))  # y points down
            signs[name] = Mark(tuple(first.tolist()), tuple(last.tolist()))
            continue
        while True:
            count = 3 if generator.random() < THREE_FRAGMENTS else 2
            letters = generator.choice(LETTERS, count, replace=False).tolist()
            sign = tuple(Fragment(letter, float(generator.choice(PHASES))) for letter in letters)
            if sign not in taken:
                break
        taken.add(sign)
        signs[name] = sign
    return signs


class Signer:
    """One who signs: clips of its letters, and the look that all its sentences have.

    Args:
        own: the embedded signer whose hands it has in part.
        name: which the rest is drawn by.
    """

    def __init__(self, corpus: FingerspellingCorpus, own: str, name: str, seed: int) -> None:
        generator = _generator(seed, "signer", name)
        self._clips = {
            letter: [corpus.clip(signer, letter).positions for signer in (own, SHARED)] for letter in LETTERS
        }
        self.speed = float(generator.uniform(0.87, 1.15))
        self.transition = float(generator.uniform(1.3, 2.7))  # frames between glosses
        self._tremor = float(generator.uniform(0.7, 1.4))
        self._hand_size = np.float32(generator.uniform(0.9, 1.12))
        self._hand = generator.normal(0, 0.006, (21, 3)).astype(np.float32)
        self._scale = np.float32(generator.uniform(0.93, 1.07))
        self._turn = _rotation(*generator.normal(0, [0.06, 0.1, 0.05]))
        self._shift = generator.normal(0, [0.04, 0.06, 0.0]).astype(np.float32)

    @cached_property
    def rest(self) -> Positions:
        """One frame, (landmark, 3): the mean of all letters, before any gesture."""
        return np.mean([clip[0] for clip in map(self._fragment_of, LETTERS)], axis=0).astype(np.float32)

    def sign(self, signs: Sequence[Sign], generator: np.random.Generator) -> Positions:
        """A sentence (time, landmark, 3) in shoulder widths."""
        pace = self.speed * generator.uniform(0.9, 1.1)
        frames: list[Positions] = []
        for sign in signs:
            between = self.transition / pace
            for piece in self._pieces(sign, pace, generator):
                if frames:
                    frames.append(_transition(frames[-1][-1], piece[0], round(between + generator.uniform(-0.5, 0.5))))
                frames.append(piece)
                between = INNER_FRAMES
        joined = np.concatenate(frames)
        joined[:, _BODY] = self.rest[_BODY] + np.float32(STILL) * (joined[:, _BODY] - self.rest[_BODY])
        return self._look(joined, generator)

    def _pieces(self, sign: Sign, pace: float, generator: np.random.Generator) -> Iterator[Positions]:
        if isinstance(sign, Mark):
            count = max(2, round(MARK_FRAMES * generator.uniform(0.7, 1.3) / pace))
            path = np.linspace(sign.first, sign.last, count, dtype=np.float32)
            moved = np.repeat(self.rest[None], count, axis=0)
            moved[:, PLACES["right_hand"]] += path[:, None]
            for place, share in ARM.items():
                moved[:, place] += path * np.float32(share)
            yield moved
            return
        for fragment in sign:
            count = max(2, round(FRAGMENT_FRAMES * generator.uniform(0.75, 1.25) / pace))
            # A hand is never shaped quite alike; one offset a fragment, since one a frame would be loud in derivatives.
            offset = generator.normal(0, 0.006, (21, 3)).astype(np.float32)
            piece = self._fragment_of(fragment.letter, fragment.phase, count)
            piece[:, PLACES["right_hand"]] += offset
            yield piece

    def _fragment_of(self, letter: str, phase: float = 0.0, count: int = 2) -> Positions:
        halves = []
        for clip in self._clips[letter]:
            length = max(2, len(clip) // 2)
            first = min(int(phase * len(clip)), len(clip) - length)
            halves.append(resample(clip[first : first + length], length / count))
        return np.asarray(OWN_WEIGHT * halves[0] + (1 - OWN_WEIGHT) * halves[1], np.float32)

    def _look(self, frames: Positions, generator: np.random.Generator) -> Positions:
        """This signer's hands, body and tremor, seen as the camera of the day does."""
        right, left = frames[:, PLACES["right_hand"]], frames[:, PLACES["left_hand"]]
        wrist = right[:, :1].copy()
        right -= wrist
        right += self._hand - self._hand[:1]
        right *= self._hand_size
        # Letters are signed with one hand; the other one, which was seldom seen, hangs from its wrist.
        left[:] = right.mean(axis=0) * np.float32([-1, 1, 1]) + frames[:, None, WRISTS["left_hand"]]
        right += wrist
        seconds = np.arange(len(frames), dtype=np.float32)[:, None] / 25
        for name, place in PLACES.items():
            for amplitude, landmarks in ((TREMOR[name], place.stop - place.start), (SWAY, 1)):
                hertz, phases = generator.uniform(*SWAY_HZ, WAVES), generator.uniform(0, 2 * np.pi, WAVES)
                waves = np.sin(2 * np.pi * hertz * seconds + phases).astype(np.float32)
                sizes = generator.normal(0, amplitude * self._tremor, (WAVES, landmarks * 3)).astype(np.float32)
                frames[:, place] += (waves @ sizes).reshape(len(frames), landmarks, 3)
        turn = self._turn @ _rotation(*generator.normal(0, [0.01, 0.02, 0.02]))
        shift = self._shift + generator.normal(0, 0.01, 3).astype(np.float32)
        return np.asarray(frames @ turn.T * self._scale + shift, np.float32)


def _rotation(x: float, y: float, z: float) -> np.ndarray:
    """About the three axes, in radians."""
    turned = np.eye(3)
    for axis, angle in enumerate((x, y, z)):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        once = np.eye(3)
        once[[first, second], [first, second]] = np.cos(angle)
        once[first, second], once[second, first] = -np.sin(angle), np.sin(angle)
        turned = once @ turned
    return turned.astype(np.float32)


def _transition(last: Positions, first: Positions, steps: int) -> Positions:
    weight = (np.arange(1, max(1, steps) + 1, dtype=np.float32) / (max(1, steps) + 1))[:, None, None]
    return np.asarray(last * (1 - weight) + first * weight, np.float32)


def _generator(seed: int, *names: str) -> np.random.Generator:
    digest = hashlib.sha256("/".join(names).encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest, np.uint32).tolist()])


@dataclass(frozen=True)
class StandIn:
    """Who signs and how, made once in each process.

    Attributes:
        signers: those of the table, in order of their names; more than nine share embedded ones.
        signs: by stem.
        form: ``shapes`` or ``positions``: what a feature file begins with.
    """

    signers: tuple[str, ...]
    signs: Mapping[str, Sign]
    seed: int
    form: str

    @classmethod
    def of(cls, sentences: Sequence[Sentence], seed: int, form: str = "positions") -> "StandIn":
        """Of all sentences of a table: a share of them is signed alike."""
        glosses = {gloss for sentence in sentences for gloss in sentence.glosses}
        signers = sorted({sentence.signer for sentence in sentences})
        return cls(tuple(signers), make_signs(sorted(glosses), seed), seed, form)

    @cached_property
    def cast(self) -> dict[str, Signer]:
        """The signers by name."""
        corpus = FingerspellingCorpus(signers=(SHARED, *OWN))
        return {
            name: Signer(corpus, OWN[number % len(OWN)], name, self.seed) for number, name in enumerate(self.signers)
        }

    def features(self, sentence: Sentence) -> np.ndarray:
        """float32 (time, 6516)."""
        generator = _generator(self.seed, sentence.split, sentence.key)
        signs = [self.signs[stem(gloss)] for gloss in sentence.glosses]
        positions = self.cast[sentence.signer].sign(signs, generator)
        features = expand(torch.from_numpy(DEFAULT.flat(positions)), DEFAULT).numpy()
        if self.form == "positions":
            features[:, : DEFAULT.positions_width] = features[:, -DEFAULT.positions_width :]
        return np.asarray(features)


def write_one(out: Path, made: StandIn, sentence: Sentence) -> tuple[int, int]:
    """Write a sentence; its frames and bytes."""
    path = out / sentence.split / f"{sentence.key}.npz"
    features = made.features(sentence)
    np.savez(path, features=features)
    return len(features), path.stat().st_size


_made: StandIn


def _start(made: StandIn) -> None:
    global _made  # what each process of a pool makes once
    torch.set_num_threads(1)
    _made = made


def _write_here(out: Path, sentence: Sentence) -> tuple[int, int]:
    return write_one(out, _made, sentence)


def write_folder(out: Path, sentences: Sequence[Sentence], made: StandIn, jobs: int = 1) -> None:
    """Write features, and when all are there the annotations; prints what it has come to."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SettingError(f"--out {out}: is there already; name a new folder")
    started = time.perf_counter()
    frames = size = 0
    for split in SPLITS:
        (out / split).mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        if jobs == 1:
            written = map(write_one, repeat(out), repeat(made), sentences)
        else:
            pool = ProcessPoolExecutor(jobs, get_context("spawn"), _start, (made,))
            written = stack.enter_context(pool).map(partial(_write_here, out), sentences, chunksize=8)
        for number, (length, own_size) in enumerate(written, start=1):
            frames, size = frames + length, size + own_size
            if number % 500 == 0:
                print(f"{number} of {len(sentences)} sentences, {time.perf_counter() - started:.0f} s", flush=True)
    for split in SPLITS:
        rows = [f"{s.key}|{s.key}/1/*.png|{s.signer}|{' '.join(s.glosses)}" for s in sentences if s.split == split]
        text = "\n".join(["id|folder|signer|annotation", *rows]) + "\n"
        (out / f"{split}.corpus.csv").write_text(text, encoding="utf-8")
    for line in describe(sentences):
        print(line)
    each = frames / len(sentences)
    print(f"{frames:,} frames, {each:.0f} a sentence; {size / 1e9:.2f} GB; {time.perf_counter() - started:.0f} s")


def describe(sentences: Sequence[Sentence]) -> Iterator[str]:
    """Sentences, glosses and signers of each split, and how many glosses training lacks."""
    known = {gloss for s in sentences if s.split == "train" for gloss in s.glosses}
    for split in SPLITS:
        own = [sentence for sentence in sentences if sentence.split == split]
        counts = Counter(gloss for sentence in own for gloss in sentence.glosses)
        lacking = [gloss for gloss in counts if gloss not in known]
        tokens = sum(counts[gloss] for gloss in lacking)
        line = f"{split}: {len(own)} sentences, {counts.total()} glosses, {len(counts)} different"
        line += f", {len({s.signer for s in own})} signers"
        yield line + (f"; training lacks {len(lacking)} of them, in {tokens} places" if split != "train" else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="check that it runs")
    parser.add_argument("--glosses", type=Path, help="table of split, id, signer and glosses, with tabs between")
    parser.add_argument("--out", type=Path, help="folder to write, which is not there yet")
    parser.add_argument("--share", type=float, default=1.0, help="of each split's sentences; default all")
    parser.add_argument("--form", choices=("shapes", "positions"), default="positions", help="see above")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args()
    if not 0 < options.share <= 1 or options.jobs < 1 or options.seed < 0:
        parser.error("--share must lie above 0 and at most at 1, --jobs at 1 at least, --seed at 0 at least")
    torch.set_num_threads(1)
    try:
        if options.short:
            sentences = make_up_sentences()
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                made = StandIn.of(sentences, options.seed, options.form)
                write_folder(folder / "made-up", sentences, made, options.jobs)
                packed = pack_corpus(CorpusSettings(kind="phoenix", root=folder / "made-up", cache=folder / "cache"))
                print(f"packed: {len(packed.table)} utterances of {packed.width} values a frame")
            return
        if options.glosses is None or options.out is None:
            parser.error("--glosses and --out: name both (or --short); the annotations do not come along")
        sentences = read_sentences(options.glosses)
        made = StandIn.of(sentences, options.seed, options.form)
        write_folder(options.out, draw_share(sentences, options.share, options.seed), made, options.jobs)
    except SettingError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
