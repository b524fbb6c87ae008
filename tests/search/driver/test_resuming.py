"""Go on with real, tiny sweeps by the command a user types."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import ray
import yaml
from forked_workers import Forks

from glosstune.models import build_model
from glosstune.models.weights.weights_file import write_weights
from glosstune.results import load_results
from glosstune.search import load_sweep
from glosstune.search.driver.requests import send, take
from glosstune.search.storage.lock import owned
from glosstune.search.storage.sweep_folder import SweepFolder
from glosstune.trainables import load_recogniser
from glosstune.trainables.batches import gains as gains_module
from glosstune.trainables.corpora import PackedCorpus

Run = Callable[..., int]


def test_a_finished_sweep_takes_more_trials_a_queue_and_narrower_ranges(
    run: Run, ended: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (ended / "record.jsonl").read_text()
    assert run("resume", str(ended)) == 0
    assert "nothing is left to run" in capsys.readouterr().err
    wanted = {"learning_rate": 1e-3, "warmup_epochs": 0, "dropout": 0.25}
    (tmp_path / "wanted.yaml").write_text(yaml.safe_dump(wanted))
    narrow = "space.learning_rate.float=[9e-4, 1.1e-3]"
    queue = ["--queue", str(tmp_path / "wanted.yaml")]
    assert run("resume", str(ended), "--samples", "+1", narrow, *queue) == 0
    trials = load_results(ended).trials
    assert len(trials) == 4 and set(trials["status"]) <= {"finished", "stopped"}
    assert load_results(ended).configuration(2) == wanted
    assert 9e-4 <= trials["learning_rate"].iloc[3] <= 1.1e-3
    assert load_sweep(ended / "sweep.yaml").search.samples == 3
    assert (ended / "record.jsonl").read_text().startswith(before)


def test_gains_stay_those_that_a_sweep_began_with(
    run: Run, ray_cluster: None, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "sweep"
    asked = ["corpus.gains=auto", "search.samples=1", "training.epochs=2"]
    assert run("sweep", *tiny, *asked, "--out", str(place)) == 0
    assert load_sweep(place / "sweep.yaml").corpus.gains.blocks == "auto"
    gains = json.loads((place / "manifest.json").read_text())["gains"]
    assert gains["blocks"]["hands"]["shape"] == 1

    def fail(*given: object) -> None:
        raise AssertionError("estimated again")

    # Numbers as of an estimator that changes: trials have to go on with the old ones.
    monkeypatch.setattr(gains_module, "corpus_gains", fail)
    assert run("resume", str(place), "--samples", "+1") == 0
    assert len(load_results(place).trials) == 2
    assert run("reproduce", str(place), "0", "--epochs", "1") == 0
    assert run("export", str(place), "--out", str(tmp_path / "out.safetensors")) == 0
    assert load_recogniser(tmp_path / "out.safetensors").settings.corpus.gains.model_dump() == gains
    assert run("confirm", str(place), "--top", "1", "--seeds", "1") == 0
    part = load_sweep(place / "confirm" / "seeds" / "sweep.yaml")
    assert part.corpus.gains.model_dump() == gains


def test_a_trial_can_be_shown_ended_and_pinned(run: Run, ended: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trials = load_results(ended).trials
    finished = int(trials["trial"][trials["status"] == "finished"].iloc[0])
    other = 1 - finished
    capsys.readouterr()
    assert run("trial", str(ended), str(other)) == 2
    assert f"glosstune explain {ended} {other}" in capsys.readouterr().err
    assert run("explain", str(ended), str(other)) == 0
    shown = capsys.readouterr().out
    assert f"trial {other} of sweep: stopped after 1 epochs" in shown and "halving: stopped" in shown
    assert run("trial", str(ended), str(finished), "--pin") == 2
    assert f"TRIAL: trial {finished} is over already: all 3 epochs" in capsys.readouterr().err
    assert run("trial", str(ended), str(other), "--pin") == 0
    assert run("resume", str(ended)) == 0
    assert load_results(ended).trials["epochs"].to_list() == [3, 3]


def test_a_running_sweep_is_handed_what_users_ask_for(
    run: Run, ended: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The lock is held here as a driver in another process would hold it."""
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys\nfrom pathlib import Path\nfrom glosstune.search.storage.lock import owned\n"
            "with owned(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()",
            str(ended),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None and holder.stdin is not None
    try:
        assert holder.stdout.readline() == "held\n"
        assert run("resume", str(ended)) == 2
        assert f"is being run by process {holder.pid}" in capsys.readouterr().err
        assert run("resume", str(ended), "--samples", "+7") == 0
        trials = load_results(ended).trials
        waiting = int(trials["trial"][trials["status"] == "stopped"].iloc[0])
        assert run("trial", str(ended), str(waiting), "--stop") == 0
        assert "handed to the driver" in capsys.readouterr().out
    finally:
        holder.stdin.close()
        holder.wait()
        holder.stdout.close()
    asked = [request for _, request in take(SweepFolder(ended))]
    assert asked == [{"changes": {}, "samples": "+7", "queue": []}, {"stop": waiting}]
    assert list(take(SweepFolder(ended))) == []
    with owned(ended):  # free again
        pass


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["training.epochs=9"], "training.epochs: cannot change while a sweep goes on"),
        (["--samples", "many"], "--samples many: must be a number of trials"),
        (["search.samples=0"], "search.samples: must be greater than 0; got 0"),
        (["space.dropout.float=[0.5, 0.1]"], "space.dropout"),
    ],
)
def test_a_change_that_cannot_be_is_refused_and_nothing_is_touched(
    run: Run, ended: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in ended.iterdir() if path.is_file()}
    assert run("resume", str(ended), *arguments) == 2
    assert message in capsys.readouterr().err
    assert {path: path.read_bytes() for path in ended.iterdir() if path.is_file()} == before


