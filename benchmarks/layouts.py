"""One recipe on one corpus in several layouts: python benchmarks/layouts.py [--short] [--epochs N] [--copycat FILE]

The words of the embedded corpus are written as tables of recordings: landmarks of MediaPipe as .npy and as .pose files,
COCO-WholeBody's 133 points out of them, the hands alone in two dimensions, and 512 random projections of the
positions. Prints the lowest dev WER of each, the time of its epochs and the size of its packed form as ratios to those
of the corpus itself, epochs in turn, in one process; the test split is never read.

--copycat takes a file of MediaPipe's hands in the recordings of the game CopyCat, which have no licence and do not come
along, and prints instead the dev WER of each signer that training has not seen, with hands as they are stored and told
apart. It is an .npz of hands (frame, 84), whole numbers of which 8192 are the width or height of the picture, offsets
(clip + 1), signer and glosses.
"""

import argparse
import csv
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from glosstune.search import load_sweep
from glosstune.spaces.files.atomic import write_whole
from glosstune.trainables import TrainingSession
from glosstune.trainables.corpora import FingerspellingCorpus, pack_corpus
from glosstune.trainables.layouts.layout import DEFAULT

RECIPE = {"learning_rate": 3e-3, "warmup_epochs": 1, "dropout": 0.3}
PROJECTIONS = 512

# Places of COCO-WholeBody's points among MediaPipe's: body, feet, and the 68 points of 300-W in the face mesh.
BODY = [0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28, 31, 31, 29, 32, 32, 30]
FACE = [
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),
    *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301, 168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),
]
COLUMNS = ("path", "glosses", "id", "signer", "split")

# What every sweep on the recordings of CopyCat is told.
COPYCAT = ["corpus.kind=table", "corpus.layout=hands-2d", "corpus.hands=followed", "corpus.frame_step=2"]

# By its path, so that every form gets the same recipe and gains, a table of one's own too.
STUDENT = Path(__file__).parents[1] / "search" / "config" / "sweeps" / "student.yaml"

Values = np.ndarray[Any, Any]
Row = tuple[str, str, str, str, str]


class Clip(NamedTuple):
    """A recording; ``path`` is relative to the folder that it was written to, ``glosses`` have blanks between them."""

    path: str
    glosses: str
    key: str
    signer: str


