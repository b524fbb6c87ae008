"""Weights are cast once a forward pass, of the layers that run, and are what autocast would have cast."""

import pytest
import torch
from torch import nn

from glosstune.models import build_model
from glosstune.models.layers.casting import cast_once

CPU = torch.device("cpu")


@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_result_and_gradients_are_those_of_autocast(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    features, lengths, found = torch.randn(2, 20, 6516), torch.tensor([20, 13]), []
    for once in (True, False):
        if not once:
            monkeypatch.setattr("glosstune.models.layers.casting._cast_by", lambda module: [])
        model = build_model(kind, 12, width=0.125, dropout=0.0, seed=0).train()
        model.get_submodule("classifier").requires_grad_(False)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            log_probs, _ = model(features, lengths)
        log_probs[:, :, 1].sum().backward()
        found.append([log_probs.detach(), *(parameter.grad for parameter in model.parameters())])
    for ours, theirs in zip(*found, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            assert torch.equal(ours, theirs)


def test_layers_that_another_thread_may_run_keep_their_weights() -> None:
    model = build_model("teacher", 12, width=0.125)
    with torch.autocast("cpu", dtype=torch.bfloat16), cast_once([model.get_submodule("mixed_5b")], CPU):
        running = {name for name, module in model.named_modules() if "weight" in vars(module)}
        assert running and all(name.startswith("mixed_5b.") for name in running)
    assert not any("weight" in vars(module) for module in model.modules())


def test_a_layer_may_leave_out_what_others_have() -> None:
    layers = nn.ModuleList([nn.Linear(4, 4, bias=False), nn.MultiheadAttention(4, 2, bias=False, kdim=2, vdim=2)])
    with torch.autocast("cpu", dtype=torch.bfloat16), cast_once(layers, CPU):
        assert layers[0](torch.ones(1, 4)).dtype == torch.bfloat16
        assert layers[0].weight.dtype == torch.bfloat16
    assert layers[0].weight.dtype == torch.float32
