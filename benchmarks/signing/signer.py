"""Who signs: hands, size, place, speed and transitions of each signer, and its tremor."""

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np

from glosstune.trainables.corpora.fingerspelling import LETTERS, FingerspellingCorpus
from glosstune.trainables.layouts.geometry import Positions, resample
from glosstune.trainables.layouts.layout import DEFAULT
from signing.signs import Mark, Sign, generator_of

# Every signer has half of its hands from one who signs for all, so that a gloss is the same sign, and half from one of
# these, so that it looks different; lls lacks letters, and swl is left for whoever wants another signer.
SHARED, OWN = "ase", ("asq", "bzs", "eso", "gsg", "mfs", "psr", "sgg", "ssp", "svk")
OWN_WEIGHT = 0.5

# At 25 frames a second; with transitions 12.4 frames a gloss, so that all sentences have 960,000.
FRAGMENT_FRAMES = 4.3
MARK_FRAMES = 4.5
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


class Signer:
    """One who signs: clips of its letters, and the look that all its sentences have.

    Args:
        own: the embedded signer whose hands it has in part.
        name: which the rest is drawn by.
    """

    def __init__(self, corpus: FingerspellingCorpus, own: str, name: str, seed: int) -> None:
        generator = generator_of(seed, "signer", name)
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