def write_table(folder: Path, rows: Sequence[Row]) -> Path:
    """A table of recordings, with the split of each."""
    with (folder / "table.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([COLUMNS, *rows])
    return folder / "table.csv"


def write_forms(folder: Path, sentences: int, only: str | None = None) -> Iterator[tuple[str, list[str]]]:
    """Write the words in each form, or in one of them; its name, and what says where it lies."""
    corpus = FingerspellingCorpus(sentences=sentences)
    words = [(u, values) for u, values in zip(corpus.utterances(), corpus.read(), strict=True) if u.split != "test"]
    projection = np.random.default_rng(0).normal(size=(DEFAULT.base_width, PROJECTIONS)) / DEFAULT.base_width**0.5

    def coco(values: Values) -> Values:
        points = DEFAULT.positions(values)
        places = [*BODY, *(75 + place for place in FACE), *range(33, 75)]
        return points[:, places, :2].reshape(len(points), -1)

    forms: dict[str, tuple[str, Callable[[Values], Values]]] = {
        "landmarks, .npy": ("base", lambda values: values),
        "landmarks, .pose": ("default", lambda values: values),
        "COCO-WholeBody": ("coco-wholebody", coco),
        "hands in 2-D": ("hands-2d", lambda values: DEFAULT.positions(values)[:, 33:75, :2].reshape(len(values), -1)),
        "512 projections": (
            f"[{{block: projections, values: {PROJECTIONS}, velocity: true}}]",
            lambda values: (values @ projection).astype(np.float32),
        ),
    }
    for name, (layout, change) in forms.items():
        if only not in (None, name):
            continue
        place = folder / name.replace(" ", "-")
        place.mkdir()
        rows: list[Row] = []
        for utterance, values in words:
            path = f"{utterance.key}.{'pose' if '.pose' in name else 'npy'}"
            if path.endswith("pose"):
                write_pose(place / path, values)
            else:
                np.save(place / path, change(values))
            rows.append((path, " ".join(utterance.glosses), utterance.key, utterance.signer, utterance.split))
        yield name, ["corpus.kind=table", f"corpus.root={write_table(place, rows)}", f"corpus.layout={layout}"]


def write_pose(path: Path, values: Values) -> None:
    """Positions (time, 1629) as a .pose file with MediaPipe's components."""
    from pose_format import Pose
    from pose_format.numpy import NumPyPoseBody
    from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions

    names = {"POSE_LANDMARKS": 33, "LEFT_HAND_LANDMARKS": 21, "RIGHT_HAND_LANDMARKS": 21, "FACE_LANDMARKS": 468}
    components = [
        PoseHeaderComponent(name, [str(place) for place in range(count)], [], [], "XYZC")
        for name, count in names.items()
    ]
    header = PoseHeader(0.2, PoseHeaderDimensions(1000, 1000, 1000), components)
    points = DEFAULT.positions(values)[:, None]
    body = NumPyPoseBody(25, points, np.ones(points.shape[:-1], np.float32))
    with path.open("wb") as file:
        Pose(header, body).write(file)


def write_clips(arrays: Mapping[str, Values], folder: Path) -> list[Clip]:
    """Write each recording of CopyCat as a file of its own, its hands in parts of the picture."""

    def save(values: Values, path: Path) -> None:
        with path.open("wb") as file:
            np.save(file, values)

    hands, offsets, signers, glosses = (arrays[name] for name in ("hands", "offsets", "signer", "glosses"))
    clips = []
    for place, (first, last) in enumerate(pairwise(offsets)):
        write_whole(folder / f"{place}.npy", partial(save, (hands[first:last] / 8192).astype(np.float32)))
        clips.append(Clip(f"{place}.npy", str(glosses[place]), f"c{place}", f"s{signers[place]}"))
    return clips


def write_copycat(file: Path, folder: Path) -> dict[str, Path]:
    """Write the recordings once, and a table for each signer that is held out."""
    with np.load(file) as arrays:
        clips = write_clips(arrays, folder)
    tables: dict[str, Path] = {}
    for signer in sorted({clip.signer for clip in clips}):
        rows = [(f"../{clip.path}", *clip[1:], "dev" if clip.signer == signer else "train") for clip in clips]
        place = folder / f"without-{signer}"
        place.mkdir()
        tables[signer.removeprefix("s")] = write_table(place, rows)
    return tables


def session(overrides: Sequence[str], epochs: int) -> TrainingSession:
    """The recipe on one form."""
    space = ", ".join(f"{name}: {value}" for name, value in RECIPE.items())
    sweep = load_sweep(STUDENT, [f"space={{{space}}}", f"training.epochs={epochs}", *overrides])
    return TrainingSession(sweep.trial_settings(RECIPE), pack_corpus(sweep.corpus))


def compare_forms(folder: Path, sentences: int, epochs: int, own: Sequence[str]) -> None:
    """Train on the embedded corpus in each form, epochs in turn."""
    embedded = ["corpus.signers=null", f"corpus.sentences={sentences}"]
    forms = [("the corpus itself", embedded), *write_forms(folder, sentences)]
    sessions = {form: session([*own, *overrides], epochs) for form, overrides in forms}
    print(f"recipe {RECIPE}, {epochs} epochs, {sentences} words")
    seconds: dict[str, list[float]] = {form: [] for form in sessions}
    for _ in range(epochs):
        for form, running in sessions.items():
            seconds[form].append(running.run_epoch()["epoch_s"])
    first = next(iter(sessions.values()))
    print("| form | packed features | best dev WER | epoch, ratio | packed, ratio |\n|---|---|---|---|---|")
    for form, running in sessions.items():
        ratio = statistics.median(a / b for a, b in zip(seconds[form], next(iter(seconds.values())), strict=True))
        size = (running.corpus.folder / "features.f16").stat().st_size
        same = (running.corpus.folder / "features.f16").read_bytes() == first_bytes(sessions)
        told = "the same to the bit" if same else str(running.corpus.width)
        packed = size / (first.corpus.folder / "features.f16").stat().st_size
        print(f"| {form} | {told} | {running.best_wer:.1%} | {ratio:.2f} | {packed:.2f} |")


def compare_hands(file: Path, folder: Path, epochs: int, own: Sequence[str]) -> None:
    """Train without each signer of CopyCat, hands as they are stored and told apart."""
    print(f"recipe {RECIPE}, {epochs} epochs, every second frame")
    print("| unseen signer | hands as stored: best dev WER | last | told apart: best | last |\n|---|---|---|---|---|")
    rates: list[list[float]] = []
    for signer, table in write_copycat(file, folder).items():
        rates.append([])
        for hands in ("as-stored", "followed"):
            corpus = [*COPYCAT, f"corpus.root={table}", f"corpus.hands={hands}"]
            running = session([*own, *corpus], epochs)
            last = [running.run_epoch() for _ in range(epochs)][-1]["wer"]
            rates[-1] += [running.best_wer, last]
        print(f"| {signer} | {' | '.join(f'{rate:.1%}' for rate in rates[-1])} |", flush=True)
    means = [statistics.mean(column) for column in zip(*rates, strict=True)]
    print(f"| mean | {' | '.join(f'{rate:.1%}' for rate in means)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="check that it runs")
    parser.add_argument("--epochs", type=int, help="default 24, with --copycat 12")
    parser.add_argument("--copycat", type=Path, help="an .npz of hands, offsets, signer and glosses, see above")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = [f"corpus.cache={folder / 'cache'}", *["model.width=0.25"] * options.short]
        if options.copycat is not None:
            compare_hands(options.copycat, folder, options.epochs or (1 if options.short else 12), own)
        else:
            epochs = options.epochs or (1 if options.short else 24)
            compare_forms(folder, 24 if options.short else 600, epochs, own)


def first_bytes(sessions: dict[str, TrainingSession]) -> bytes:
    """What the same landmarks, read from .npy files, are packed as."""
    return (sessions["landmarks, .npy"].corpus.folder / "features.f16").read_bytes()


if __name__ == "__main__":
    main()
