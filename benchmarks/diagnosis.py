"""How often the right cause is named: python benchmarks/diagnosis.py [--only TEXT] [--copycat FILE] [--json FILE]

Faults are planted one at a time in the embedded corpus, its recipe, a model or a curve, beside sound variants of it;
glosstune diagnose looks at each. A fault counts as found where its cause ranks first, a sound variant as accused where
any cause is named, whatever else cannot be told. --only runs the cases whose names have a text in them, --short
three of them, to show that it runs.

The same is done to signing as people have it: the words of the embedded corpus as tables of recordings in the five
layouts of layouts.py, and, with --copycat, hands alone in real sentences, which do not come along (see layouts.py).
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))
from feature_folder import Values, in_order, with_temporal, write_folder
from planting import tables
from planting.tables import FORMS, write_form, write_sentences

from glosstune.results.reading.events import FORMAT
from glosstune.search.checks.diagnosing import diagnose
from glosstune.search.config.loading import load_sweep
from glosstune.trainables import TrainingSession
from glosstune.trainables.corpora import FingerspellingCorpus, pack_corpus

SENTENCES = 200
SWEEPS = Path(__file__).parents[1] / "search" / "config" / "sweeps"


@dataclass(frozen=True)
class Case:
    """One thing to diagnose.

    Attributes:
        name: what was planted, or how a sound variant differs.
        cause: that has to rank first; None where nothing is wrong.
        overrides: of the packaged sweep ``kind``.
        folder: writes a folder of features that stands for the corpus, and may say by what overrides; by default it is
            one of PHOENIX's kind.
        model: factory of somebody else's model.
        curve: epochs of a trial.
    """

    name: str
    cause: str | None
    overrides: Sequence[str] = ()
    kind: str = "student"
    folder: Callable[[Path], Sequence[str] | Path | None] | None = None
    model: str | None = None
    curve: Callable[[], list[dict[str, float]]] | None = None


class Foreign(nn.Module):
    """A small recogniser of somebody else's."""

    def __init__(self, vocabulary_size: int) -> None:
        super().__init__()
        self.inside, self.out = nn.Linear(6516, 32), nn.Linear(32, vocabulary_size)

    def forward(self, features: Tensor) -> Tensor:
        scores: Tensor = self.out(self.inside(features).tanh())
        return scores.log_softmax(-1)


class NoLogSoftmax(Foreign):
    """As the user's was."""

    def forward(self, features: Tensor) -> Tensor:
        scores: Tensor = self.out(self.inside(features).tanh())
        return scores


class SeesPadding(Foreign):
    """Normalised over frames that are not there."""

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features - features.mean(dim=1, keepdim=True))


class Detached(Foreign):
    """Its first layer hears of no error."""

    def forward(self, features: Tensor) -> Tensor:
        scores: Tensor = self.out(self.inside(features).tanh().detach())
        return scores.log_softmax(-1)


def planted(sentences: int = SENTENCES, **fault: Any) -> Callable[[Path], Path]:
    """A folder of positions, (time, 1629), with a fault."""

    def write(root: Path) -> Path:
        corpus = FingerspellingCorpus("multi-signer", sentences=sentences)
        return write_folder(root, corpus, **{"change": lambda values: values, **fault})

    return write


def standardised(values: Values) -> Values:
    return np.asarray((values - values.mean(0)) / (values.std(0) + 1e-6), np.float32)


def without_hands(values: Values) -> Values:
    return np.concatenate([values[:, :99], 0 * values[:, 99:225], values[:, 225:]], axis=1)


def shuffled(glosses: Sequence[tuple[str, ...]]) -> Sequence[tuple[str, ...]]:
    return [glosses[place] for place in np.random.default_rng(0).permutation(len(glosses))]


def many(glosses: Sequence[tuple[str, ...]]) -> Sequence[tuple[str, ...]]:
    """Forty glosses of each letter, one an utterance: 1,040 in all."""
    return [tuple(f"{gloss}{row % 40}" for gloss in words) for row, words in enumerate(glosses)]


def damaged(root: Path) -> None:
    """Every fourth file is cut short."""
    planted()(root)
    for path in sorted(root.glob("*/*.npz"))[::4]:
        path.write_bytes(path.read_bytes()[:2000])


def absent(root: Path) -> None:
    """Every third file is not there."""
    planted()(root)
    for path in sorted(root.glob("*/*.npz"))[::3]:
        path.unlink()


