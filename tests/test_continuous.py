"""What benchmarks/continuous.py holds out, and what it makes of errors."""

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def continuous(benchmark_module: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_module("continuous")


@pytest.fixture
def clips(continuous, tmp_path):
    return continuous.write_clips(continuous.make_up(), tmp_path)


@pytest.mark.parametrize(("by", "held"), [("signers", "signer"), ("phrases", "glosses")])
def test_what_a_fold_holds_out_is_in_no_other_split_and_every_clip_is_tested_once(continuous, clips, by, held):
    tested = []
    for fold in range(1, continuous.FOLDS + 1):
        splits = continuous.split_clips(clips, by, fold)
        names = {
            split: {getattr(clip, held) for clip, own in zip(clips, splits, strict=True) if own == split}
            for split in ("train", "dev", "test")
        }
        assert all(names.values()) and sum(map(len, names.values())) == len(set().union(*names.values()))
        tested += [clip for clip, own in zip(clips, splits, strict=True) if own == "test"]
    assert sorted(tested) == sorted(clips)


def test_clips_are_written_as_parts_of_the_picture(continuous, clips, tmp_path):
    arrays = continuous.make_up()
    last = np.load(tmp_path / clips[-1].path)
    assert last.dtype == np.float32 and np.array_equal(last * 8192, arrays["hands"][arrays["offsets"][-2] :])
    assert (clips[-1].signer, clips[-1].glosses) == ("s5", arrays["glosses"][-1])


def test_splits_that_share_a_file_or_a_phrase_are_refused(continuous):
    rows = [("train", ["a"], "s1", ["A"]), ("dev", ["b"], "s1", ["B"]), ("test", ["c"], "s1", ["C"])]
    table = pd.DataFrame(rows, columns=["split", "recordings", "signer", "glosses"])
    continuous.check_disjoint(table, "phrases")
    with pytest.raises(AssertionError, match="share recordings or signers"):
        continuous.check_disjoint(table, "signers")
    table.at[2, "recordings"] = ["a"]
    with pytest.raises(AssertionError, match="share recordings or phrases"):
        continuous.check_disjoint(table, "phrases")


def test_an_override_may_be_of_one_sweep(continuous):
    given = ["model.width=0.5", "teacher:model.width=1", "model.kind=my.parts:Net"]
    assert list(continuous.overrides_of("student", given)) == ["model.width=0.5", "model.kind=my.parts:Net"]
    assert list(continuous.overrides_of("teacher", given)) == ["model.width=0.5", "model.width=1", given[2]]


def test_clips_of_one_signer_and_phrase_are_drawn_together(continuous):
    # Two clusters, all wrong and all right: a sample is of both, or of one of them twice.
    rows = [("s1", "A", 1, 1)] * 50 + [("s1", "B", 0, 1)] * 50
    rates = continuous.draw_rates(pd.DataFrame(rows, columns=["signer", "reference", "errors", "glosses"]))
    assert set(rates) == {0.0, 0.5, 1.0} and len(rates) == continuous.DRAWS


def test_means_are_over_folds_and_differences_paired(continuous):
    wrong, right = np.array([0.2, 0.4]), np.array([0.1, 0.3])
    row = {"dev_wer": 0.5, "dev_wer_again": 0.5, "search_s": 10.0, "parameters": 100}
    found = {
        "student": [({**row, "test_wer": 0.2}, wrong), ({**row, "test_wer": 0.4}, wrong)],
        "distil": [({**row, "test_wer": 0.1}, right), ({**row, "test_wer": 0.3}, right)],
    }
    student, distil = continuous.average(found)
    assert student["test_wer"] == pytest.approx(0.3) and "behind" not in student
    assert [distil[name] for name in ("behind", "behind_low", "behind_high")] == pytest.approx([-0.1] * 3)


def test_without_the_recordings_it_says_what_it_needs(continuous, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("sys.argv", ["continuous"])
    with pytest.raises(SystemExit):
        continuous.main()
    assert "--copycat: name an .npz of hands (frame, 84), offsets" in " ".join(capsys.readouterr().err.split())
    np.savez(tmp_path / "other.npz", hands=np.zeros((1, 84)))
    monkeypatch.setattr("sys.argv", ["continuous", "--copycat", str(tmp_path / "other.npz"), "--out", str(tmp_path)])
    with pytest.raises(SystemExit):
        continuous.main()
    assert "other.npz cannot be read" in capsys.readouterr().err


def test_a_student_needs_its_teacher_before_anything_is_searched(continuous, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("sys.argv", ["continuous", "--short", "--sweeps", "student,distil", "--out", str(tmp_path)])
    with pytest.raises(SystemExit):
        continuous.main()
    assert "teacher.safetensors; name teacher too" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["clips"]
