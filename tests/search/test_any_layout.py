"""Recordings of hands and other values in a table go the whole way: looked at, searched, confirmed, handed on."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from glosstune.results import load_results
from glosstune.trainables import load_recogniser

Run = Callable[..., int]
WORDS = ("BOOK", "HOUSE", "TREE")
LAYOUT = (
    "[{block: left_hand, points: 21, dims: 2}, {block: right_hand, points: 21, dims: 2}, {block: other, values: 6}]"
)
QUICK = ["model.width=0.25", "model.time_stride=2", "training.batch_size=8", "training.augment=none"]


@pytest.fixture
def table(tmp_path: Path) -> list[str]:
    """Overrides for a table of forty clips by three signers, in which each word is a place and a shape of the hands."""
    generator = np.random.default_rng(0)
    shapes = {word: generator.normal(0.5, 0.05, (42, 2)) for word in WORDS}
    lines = ["path,glosses,signer"]
    for place in range(40):
        words = [WORDS[word] for word in generator.integers(3, size=2)]
        hands = np.concatenate([np.repeat(shapes[word][None], 12, axis=0) for word in words])
        hands = hands + np.cumsum(generator.normal(0, 0.002, hands.shape), axis=0)
        hands[3:5, :21] = np.nan
        other = generator.normal(size=(len(hands), 6))
        np.save(tmp_path / f"{place}.npy", np.concatenate([hands.reshape(len(hands), -1), other], axis=1))
        lines.append(f"{place}.npy,{' '.join(words)},s{place % 3}")
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    return [f"corpus.root={tmp_path / 'table.csv'}", f"corpus.layout={LAYOUT}", f"corpus.cache={tmp_path / 'cache'}"]


def test_inspect_says_how_often_hands_were_not_seen(
    run: Run, table: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("inspect", "student", *table, "corpus.split=unseen-signers") == 0
    told = capsys.readouterr().out
    assert "not seen  left_hand 8.3%, right_hand 0.0%" in told
    assert "in which no point stands twice" in told
    assert "splits    drawn by signer, fold 1 of 3" in told
    assert "wrong order" not in told


def test_named_layouts_are_listed_and_models_of_each_verified(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("inspect", "--layouts") == 0
    assert "hands-2d                     84      84  left_hand 21 x 2 | right_hand 21 x 2" in capsys.readouterr().out
    assert run("verify", "student", "--layout", "hands-2d", "--vocabulary", "4", "--width", "0.25") == 0
    assert run("verify", "student", "--layout", "hand-2d") == 2
    assert "did you mean 'hands-2d'" in capsys.readouterr().err


def test_what_turns_is_refused_where_files_say_that_nothing_can_turn(
    run: Run, table: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run("pack", "student", *table[:1], "corpus.layout=[{block: all, values: 90}]", "training.augment=mirror") == 2
    )
    assert "mirror need landmark positions" in capsys.readouterr().err


@pytest.mark.slow
def test_a_table_goes_the_whole_way(ray_cluster: None, run: Run, table: list[str], tmp_path: Path) -> None:
    corpus = [*table, "corpus.split=unseen-signers"]
    folder, teacher = tmp_path / "sweep", tmp_path / "teacher.safetensors"
    searched = ["search.samples=2", "training.epochs=2", "halving.min_epochs=1", "pretraining.steps=8"]
    tuned = ["space.strategy={choice: [feature-extraction, full-finetune]}", "pretrained=auto", *searched]
    assert run("sweep", "teacher", *corpus, *QUICK, *tuned, "--out", str(folder)) == 0
    trials = load_results(folder).trials
    assert len(trials) == 2
    assert run("resume", str(folder), "--samples", "+1") == 0
    assert run("confirm", str(folder), "--top", "1", "--seeds", "1", "--folds") == 0
    assert (folder / "confirm" / "fold-3").is_dir() and not (folder / "confirm" / "fold-4").exists()
    assert run("reproduce", str(folder), "0", "--epochs", "1") == 0
    assert run("export", str(folder), "--out", str(teacher)) == 0
    recogniser = load_recogniser(teacher)
    assert recogniser.model.modalities == {"hands": 84, "values_other": 6, "temporal": 252}
    assert len(recogniser.recognise([np.zeros((20, 90), np.float32)])) == 1
    student = tmp_path / "student"
    learned = ["search.samples=1", "training.epochs=2", "space={learning_rate: 1e-3}", "pretrained=null"]
    assert run("sweep", "distil", *corpus, *QUICK, *learned, f"teacher={teacher}", "--out", str(student)) == 0
    assert run("export", str(student), "--out", str(tmp_path / "student.safetensors")) == 0
    assert run("compare-models", str(teacher), str(tmp_path / "student.safetensors"), "--rounds", "1") == 0


def test_gains_that_mute_all_that_a_layout_has_are_refused(
    run: Run, table: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    muted = ["corpus.layout=[{block: face, points: 45, dims: 2}]", "corpus.gains={face: 0}"]
    assert run("pretrain", "student", *table[:1], *table[2:], *muted, "--out", str(tmp_path / "a.safetensors")) == 2
    assert "corpus.gains: mute all that corpus.layout has, face; got 0 for each" in capsys.readouterr().err