def other_case(root: Path) -> None:
    """Dev is annotated in small letters."""
    planted()(root)
    head, *rows = (root / "dev.corpus.csv").read_text().splitlines()
    small = [f"{row.rpartition('|')[0]}|{row.rpartition('|')[2].lower()}" for row in rows]
    (root / "dev.corpus.csv").write_text("\n".join([head, *small]) + "\n")


def trained(epochs: int, *overrides: str) -> list[dict[str, float]]:
    """The curve of a student that is really trained."""
    sweep = load_sweep("student", ["corpus.sentences=100", "model.width=0.5", *overrides])
    configuration = {"learning_rate": 3e-3, "warmup_epochs": 0, "dropout": 0.0}
    session = TrainingSession(sweep.settings_of(configuration), pack_corpus(sweep.corpus))
    return [session.run_epoch() for _ in range(epochs)]


def swapped() -> list[dict[str, float]]:
    """An early curve, scored the wrong way round."""
    curve = trained(4)
    return [{**m, "insertion_rate": m["deletion_rate"], "deletion_rate": m["insertion_rate"]} for m in curve]


def collapsed() -> list[dict[str, float]]:
    """Made up after the figures that the problem was reported with: 95.65 % blank, WER 87 to 100 %."""
    return [
        {
            "wer": max(0.97, 1 - 0.002 * epoch),
            "train_loss": 3.4 - 0.02 * epoch,
            "dev_loss": 3.5,
            "loss_below_floor": 0.003 * epoch,
            "blank_ratio": 0.9565,
            "insertion_rate": 0.0,
            "deletion_rate": 0.95,
        }
        for epoch in range(1, 13)
    ]