def test_what_was_asked_for_while_a_driver_ended_is_done_by_the_next(run: Run, ended: Path) -> None:
    send(SweepFolder(ended), {"changes": {}, "samples": "+1", "queue": []})
    assert run("resume", str(ended)) == 0
    assert len(load_results(ended).trials) == 3


def test_a_driver_that_runs_keeps_the_corpus_that_it_has_opened(
    run: Run, ended: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    send(SweepFolder(ended), {"changes": {"corpus.cache": str(tmp_path / "other")}, "samples": "+1", "queue": []})
    assert run("resume", str(ended)) == 0
    told = capsys.readouterr().err.replace("\n", " ")
    assert "a request was not followed: corpus.cache: can change only when a sweep is resumed" in told
    assert len(load_results(ended).trials) == 2


def test_a_used_up_budget_is_said_and_begins_no_trial(
    run: Run, ended: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("resume", str(ended), "--samples", "+4", "search.epoch_budget=1") == 0
    assert "nothing is left to run: epoch budget of 1 used up; raise that limit" in capsys.readouterr().err
    assert len(load_results(ended).trials) == 2


def test_a_bad_last_line_is_cut_off_and_an_unreplayable_one_is_an_error(
    run: Run, ended: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = ended / "record.jsonl"
    record.write_text(record.read_text() + "garbage\n")
    assert run("resume", str(ended), "--samples", "+1") == 0
    assert len(load_results(ended).trials) == 3
    lines = record.read_text().splitlines()
    (place, *_) = (place for place, line in enumerate(lines) if json.loads(line)["event"] == "end")
    lines[place] = json.dumps({name: value for name, value in json.loads(lines[place]).items() if name != "rule"})
    record.write_text("\n".join(lines) + "\n")
    for command in (["resume", str(ended)], ["trial", str(ended), "0", "--pin"]):
        capsys.readouterr()
        assert run(*command) == 2
        assert f"{record}:{place + 1}: rule is missing" in capsys.readouterr().err.replace("\n", "")


def test_a_queued_configuration_outside_the_space_is_refused(
    run: Run, ended: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wrong.yaml").write_text("{learning_rate: 7, warmup_epochs: 0, dropout: 0.25}")
    assert run("resume", str(ended), "--queue", str(tmp_path / "wrong.yaml")) == 2
    assert "wrong.yaml: learning_rate: must be a number from" in capsys.readouterr().err


def test_what_is_no_sweep_cannot_be_resumed(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("resume", str(tmp_path / "nowhere")) == 2
    assert "no such folder" in capsys.readouterr().err
    assert run("resume", str(tmp_path)) == 2
    assert "not the folder of a sweep" in capsys.readouterr().err


def test_another_corpus_or_other_weights_are_refused(run: Run, ended: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = json.loads((ended / "manifest.json").read_text())
    key, manifest["corpus"]["key"] = manifest["corpus"]["key"], "other"
    (ended / "manifest.json").write_text(json.dumps(manifest))
    assert run("resume", str(ended), "--samples", "+1") == 2
    told = capsys.readouterr().err
    counts = "24 train, 4 dev, 4 test"
    assert f"the corpus fingerspelling ({key}, {counts}) is not the one that the sweep began with (other, " in told
    assert f"start another sweep, with search.warm_start=[{ended}]" in told
    manifest["corpus"] |= {"key": key, "scoring": "phoenix2014"}
    (ended / "manifest.json").write_text(json.dumps(manifest))
    assert run("resume", str(ended), "--samples", "+1") == 2
    assert "is scored by plain now, and the sweep began with phoenix2014" in capsys.readouterr().err


def test_a_corpus_that_has_moved_is_found_where_it_is_said_to_lie(
    run: Run,
    ray_cluster: None,
    phoenix_folder: Callable[[bool], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, work = phoenix_folder(False), str(tmp_path / "sweep")
    small = ["model.width=0.25", "training.epochs=1", "pretrained=null", "space={learning_rate: {constant: 1e-3}}"]
    corpus = [
        f"corpus.root={first}",
        "corpus.layout=base",
        f"corpus.cache={tmp_path / 'first'}",
        "search.samples=1",
        "resources.cpu=1",
    ]
    assert run("sweep", "student-own", *small, *corpus, "--out", work) == 0
    second = f"corpus.root={first.rename(tmp_path / 'second')}"
    (tmp_path / "first").rename(tmp_path / "gone")
    (tmp_path / "first").touch()  # which no folder of a cache can be made in the place of
    capsys.readouterr()
    for command in (["resume", work, "--samples", "+1"], ["reproduce", work, "0"]):
        assert run(*command) == 2
        assert (
            f"{first}: corpus.root is no folder; where the corpus has moved, say corpus.root" in capsys.readouterr().err
        )
        assert run(*command, second) == 2
        assert "name another folder with corpus.cache=FOLDER" in capsys.readouterr().err
    here = [second, f"corpus.cache={tmp_path / 'packed'}"]
    assert run("reproduce", work, "0", *here) == 0
    assert "the same in all 1 epochs" in capsys.readouterr().out
    assert run("resume", work, "--samples", "+1", *here) == 0
    assert len(load_results(work).trials) == 2
    assert run("reproduce", work, "1") == 0  # the sweep knows the new place
    capsys.readouterr()

    other = Path(shutil.copytree(tmp_path / "second", tmp_path / "other"))
    dev = (other / "dev.corpus.csv").read_text().splitlines()
    (other / "dev.corpus.csv").write_text("\n".join(dev[:-1]))
    began = (Path(work) / "sweep.yaml").read_text()
    for command in ("resume", work, "--samples", "+1"), ("reproduce", work, "0"), ("confirm", work):
        assert run(*command, f"corpus.root={other}") == 2
        told = capsys.readouterr().err
        assert f"the corpus in {other} (" in told and "24 train, 3 dev, 4 test) is not the one" in told
        assert "24 train, 4 dev, 4 test), so trials would not compare; say where that one lies with corpus.root" in told
    assert (Path(work) / "sweep.yaml").read_text() == began
    assert run("reproduce", work, "0", "corpus.layout=holistic") == 2
    assert "a trial is trained again as it was; only corpus.root, corpus.cache, pretrained" in capsys.readouterr().err


def test_weights_that_are_gone_or_overwritten_are_as_the_sweep_has_kept_them(
    run: Run,
    ray_cluster: None,
    tiny: list[str],
    small_corpus: PackedCorpus,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    weights, sweep = tmp_path / "weights.safetensors", str(tmp_path / "sweep")
    state = build_model("student", len(small_corpus.vocabulary), width=0.25).state_dict()
    write_weights(weights, state, {})
    asked = [f"pretrained={weights}", "space.strategy=full-finetune", "search.samples=1"]
    assert run("sweep", *tiny, *asked, "--out", sweep) == 0
    write_weights(weights, {name: 2 * value for name, value in state.items()}, {})
    capsys.readouterr()
    assert run("reproduce", sweep, "0") == 0
    told = capsys.readouterr()
    assert "the same in all 3 epochs" in told.out
    assert f"pretrained: {weights} is gone, or another file now; the sweep's own copy is used" in told.err
    weights.unlink()
    assert run("resume", sweep, "--samples", "+1") == 0
    assert len(load_results(sweep).trials) == 2
    other = tmp_path / "other.safetensors"
    write_weights(other, state, {"another": "1"})
    assert run("resume", sweep, "--samples", "+1", f"pretrained={other}") == 2
    assert f"pretrained: {other}: are not the weights that the sweep began with" in capsys.readouterr().err


def test_sweep_with_resume_begins_or_goes_on(
    run: Run, ray_cluster: None, tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["sweep", *tiny, "--out", str(tmp_path / "a"), "--resume"]
    assert run(*command, "search.samples=1") == 0
    assert run(*command, "search.samples=2") == 0
    assert len(load_results(tmp_path / "a").trials) == 2
    assert run(*command, "search.samples=2", "training.seed=5") == 2
    assert "training.seed: cannot change" in capsys.readouterr().err
    assert run("sweep", *tiny, "--resume") == 2
    assert "--resume: name the folder of the sweep with --out" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status", "own_ray"), [(signal.SIGTERM, 143, True), (signal.SIGINT, 130, False)])
def test_a_signal_saves_and_resume_goes_on(
    run: Run, ray_cluster: None, forks: Forks, tiny: list[str], tmp_path: Path, number: int, status: int, own_ray: bool
) -> None:
    folder = tmp_path / "sweep"
    plan = [*tiny, "search.samples=3", "training.epochs=8", "halving.kind=none"]
    code = "from glosstune.search.cli.main import main; main()"
    cluster = {"RAY_ADDRESS": "local" if own_ray else ray.get_runtime_context().gcs_address}
    with (tmp_path / "log").open("w") as log:
        driver = subprocess.Popen(
            [sys.executable, "-c", code, "sweep", *plan, "--out", str(folder)],
            stderr=log,
            stdout=log,
            env={**os.environ, **forks.environment, "RAY_AUTH_MODE": "disabled", **cluster},
        )
    deadline = time.monotonic() + 120
    while (
        '"report"' not in ((folder / "record.jsonl").read_text() if (folder / "record.jsonl").exists() else "")
        and time.monotonic() < deadline
    ):
        time.sleep(0.05)
    driver.send_signal(number)
    assert driver.wait(timeout=60) == status, (tmp_path / "log").read_text()
    assert f"go on with: glosstune resume {folder}" in (tmp_path / "log").read_text()
    before = load_results(folder)
    assert "interrupted" in set(before.trials["status"])
    assert run("resume", str(folder)) == 0
    after = load_results(folder)
    assert len(after.trials) == 3 and set(after.trials["status"]) <= {"finished", "stopped"}
    for trial, epochs in after.epochs.groupby("trial")["epoch"]:
        assert epochs.to_list() == list(range(1, len(epochs) + 1)), trial
    merged = before.epochs.merge(after.epochs, on=["trial", "epoch"], suffixes=("_before", ""))
    assert len(merged) == len(before.epochs)
    assert merged["wer"].equals(merged["wer_before"])
