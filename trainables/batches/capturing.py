"""Forward and backward as CUDA graphs: one launch each for what would be hundreds.

A step of these models computes little and is launched in hundreds of pieces. Lengths are padded to round numbers,
so batches come in a few dozen shapes; each is captured when it comes for the first time and replayed from then on. The
loss, which reads lengths, clipping and the optimiser stay outside.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from glosstune.models.recogniser import Recogniser
from glosstune.trainables.batches.batching import Batch
from glosstune.trainables.batches.memory import free_memory
from glosstune.trainables.batches.precision import Precision, autocast
from glosstune.trainables.batches.prefetching import MAKING

# Each shape keeps its input, output and gradients; what comes after so many, or when memory is short, runs as it comes.
MOST_SHAPES = 64
SPARE_MEMORY = 0.25  # of a GPU, which scoring and others on it may need
# How far log-probabilities of a replay may lie from those of the operations themselves, whose sums may come in another
# order, as a share of the largest.
TOLERANCE = 1e-2


class CapturedForward:
    """A model's training forward pass on CUDA, replayed where its shape has been seen, with gradients as ever.

    What cannot be captured, or gives other results when it is replayed, is run as it comes from then on, and said.

    Args:
        model: in training mode; which of its parameters train may change.
        say: told why a trial goes on without graphs.
    """

    # A capture that broke off may leave torch's allocator in a state that the next one would fail in.
    works_here: ClassVar[bool] = True

    def __init__(self, model: Recogniser, precision: Precision, say: Callable[[str], None]) -> None:
        self._model, self._precision, self._say = model, precision, say
        self._graphs: dict[Any, Callable[..., tuple[Tensor, Tensor]]] = {}
        self._trained: tuple[bool, ...] = ()
        self._memory: Any = None  # which all shapes share: no two of them are replayed at once

    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """What ``Recogniser.forward_from`` gives for a batch."""
        lengths = self._model.output_lengths(batch.lengths)
        run = self._captured(batch) if self.works_here else None
        if run is None:
            log_probs, encoded = _Tensors(self._model, batch.layer, self._precision)(batch.lengths, *batch.state)
        else:
            there = batch.lengths.to(batch.state[0].device, non_blocking=True)
            log_probs, encoded = run(there, *batch.state)
        return log_probs, encoded, lengths

    def _captured(self, batch: Batch) -> Callable[..., tuple[Tensor, Tensor]] | None:
        trained = tuple(parameter.requires_grad for parameter in self._model.parameters())
        if trained != self._trained:  # a layer has thawed
            self._forget()
            self._trained = trained
        shape = batch.layer, *(part.shape for part in batch.state)
        if shape not in self._graphs and len(self._graphs) < MOST_SHAPES and _has_room(batch.state[0].device):
            try:
                self._graphs[shape] = self._capture(batch)
            except Exception as error:  # a model of the user's may raise anything; without a graph it runs as ever
                CapturedForward.works_here = False
                self._forget()
                self._say(f"steps are not captured as CUDA graphs: {error}")
        return self._graphs.get(shape)

    def _capture(self, batch: Batch) -> Callable[..., tuple[Tensor, Tensor]]:
        """A graph of a batch's shape.

        Raises:
            RuntimeError: something in it cannot be captured, or gives other results in it.
        """
        device = batch.state[0].device
        inputs = batch.lengths.to(device), *(part.clone() for part in batch.state)
        run = _Tensors(self._model, batch.layer, self._precision)
        # Warming up and comparing draw random numbers and move statistics that are not theirs.
        drawn = torch.cuda.get_rng_state(device)
        moving = [(buffer, buffer.clone()) for buffer in self._model.buffers()]

        def start_again() -> None:
            torch.cuda.set_rng_state(drawn, device)
            for buffer, before in moving:
                buffer.copy_(before)

        try:
            expected = run(*inputs)[0].detach()
            start_again()
            with MAKING, _undisturbed(device):
                made = torch.cuda.make_graphed_callables(run, inputs, allow_unused_input=True, pool=self._pool())
            graph = cast(Callable[..., tuple[Tensor, Tensor]], made)
            start_again()
            apart = float((graph(*inputs)[0].detach() - expected).abs().max())
        finally:
            start_again()
        if not apart <= TOLERANCE * float(expected.abs().max()):
            raise RuntimeError(f"a replay differs by {apart:.3g} from what was captured")
        return graph

    def _forget(self) -> None:
        """Let go of all graphs, which hold each other, and of their memory."""
        if self._graphs:
            self._graphs.clear()
            self._memory = None
            free_memory()

    def _pool(self) -> Any:
        if self._memory is None:
            self._memory = torch.cuda.graph_pool_handle()
        return self._memory


@contextmanager
def _undisturbed(device: torch.device) -> Iterator[None]:
    """Stream and random numbers are what they were, also where a capture within breaks off."""
    with torch.cuda.stream(torch.cuda.current_stream(device)):
        try:
            yield
        except Exception:
            with suppress(Exception):  # the error that is there is the one to tell
                drawn = torch.cuda.default_generators[device.index or 0]
                drawn.graphsafe_set_state(drawn.clone_state())
            raise


def _has_room(device: torch.device) -> bool:
    free, total = torch.cuda.mem_get_info(device)
    return free > SPARE_MEMORY * total


class _Tensors(nn.Module):
    """A recogniser's forward pass as a function of tensors on its device alone."""

    def __init__(self, model: Recogniser, layer: str | None, precision: Precision) -> None:
        super().__init__()
        self.model, self.layer, self.precision = model, layer or model.layer_names[0], precision

    def forward(self, lengths: Tensor, *state: Tensor) -> tuple[Tensor, Tensor]:
        with autocast(state[0].device, self.precision, cached=False):
            log_probs, encoded, _ = self.model.forward_from(self.layer, state, lengths)
        return log_probs, encoded
