"""Whatever has happened to the files of a folder: what is readable is shown, and nothing ends in a traceback."""

import json
import random
import re
import shutil
import warnings
from pathlib import Path

import pandas as pd
import pytest
from ray_experiment import result, write_state, write_trial
from sweep_folder import SweepFolder

from glosstune.results import Results, explain_trial, format_results, load_results, rank_trials, trace_incumbent
from glosstune.results.reading.record import read_record
from glosstune.spaces.errors import FolderError

# Of each kind of folder; so many are loaded together, for most of the time goes into making frames.
CASES, TOGETHER = 250, 10
WILD = [
    *(b"1e400", b"-1", b"Infinity", b"NaN", b"null", b"true", b'"x"', b"[]", b"{}", b"0", b"1e18", b"-1e300"),
    *(b"1" * 5000, b"9" * 30, b'"\\ud800"', b"[" * 400 + b"]" * 400, b'"2026-01-01T00:00:00"', b'"9999-12-31"', b"\0"),
]
VALUE = re.compile(rb'(?<=[:,\[])\s*(-?[0-9.e+-]+|"[^"]*"|true|false|null|NaN)')


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """One of plain Ray Tune, with every kind of file that is read."""
    folder = tmp_path / "exp"
    for number in range(3):
        rows = [
            result(epoch, wer=1 / (epoch + number), nested={"loss": float("nan")}, trial_id=f"a_{number}")
            for epoch in range(1, 4)
        ]
        trial = write_trial(folder / f"train_a_{number}", *rows, lr=0.1 * number, layers={"norm": float("inf")})
        (trial / "progress.csv").write_text("training_iteration,wer,config/lr,done\n1,0.5,0.01,False\n")
    (folder / "train_a_2" / "error.txt").write_text("ValueError: too wide\n")
    write_state(folder, {"a_0": "TERMINATED", "a_1": "PAUSED", "a_2": "ERROR"})
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["experiment", "searched"])
def test_a_folder_with_broken_files_is_shown_as_far_as_it_is_readable(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    given = request.getfixturevalue(kind)
    folder = given.path if isinstance(given, SweepFolder) else given
    whole = len(load_results(folder).trials)
    shown = 0
    for first in range(0, CASES, TOGETHER):
        torn = [tmp_path / f"torn-{case}" for case in range(first, first + TOGETHER)]
        for case, each in enumerate(torn, start=first):
            shutil.copytree(folder, each)
            _tear(random.Random(case), each)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            # A record that is not there, or begins with nothing that is known, is left out.
            shown += _show(load_results(torn, leave_out=True))
        for each in torn:
            shutil.rmtree(each)
    assert shown > 0.6 * whole * CASES


def _tear(rng: random.Random, folder: Path) -> None:
    """Do to some of its files what machines and people do."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in rng.sample(files, k=rng.randint(1, min(3, len(files)))):
        content = path.read_bytes()
        at = rng.randrange(len(content) + 1)
        match rng.randrange(8):
            case 0:
                path.write_bytes(content[:at])
            case 1:
                path.write_bytes(b"")
            case 2:
                path.unlink()
            case 3:
                path.unlink()
                path.mkdir()
            case 4:
                flipped = bytearray(content)
                for place in rng.sample(range(len(content)), k=min(5, len(content))):
                    flipped[place] ^= 1 << rng.randrange(8)
                path.write_bytes(flipped)
            case 5:
                path.write_bytes(content[:at] + rng.choice(WILD) + content[at:])
            case 6:
                other = rng.choice(files)
                path.write_bytes(other.read_bytes() if other.is_file() else b"")
            case _:
                values = list(VALUE.finditer(content))
                for found in sorted(rng.sample(values, k=min(3, len(values))), key=re.Match.start, reverse=True):
                    content = content[: found.start()] + b" " + rng.choice(WILD) + content[found.end() :]
                path.write_bytes(content)


def _show(results: Results) -> int:
    """All that is asked of results most often; the number of trials."""
    assert format_results(results.trials, "table").encode()
    told = format_results(results.trials, "json")
    json.loads(told, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))
    assert repr(results)
    rank_trials(results)
    trace_incumbent(results)
    for sweep, trial in results.trials[["sweep", "trial"]].head(1).itertuples(index=False):
        assert explain_trial(results, trial, sweep)
    return len(results.trials)


@pytest.mark.parametrize(
    "tail", ['{"event": "report", "tri', '{"event": "report"}'[:-1], '"é'.encode()[:-1].decode("latin-1")]
)
def test_torn_last_line_is_dropped(four_trials, tail):
    whole = load_results(four_trials.path)
    four_trials.append_text(tail)
    torn = load_results(four_trials.path)
    pd.testing.assert_frame_equal(torn.trials, whole.trials)
    pd.testing.assert_frame_equal(torn.epochs, whole.epochs)


def test_last_line_cut_inside_a_character_is_dropped(four_trials):
    with four_trials.record.open("ab") as record:
        record.write('{"event": "trial", "configuration": {"name": "é'.encode()[:-1])
    assert len(load_results(four_trials.path).trials) == 4


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"event": "repo', "not a line of JSON"),
        ("[1, 2]", "not an object"),
        ('{"trial": 1}', "event is missing"),
        ('{"event": "trial", "trial": "x", "configuration": {}}', "trial: 'x' is no int"),
        ('{"event": "trial", "trial": true, "configuration": {}}', "trial: True is no int"),
        ('{"event": "trial", "trial": 1, "configuration": {}}', "source is missing"),
        (
            '{"event": "report", "trial": 0, "epoch": 9223372036854775808, "metrics": {}}',
            "must not be beyond 1,000,000,000,000,000",
        ),
        ('{"event": "report", "trial": 9, "epoch": 1, "metrics": {}}', "trial 9: no earlier line starts it"),
        ('{"event": "report", "trial": 0, "epoch": 1, "metrics": {"wer": "bad"}}', "wer: 'bad' is no number"),
        (
            '{"event": "end", "trial": 0, "reason": "", "status": "lost", "rule": ""}',
            "'lost' is none of finished, stopped, failed",
        ),
    ],
)
def test_broken_line_is_named_and_hides_no_other(sweep, line, complaint):
    sweep.start(0)
    sweep.append_text(line + "\n")
    sweep.start(1)
    with pytest.warns(UserWarning, match="record.jsonl:3: .*" + complaint + ".*; it is left out$"):
        assert load_results(sweep.path).trials["trial"].tolist() == [0, 1]
    with pytest.raises(FolderError, match="record.jsonl:3: .*" + complaint):  # whoever goes on has to know all
        read_record(sweep.path)


def test_all_that_a_broken_line_costs_is_told_once(sweep):
    sweep.start(0)
    sweep.append_text('{"event": "trial", "trial": 1\n')
    for epoch in range(1, 4):
        sweep.report(1, epoch, wer=0.5)
    sweep.start(2)
    with pytest.warns(UserWarning, match="record.jsonl:3: .*; it is left out, like 3 more lines$") as told:
        assert load_results(sweep.path).trials["trial"].tolist() == [0, 2]
    assert len(told) == 1


def test_of_several_what_is_no_sweep_is_left_out_and_named(four_trials, tmp_path):
    (tmp_path / "a.log").write_text("")
    (tmp_path / "b").mkdir()
    places = [four_trials.path, tmp_path / "a.log", tmp_path / "b"]
    with pytest.warns(UserWarning, match=r"a\.log, .*b: are not the folders of sweeps, and are left out$") as told:
        results = load_results(places, leave_out=True)
    assert (len(told), results.folder, len(results.trials)) == (1, four_trials.path, 4)
    with pytest.raises(FolderError, match=r"a\.log: is a file"):
        load_results(places)
    with pytest.raises(FolderError, match=r"is missing|is a file"):
        load_results(places[1:], leave_out=True)
    with pytest.raises(FolderError, match="no such folder"):  # misspelt
        load_results([*places[:1], tmp_path / "c"], leave_out=True)


def test_of_several_one_whose_record_says_nothing_hides_no_other(four_trials, tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "record.jsonl").write_text("nonsense\n{}\n")
    with pytest.warns(UserWarning, match=r"b/record\.jsonl:1: .*; the other sweeps are shown without it$"):
        assert len(load_results([four_trials.path, tmp_path / "b"], leave_out=True).trials) == 4


def test_what_was_confirmed_and_cannot_be_read_is_left_out(four_trials):
    (four_trials.path / "confirm").mkdir()
    for torn in ("", "[7]", '[{"trial": "x"}]', "{"):
        (four_trials.path / "confirm" / "confirmation.json").write_text(torn)
        with pytest.warns(UserWarning, match=r"confirmation\.json: cannot be read .*; what was confirmed is left out"):
            assert load_results(four_trials.path).confirmation is None


def test_numbers_that_no_column_holds_are_missing(sweep):
    sweep.start(0)
    sweep.report(0, 1, wer=0.5, epoch_s=1e308, trainable_params=1e300, micro_batches=1e300)
    sweep.report(0, 2, wer=0.4, epoch_s=1e308, costs={"parameters": 1e300})
    (trial,) = load_results(sweep.path).trials.to_dict("records")
    assert (trial["wer_best"], trial["train_seconds"]) == (0.4, 0.0)
    assert pd.isna(trial["trainable_params"]) and pd.isna(trial["parameters"])