ORDER = ("pose", "face", "left_hand", "right_hand")
BASE = ["corpus.layout=base"]
FROZEN = ["space.strategy=feature-extraction", "space.freeze_until=last", "freezing.allow_random_frozen=true"]
MANY = planted(sentences=1600, relabel=many)  # each gloss eight times
LOUD = ["corpus.gains={hands: 0.2, face: 1, acceleration: 1}", "corpus.noise_floor=1e-4"]
TEACHER = ["pretrained=null", "space={learning_rate: {float: [2e-4, 3e-3], log: true}, dropout: {float: [0, 0.5]}}"]
FAULTS = [
    Case("no log-softmax", "no log-softmax", model="diagnosis:NoLogSoftmax"),
    Case("model sees padding", "model sees padding", model="diagnosis:SeesPadding"),
    Case("first layer detached", "gradients do not arrive", model="diagnosis:Detached"),
    Case("face before hands", "blocks in the wrong order", BASE, folder=planted(change=lambda v: in_order(v, ORDER))),
    Case(
        "pose last",
        "blocks in the wrong order",
        BASE,
        folder=planted(change=lambda v: in_order(v, ("left_hand", "right_hand", "face", "pose"))),
    ),
    Case(
        "positions before velocities",
        "blocks in the wrong order",
        folder=planted(change=lambda v: with_temporal(v)[:, np.r_[0:1629, 4887:6516, 1629:4887]], keep=0.5),
    ),
    Case("declared 6516 values, files have 1629", "files of another width", folder=planted()),
    Case("positions standardised before", "normalised twice", BASE, folder=planted(change=standardised)),
    Case("no hands", "hands missing", BASE, folder=planted(change=without_hands)),
    Case("only zeros", "no features", BASE, folder=planted(change=np.zeros_like)),
    Case("transcripts shuffled", "labels shuffled", BASE, folder=planted(relabel=shuffled)),
    Case("dev in small letters", "vocabulary mismatch", BASE, folder=other_case),
    Case("a tenth of the utterances", "too few utterances", BASE, folder=planted(keep=0.1)),
    Case("a quarter of the files cut", "broken files", BASE, folder=damaged),
    Case("a third of the files absent", "missing files", BASE, folder=absent),
    Case("time stride 16", "time stride too large", ["model.time_stride=16"]),
    Case("random layers frozen", "frozen layers are random", FROZEN),
    Case("rate 0.3", "learning rate too high", ["space.learning_rate=0.3"]),
    Case("rate 2e-5", "learning rate too low", ["space.learning_rate=2e-5"]),
    Case(
        "teacher's rate 0.1",
        "learning rate too high",
        ["pretrained=null", "space={learning_rate: 0.1}"],
        kind="teacher",
    ),
    Case("dropout 0.9", "dropout too high", ["space.dropout=0.9"]),
    Case(
        "face and accelerations loud, hands soft",
        "noise drowns the hands",
        LOUD,
    ),
    Case("1,040 glosses: rate 0.3", "learning rate too high", [*BASE, "space.learning_rate=0.3"], folder=MANY),
    Case("1,040 glosses: rate 2e-5", "learning rate too low", [*BASE, "space.learning_rate=2e-5"], folder=MANY),
    Case("1,040 glosses: dropout 0.9", "dropout too high", [*BASE, "space.dropout=0.9"], folder=MANY),
    Case("1,040 glosses: hands soft", "noise drowns the hands", [*BASE, *LOUD], folder=MANY),
    Case(
        "1,040 glosses: transcripts shuffled",
        "labels shuffled",
        BASE,
        folder=planted(sentences=1600, relabel=lambda glosses: shuffled(many(glosses))),
    ),
    Case("reference and hypothesis swapped", "reference and hypothesis swapped", curve=swapped),
    Case("blank collapse", "blank collapse", curve=collapsed),
    Case("overfitting", "overfitting", curve=lambda: trained(150, "corpus.sentences=24", "training.epochs=150")),
]
SOUND = [
    *(Case(f"seed {seed}", None, [f"training.seed={seed}"]) for seed in (0, 1, 2)),
    *(Case(f"unseen signers, fold {n}", None, ["corpus.split=unseen-signers", f"corpus.fold={n}"]) for n in (1, 3, 5)),
    Case("unseen clips", None, ["corpus.split=unseen-clips"]),
    *(Case(f"time stride {stride}", None, [f"model.time_stride={stride}"]) for stride in (1, 2, 8)),
    Case("half as wide", None, ["model.width=0.5"]),
    Case("twice as many sentences", None, ["corpus.sentences=1200"]),
    Case("batch norm", None, ["model.norm=batch"]),
    Case("adam", None, ["training.optimizer=adam"]),
    Case("teacher", None, TEACHER, kind="teacher"),
    Case("teacher, group norm, full width", None, [*TEACHER, "model={kind: teacher}"], kind="teacher"),
    Case("a folder of positions", None, BASE, folder=planted()),
    Case("a folder of all features", None, folder=planted(change=with_temporal, keep=0.6)),
    Case("1,040 glosses", None, BASE, folder=MANY),
    Case("1,040 glosses, teacher", None, [*TEACHER, *BASE], kind="teacher", folder=MANY),
    Case(
        "1,040 glosses, teacher, group norm, full width",
        None,
        [*TEACHER, "model={kind: teacher}", *BASE],
        kind="teacher",
        folder=MANY,
    ),
    Case("somebody else's model", None, model="diagnosis:Foreign"),
    Case("a trial that learns", None, curve=lambda: trained(12, "corpus.sentences=600")),
]


def as_people_have_it(copycat: Path | None) -> list[Case]:
    """Tables of recordings in five layouts, with --copycat real sentences too: sound, and with faults planted."""
    real = "real sentences, hands alone"
    written: dict[str, Callable[[Path], list[str]]] = {
        form: partial(write_form, name=form, sentences=SENTENCES) for form in FORMS
    }
    if copycat is not None:
        written[real] = partial(write_sentences, file=copycat, count=SENTENCES)
    planted: list[tuple[str, str, Sequence[str], Callable[[Path], None] | None, Sequence[str]]] = [
        # fault, cause, overrides, what is done to the folder, and where it is no fault or cannot be planted
        ("transcripts shuffled", "labels shuffled", [], tables.shuffled, ()),
        ("rate 0.3", "learning rate too high", ["space.learning_rate=0.3"], None, ()),
        (
            "standardised before",
            "normalised twice",
            [],
            tables.values(tables.standardised),
            ("landmarks, .pose", "512 projections"),
        ),
        ("one frame, held", "no features", [], tables.values(tables.frozen), ("landmarks, .pose",)),
        ("dropout 0.9", "dropout too high", ["space.dropout=0.9"], None, ()),
        ("time stride 16", "time stride too large", ["model.time_stride=16"], None, (real,)),  # of slow signs
        ("dev in another case", "vocabulary mismatch", [], tables.other_case, ()),
        ("a third of the files absent", "missing files", [], tables.absent, ()),
        ("a quarter of the files cut", "broken files", [], tables.damaged, ()),
    ]
    faults = [
        Case(f"{form}: {fault}", cause, overrides, folder=partial(_with_fault, write, plant))
        for fault, cause, overrides, plant, nowhere in planted
        for form, write in written.items()
        if form not in nowhere
    ]
    return [*(Case(form, None, folder=write) for form, write in written.items()), *faults]


