"""The precision of a GPU is the one whose steps were quicker, asked once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from glosstune.models import build_model
from glosstune.trainables.batches import quicker
from glosstune.trainables.batches.quicker import settled_precision
from glosstune.trainables.settings import TrialSettings

GPU = torch.device("cuda")
Times = Callable[[float, float], list[str]]


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Times:
    """Sets what steps take in single precision and bfloat16; returns a list of the precisions that were timed."""
    monkeypatch.setattr(quicker, "has_native_bf16", lambda device: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")

    def take(single: float, half: float) -> list[str]:
        asked: list[str] = []

        def step_s(settings: Any, model: Any, device: Any, precision: str, graphs: bool) -> float:
            asked.append(precision)
            return {"fp32": single, "bf16": half}[precision]

        monkeypatch.setattr(quicker, "_step_s", step_s)
        return asked

    return take


def settle(cache: Path, precision: str = "auto", batch_size: int = 16) -> tuple[str, list[str]]:
    said: list[str] = []
    tree = {"corpus": {"cache": cache}, "training": {"precision": precision, "batch_size": batch_size}}
    model = build_model("student", 12, width=0.125)
    return settled_precision(TrialSettings.model_validate(tree), model, GPU, said.append), said


@pytest.mark.parametrize(("half", "expected"), [(0.5, "bf16"), (0.97, "fp32"), (2.0, "fp32")])
def test_half_the_digits_are_taken_where_they_are_clearly_quicker(
    times: Times, tmp_path: Path, half: float, expected: str
) -> None:
    times(1.0, half)
    assert settle(tmp_path) == (
        expected,
        [f"trains in {expected}: a step takes 1000.0 ms in single precision, {1000 * half:.1f} ms in bfloat16"],
    )


def test_it_is_measured_once_for_each_thing_that_decides(times: Times, tmp_path: Path) -> None:
    asked = times(1.0, 0.5)
    assert settle(tmp_path)[0] == "bf16"
    times(1.0, 2.0)  # which would say otherwise
    assert settle(tmp_path) == ("bf16", []) and asked == ["fp32", "bf16"]
    assert settle(tmp_path, batch_size=4)[0] == "fp32"


@pytest.mark.parametrize("text", ["", "{}", '{"precision": "fp8"}', "[]"])
def test_a_damaged_answer_is_asked_for_again(times: Times, tmp_path: Path, text: str) -> None:
    times(1.0, 0.5)
    settle(tmp_path)
    (file,) = tmp_path.glob("precision-*.json")
    file.write_text(text)
    assert settle(tmp_path)[0] == "bf16"
    assert json.loads(file.read_text())["precision"] == "bf16"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_was_asked_for_is_not_measured(times: Times, tmp_path: Path, precision: str) -> None:
    asked = times(1.0, 0.5)
    assert settle(tmp_path, precision) == (precision, []) and not asked
    assert not list(tmp_path.iterdir())


def test_a_gpu_without_bfloat16_trains_in_single_precision(
    times: Times, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = times(1.0, 0.5)
    monkeypatch.setattr(quicker, "has_native_bf16", lambda device: False)
    assert settle(tmp_path) == ("fp32", []) and not asked


def test_without_a_place_it_is_asked_each_time(times: Times, tmp_path: Path) -> None:
    asked = times(1.0, 0.5)
    (tmp_path / "cache").write_text("no folder")
    assert settle(tmp_path / "cache")[0] == settle(tmp_path / "cache")[0] == "bf16"
    assert len(asked) == 4
