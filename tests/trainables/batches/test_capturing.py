"""CUDA graphs of a training step, with stand-ins for the graphs: what is captured when, and what if it cannot be."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from glosstune.models import build_model
from glosstune.models.recogniser import Recogniser
from glosstune.trainables.batches import capturing
from glosstune.trainables.batches.batching import Batch
from glosstune.trainables.batches.capturing import CapturedForward

LENGTHS = torch.tensor([24, 17, 5])

Run = Callable[..., Any]


class Graphs:
    """In the place of torch.cuda: warms up as it does, then runs again what it was given.

    Attributes:
        captured: shapes, in the order they came.
        memory: of the GPU, free and in all.
        replayed: what becomes of a function that is captured.
    """

    def __init__(self) -> None:
        self.captured: list[list[tuple[int, ...]]] = []
        self.memory = (60, 100)
        self.replayed: Callable[[Run], Run] = lambda run: run

    def make(self, run: Run, inputs: tuple[Tensor, ...], **options: Any) -> Run:
        assert options == {"pool": "pool", "allow_unused_input": True}
        for _ in range(3):
            run(*inputs)
        self.captured.append([tuple(each.shape) for each in inputs])
        return self.replayed(run)


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Graphs:
    graphs = Graphs()
    monkeypatch.setattr(CapturedForward, "works_here", True)
    monkeypatch.setattr(torch.cuda, "make_graphed_callables", graphs.make)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: None)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: "pool")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: graphs.memory)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: torch.get_rng_state())
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: torch.set_rng_state(state))
    return graphs


def small() -> Recogniser:
    return build_model("teacher", 12, width=0.125, norm="batch", dropout=0.3, seed=0).train()


def batch_of(time: int = 24) -> Batch:
    features = torch.randn(3, time, 6516, generator=torch.Generator().manual_seed(time))
    return Batch((features,), LENGTHS.clamp(max=time), (0, 1, 2))


def test_steps_are_those_that_run_as_they_come(graphs: Graphs) -> None:
    said: list[str] = []
    captured, plain = small(), small()
    run = CapturedForward(captured, "fp32", said.append)
    for number, time in enumerate((24, 16, 24)):
        results = []
        for model in (captured, plain):
            torch.manual_seed(number)
            batch = batch_of(time)
            forward = (
                run
                if model is captured
                else lambda each: plain.forward_from("modality_fusion", each.state, each.lengths)
            )
            log_probs, _, lengths = forward(batch)
            assert lengths.device.type == "cpu" and lengths.tolist() == plain.output_lengths(batch.lengths).tolist()
            model.zero_grad()
            log_probs[:, :, 1].sum().backward()
            results.append(
                [log_probs.detach(), *(parameter.grad for parameter in model.parameters()), *model.buffers()]
            )
        for ours, theirs in zip(*results, strict=True):
            torch.testing.assert_close(ours, theirs)
    assert graphs.captured == [[(3,), (3, 24, 6516)], [(3,), (3, 16, 6516)]] and not said


def test_layers_that_thaw_are_captured_anew(graphs: Graphs) -> None:
    model = small()
    run = CapturedForward(model, "fp32", str)
    model.stem.requires_grad_(False)
    run(batch_of())
    run(batch_of())
    model.stem.requires_grad_(True)
    run(batch_of())
    assert len(graphs.captured) == 2


def test_no_more_shapes_are_kept_than_memory_is_for(graphs: Graphs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capturing, "MOST_SHAPES", 1)
    run = CapturedForward(small(), "fp32", str)
    for time in (24, 16, 24, 16):
        run(batch_of(time))
    assert len(graphs.captured) == 1


def test_nothing_is_captured_where_memory_is_short(graphs: Graphs) -> None:
    run = CapturedForward(small(), "fp32", str)
    run(batch_of(24))
    graphs.memory = (20, 100)
    for time in (24, 16):
        run(batch_of(time))
    assert len(graphs.captured) == 1


@pytest.mark.parametrize(
    ("replayed", "why"),
    [
        (lambda run: lambda *inputs: (run(*inputs)[0] + 1, None), "a replay differs by 1 from what was captured"),
        (lambda run: _raise(RuntimeError("operation not permitted when stream is capturing")), "not permitted"),
    ],
)
def test_what_cannot_be_captured_runs_as_it_comes_and_says_why(
    graphs: Graphs, replayed: Callable[[Run], Run], why: str
) -> None:
    said: list[str] = []
    graphs.replayed = replayed
    model, plain = small(), small()
    run = CapturedForward(model, "fp32", said.append)
    for number in range(2):
        torch.manual_seed(number)
        ours = run(batch_of())[0]
        torch.manual_seed(number)
        batch = batch_of()
        theirs = plain.forward_from("modality_fusion", batch.state, batch.lengths)[0]
        torch.testing.assert_close(ours, theirs)
    for ours, theirs in zip(model.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)
    assert len(said) == 1 and why in said[0]


def _raise(error: Exception) -> Run:
    raise error
