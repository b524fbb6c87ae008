"""The guide from the plateau to a student works from its first command to its last."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from glosstune.results import load_results
from glosstune.search import load_sweep
from glosstune.search.cli import main as command_line
from glosstune.trainables import load_recogniser
from glosstune.trainables.settings import CorpusSettings

GUIDE = Path(__file__).parents[1] / "docs" / "from-plateau-to-student.md"
SHORT = {
    "diagnose": ["model.width=0.25", "corpus.sentences=24"],
    "pretrain": ["model.width=0.25", "pretraining.steps=20"],
    "sweep": ["model.width=0.25", "training.epochs=2", "halving.min_epochs=1", "search.samples=2"],
    "confirm": ["--top", "1", "--seeds", "1"],
    "compare-models": ["--json", "--rounds", "1"],
}


def _shortened(command: list[str], corpus: CorpusSettings) -> list[str]:
    name = command[0]
    added = list(SHORT.get(name, []))
    if name in ("diagnose", "pretrain", "sweep"):
        added += [f"corpus.signers={list(corpus.signers or ())}", "corpus.sentences=24", f"corpus.cache={corpus.cache}"]
    if "distil" in command:  # whose width is searched
        added = [*(f"space.{each}" if each.startswith("width") else each for each in added), "space.width=0.25"]
        added.remove("model.width=0.25")
    if any(each.startswith("pretrained=") for each in command):
        added.append("space.strategy=full-finetune")
    return [*command, *added]


@pytest.mark.slow
def test_every_command_of_the_guide_leads_to_the_next(
    ray_cluster: None,
    small_settings: CorpusSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    block, _ = re.findall(r"\n\n((?:    glosstune .*\n)+)", GUIDE.read_text(encoding="utf-8").split("##")[0])
    commands = [shlex.split(line.partition("#")[0])[1:] for line in block.splitlines()]
    assert [command[0] for command in commands].count("sweep") == 2
    for command in commands:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["glosstune", *_shortened(command, small_settings)])
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        printed = capsys.readouterr()
        assert not ended.value.code, f"{command}: {printed.err}"
    comparison = json.loads(printed.out)
    assert [model["kind"] for model in comparison["models"]] == ["teacher", "student"]
    assert comparison["models"][1]["parameter_ratio"] > 1
    epochs = load_results(tmp_path / "runs" / "student").epochs
    assert (epochs["distillation_loss"] > 0).all()
    manifest = json.loads((tmp_path / "runs" / "student" / "manifest.json").read_text())
    assert manifest["teacher"]["wer"] == pytest.approx(comparison["models"][0]["rates"]["wer"])
    assert load_recogniser(tmp_path / "student.safetensors").recorded["teacher"] == {
        name: manifest["teacher"][name] for name in ("sha256", "wer")
    }
    monkeypatch.setattr(sys, "argv", ["glosstune", "reproduce", "runs/student", "0", "--epochs", "1"])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert not ended.value.code
    for name in ("teacher", "student"):
        assert load_recogniser(tmp_path / f"{name}.safetensors").settings.corpus.sentences == 24

    # Another teacher would make trials incomparable: in its place it is left alone, named anew it is refused.
    (tmp_path / "teacher.safetensors").write_bytes((tmp_path / "student.safetensors").read_bytes())
    for overrides, status, told in (
        (["teacher=student.safetensors"], 2, "is not the teacher that the sweep began with"),
        ([], 0, "teacher.safetensors is gone, or another file now; the sweep's own copy is used"),
    ):
        monkeypatch.setattr(sys, "argv", ["glosstune", "resume", "runs/student", "--samples", "+1", *overrides])
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        assert (ended.value.code or 0) == status
        assert told in capsys.readouterr().err


def test_the_sweeps_for_your_own_corpus_are_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = GUIDE.read_text(encoding="utf-8").splitlines()
    commands = [shlex.split(line) for line in lines if line.startswith("    ") and "corpus.root" in line]
    assert [command[1] for command in commands] == ["diagnose", "sweep", "sweep"]
    for _, _, name, *rest in commands:
        sweep = load_sweep(name, [argument for argument in rest if "=" in argument])
        assert sweep.name == f"{name}-own" and sweep.corpus.root == Path("/data/phoenix")