def _with_fault(write: Callable[[Path], list[str]], plant: Callable[[Path], None] | None, root: Path) -> list[str]:
    told = write(root)
    if plant is not None:
        plant(root)
    return told


def write_trial(folder: Path, curve: Sequence[dict[str, float]]) -> None:
    """A sweep folder that holds one trial with this curve."""
    folder.mkdir()
    configuration = {"learning_rate": 3e-3, "warmup_epochs": 0, "dropout": 0.0}
    now = "2026-01-01T00:00:00+00:00"
    lines = [
        {"event": "sweep", "time": now, "format": FORMAT, "id": "1", "samples": 1, "epochs": len(curve)},
        {"event": "trial", "time": now, "trial": 0, "configuration": configuration, "source": "start point"},
    ]
    lines[0] |= {"metric": "wer", "target": 0.3}
    for epoch, metrics in enumerate(curve, start=1):
        known = {name: value for name, value in metrics.items() if name != "epoch"}
        lines.append({"event": "report", "time": now, "trial": 0, "epoch": epoch, "metrics": known})
    (folder / "record.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def causes(case: Case, scratch: Path) -> list[str]:
    """The causes that are named, likeliest first; not what cannot be told."""
    overrides, trial = list(case.overrides), None
    if case.folder is not None:
        (scratch / "corpus").mkdir()
        told = case.folder(scratch / "corpus")
        own = told if isinstance(told, list) else ["corpus.kind=phoenix", f"corpus.root={scratch / 'corpus'}"]
        overrides += [*own, f"corpus.cache={scratch / 'cache'}"]
    if case.curve is not None:
        write_trial(scratch / "sweep", case.curve())
        trial = (scratch / "sweep", 0)
    # By its path: where corpus.root is given, its name alone stands for the sweep of a corpus of one's own.
    sweep = load_sweep(SWEEPS / f"{case.kind}.yaml", overrides)
    found = diagnose(sweep, lambda line: None, trial=trial, model=case.model)
    return [finding.cause for finding in found if finding.accuses]


def run(cases: Sequence[Case]) -> Iterator[tuple[Case, list[str], float]]:
    """Each case with what was named and the seconds that it took."""
    for case in cases:
        scratch = Path(tempfile.mkdtemp())
        started = time.perf_counter()
        try:
            yield case, causes(case, scratch), time.perf_counter() - started
        finally:
            shutil.rmtree(scratch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the table as JSON")
    parser.add_argument("--short", action="store_true", help="only shows that it runs")
    parser.add_argument(
        "--only", action="append", metavar="TEXT", help="cases with this in their names; again for more"
    )
    parser.add_argument("--copycat", type=Path, help="an .npz of hands, offsets, signer and glosses, see above")
    arguments = parser.parse_args()
    cases = [*FAULTS, *SOUND, *as_people_have_it(arguments.copycat)]
    if arguments.short:
        cases = [FAULTS[0], SOUND[10], next(case for case in cases if case.name == "hands in 2-D: one frame, held")]
    elif arguments.copycat is None:
        print("without --copycat FILE: nothing is said of real sentences, hands alone")
    if arguments.only:
        cases = [case for case in cases if any(text in case.name for text in arguments.only)]
    rows = []
    for case, named, seconds in run(cases):
        rows.append({"planted": case.name, "expected": case.cause, "named": named, "seconds": round(seconds, 1)})
        right = named[:1] == [case.cause] if case.cause else not named
        told = ", ".join(named) or "nothing"
        print(f"{'right' if right else 'WRONG'}  {case.name}: {told} ({seconds:.0f} s)", flush=True)
    faults = [row for row in rows if row["expected"]]
    sound = [row for row in rows if not row["expected"]]
    first = sum(row["named"][:1] == [row["expected"]] for row in faults)
    listed = sum(row["expected"] in row["named"] for row in faults)
    accused = sum(bool(row["named"]) for row in sound)
    print(
        f"{first} of {len(faults)} faults named first, {listed} named at all; {accused} of {len(sound)} sound accused"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
