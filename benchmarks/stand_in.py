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
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from signing.sentences import Sentence, describe, draw_share, make_up_sentences, read_sentences
from signing.signer import OWN, SHARED, Signer
from signing.signs import Sign, generator_of, make_signs, stem

from glosstune.spaces.errors import SettingError
from glosstune.trainables.corpora import pack_corpus
from glosstune.trainables.corpora.fingerspelling import FingerspellingCorpus
from glosstune.trainables.corpora.utterance import SPLITS
from glosstune.trainables.layouts.derivation import expand
from glosstune.trainables.layouts.layout import DEFAULT
from glosstune.trainables.settings import CorpusSettings


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
        generator = generator_of(self.seed, sentence.split, sentence.key)
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
