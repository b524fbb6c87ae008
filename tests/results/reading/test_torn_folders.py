"""Whatever has happened to the files of a folder: what is readable is shown, and nothing ends in a traceback."""

import json
import random
import re
import shutil
import warnings
from pathlib import Path

import pytest
from ray_experiment import result, write_state, write_trial
from sweep_folder import SweepFolder

from glosstune.results import Results, explain_trial, format_results, load_results, rank_trials, trace_incumbent

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
