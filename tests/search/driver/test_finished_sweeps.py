"""Confirm, export and reproduce what a real, tiny sweep found, by the commands a user types."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest
from hostile import ESCAPE, TAG, TURNED

from glosstune.results import load_results
from glosstune.search.cli import results
from glosstune.search.confirm import plan
from glosstune.search.confirm.scoring import find_broadcast
from glosstune.search.storage.lock import owned
from glosstune.trainables import load_recogniser
from glosstune.trainables.ctc.rules import RULES

Run = Callable[..., int]


@pytest.mark.slow
def test_the_best_trial_is_trained_under_new_seeds_and_test_is_scored_once(
    run: Run, ended: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = load_results(ended).best
    options = ("--top", "1", "--seeds", "2", "--decode", "beam:4", "--rules", "phoenix2014")
    assert run("confirm", str(ended), *options) == 0
    told = capsys.readouterr().out
    assert "95 % interval" in told and "optimism" in told
    trials = load_results(ended / "confirm" / "seeds").trials
    assert trials["seed"].tolist() == [1, 2]  # the sweep used 0
    assert trials["status"].tolist() == ["finished"] * 2
    assert trials["learning_rate"].tolist() == [best["learning_rate"]] * 2
    scored = pd.read_parquet(ended / "confirm" / "utterances.parquet")
    assert set(scored["split"]) == {"dev", "test"}
    assert set(scored["scoring"]) == {"greedy", "beam:4", "greedy, phoenix2014", "beam:4, phoenix2014"}
    dev = (
        scored[(scored["split"] == "dev") & (scored["scoring"] == "greedy")]
        .groupby("seed")[["errors", "glosses"]]
        .sum()
    )
    # What the trials themselves reported at their best epoch.
    assert (dev["errors"] / dev["glosses"]).tolist() == pytest.approx(trials["wer_best"].tolist())

    written = (ended / "confirm" / "utterances.parquet").stat().st_mtime_ns
    for checkpoint in (ended / "confirm").glob("seeds/trials/*/best.pt"):
        checkpoint.unlink()  # nothing needs them any more
    assert run("confirm", str(ended), *options) == 0
    assert capsys.readouterr().out == told
    assert (ended / "confirm" / "utterances.parquet").stat().st_mtime_ns == written
    assert run("confirm", str(ended), "--top", "1", "--seeds", "3") == 2
    assert "holds another confirmation" in capsys.readouterr().err


@pytest.mark.slow
def test_what_cannot_be_confirmed_is_refused(
    run: Run, ended: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("confirm", str(ended), "--per", "strategy") == 2
    assert "--per: the sweep has no parameter 'strategy'" in capsys.readouterr().err
    assert run("confirm", str(tmp_path)) == 2
    assert "not the folder of a sweep: record.jsonl is missing" in capsys.readouterr().err
    assert run("confirm", str(ended), "--decode", "beam") == 2
    assert "--decode: must be 'greedy', or 'beam:' and a width" in capsys.readouterr().err
    with owned(ended):
        assert run("confirm", str(ended)) == 2
    assert "is being run by process" in capsys.readouterr().err
    assert not (ended / "confirm").exists()


def test_the_command_offers_the_rules_that_there_are() -> None:
    assert get_args(results.Rules) == get_args(plan.Rules) == ("none", *RULES)


@pytest.mark.parametrize(
    ("key", "broadcast"),
    [
        ("11August_2010_Wednesday_tagesschau_default-3", "11August_2010_Wednesday_tagesschau_default"),
        ("25October_2010_Monday_tagesschau-17", "25October_2010_Monday_tagesschau"),
        ("S000020_P0000_T00", "S000020_P0000_T00"),
        ("take-0001", "take-0001"),
    ],
)
def test_only_keys_of_phoenix_name_a_broadcast(key: str, broadcast: str) -> None:
    assert find_broadcast(key) == broadcast


def test_the_best_trial_becomes_one_file(
    run: Run, ended: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = load_results(ended).best
    capsys.readouterr()
    assert run("export", str(ended), "--out", str(tmp_path / "student.safetensors")) == 0
    assert f"trial {best['trial']}, WER {best['wer_best']:.1%} on dev" in capsys.readouterr().out
    recogniser = load_recogniser(tmp_path / "student.safetensors")
    expected = {"epoch": best["epoch_of_best"], "wer": best["wer_best"], "trial": best["trial"], "sweep": "sweep"}
    expected["scoring"] = "plain"
    assert recogniser.scores == expected
    for arguments, told in (
        (["--out", str(tmp_path / "student.safetensors")], "exists already"),
        (["--out", str(tmp_path / "student.pt")], "must end in .safetensors"),
        (["--out", str(tmp_path / "new.safetensors"), "--trial", "9"], "has no trial 9"),
    ):
        assert run("export", str(ended), *arguments) == 2
        assert told in capsys.readouterr().err


def test_a_trial_runs_again_to_the_same_curve(run: Run, ended: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trials = load_results(ended).trials
    finished = int(trials["trial"][trials["status"] == "finished"].iloc[0])
    capsys.readouterr()
    assert run("reproduce", str(ended), str(finished)) == 0
    assert "the same in all 3 epochs" in capsys.readouterr().out
    manifest = json.loads((ended / "manifest.json").read_text())
    manifest["versions"][TAG] = f"{ESCAPE}{TURNED}"  # of a stranger
    (ended / "manifest.json").write_text(json.dumps(manifest))
    record = (ended / "record.jsonl").read_text()
    (ended / "record.jsonl").write_text(record.replace('"train_loss": ', '"train_loss": 1'))
    assert run("reproduce", str(ended), str(finished), "--epochs", "1") == 1
    told = capsys.readouterr()
    assert "differs from epoch 1" in told.out
    assert f"{TAG}: \\x1b[2J\\x1b]0;owned\\x07a\\u202etxt.exe then, None now" in told.err
    (ended / "manifest.json").unlink()
    assert run("reproduce", str(ended), str(finished)) == 2
    assert "manifest.json: cannot be read as the manifest of a sweep" in capsys.readouterr().err
