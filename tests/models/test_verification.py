"""Sound models pass, and each broken one fails the check that is about its fault."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from glosstune.models import MobileNetV3Student, build_model, freeze_until, verify_model

WIDTH, GLOSSES = 12, 5


class Plain(nn.Module):
    """A recogniser as somebody else might write it: (batch, time, gloss) out, and no lengths."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = nn.Linear(WIDTH, 8)
        self.norm = nn.BatchNorm1d(8)
        self.out = nn.Linear(8, GLOSSES)

    def scores(self, features: Tensor) -> Tensor:
        x = self.norm(self.inside(features).transpose(1, 2)).transpose(1, 2)
        scores: Tensor = self.out(x)
        return scores

    def forward(self, features: Tensor) -> Tensor:
        return self.scores(features).log_softmax(-1)


class NoLogSoftmax(Plain):
    def forward(self, features: Tensor) -> Tensor:
        return self.scores(features)


class Probabilities(Plain):
    def forward(self, features: Tensor) -> Tensor:
        return self.scores(features).softmax(-1)


class OverTime(Plain):
    """Normalised over time instead of over glosses."""

    def forward(self, features: Tensor) -> Tensor:
        return self.scores(features).log_softmax(1)


class SeesPadding(Plain):
    def forward(self, features: Tensor) -> Tensor:
        return self.scores(features - features.mean(1, keepdim=True)).log_softmax(-1)


class NotANumber(Plain):
    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features).index_fill(1, torch.tensor([3]), torch.nan)


class Unused(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.forgotten = nn.Linear(3, 3)


class Detached(Plain):
    def forward(self, features: Tensor) -> Tensor:
        x = self.norm(self.inside(features).transpose(1, 2)).transpose(1, 2).detach()
        scores: Tensor = self.out(x)
        return scores.log_softmax(-1)


class Cut(Plain):
    """Nothing of what it gives can be learned from."""

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features).detach()


class OtherInTraining(Plain):
    def forward(self, features: Tensor) -> Tensor:
        out = super().forward(features)
        return out[..., :2] if self.training else out


class Half(Plain):
    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features).bfloat16()


class Masked(Plain):
    """Its second argument is no length."""

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:  # type: ignore[override]  # as others do
        assert mask is None
        return super().forward(features)


class FrozenButAwake(Plain):
    """Its frozen normalisation keeps following the batches."""

    def __init__(self) -> None:
        super().__init__()
        for parameter in self.norm.parameters():
            parameter.requires_grad_(False)


class OtherGlosses(Plain):
    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features)[..., :3]


class Crashes(Plain):
    def forward(self, features: Tensor) -> Tensor:
        raise RuntimeError("expected 1629 features")


class WrongLengths(Plain):
    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]  # as others do
        return self.scores(features).log_softmax(-1), lengths * 2


def _failed(model: nn.Module) -> list[str]:
    return [check.name for check in verify_model(model, GLOSSES, width=WIDTH) if not check.passed]


def test_a_sound_foreign_model_passes() -> None:
    checks = verify_model(Plain(), GLOSSES, width=WIDTH)
    assert all(check.passed for check in checks), checks
    assert len(checks) == 8


@pytest.mark.parametrize(
    ("kind", "failed"),
    [
        (NoLogSoftmax, ["log-probabilities", "normalised"]),
        (Probabilities, ["log-probabilities", "normalised"]),
        (OverTime, ["normalised", "padding"]),
        (SeesPadding, ["padding"]),
        (NotANumber, ["finite", "gradients"]),
        (Unused, ["gradients"]),
        (Detached, ["gradients"]),
        (Cut, ["gradients"]),
        (OtherInTraining, ["gradients"]),
        (Half, []),
        (Masked, []),
        (FrozenButAwake, ["frozen modules"]),
        (OtherGlosses, ["shape"]),
        (Crashes, ["shape"]),
        (WrongLengths, ["shape"]),
    ],
)
def test_a_fault_fails_the_checks_that_are_about_it(kind: Callable[[], nn.Module], failed: list[str]) -> None:
    assert _failed(kind()) == failed


def test_what_is_missing_is_said() -> None:
    told = {check.name: check.evidence for check in verify_model(NoLogSoftmax(), GLOSSES, width=WIDTH)}
    assert "end the model with log_softmax over the glosses" in told["normalised"]
    told = {check.name: check.evidence for check in verify_model(Unused(), GLOSSES, width=WIDTH)}
    assert "forgotten.weight" in told["gradients"]
    told = {check.name: check.evidence for check in verify_model(Crashes(), GLOSSES, width=WIDTH)}
    assert "RuntimeError: expected 1629 features" in told["shape"]


def test_the_state_of_a_model_is_left_as_it_was() -> None:
    model = Plain().eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    verify_model(model, GLOSSES, width=WIDTH)
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("kind", ["teacher", "student"])
@pytest.mark.parametrize("norm", ["group", "batch"])
@pytest.mark.parametrize("stride", [1, 4, 16])
def test_both_models_pass_frozen_until_each_of_their_layers(kind: str, norm: str, stride: int) -> None:
    model = build_model(kind, 20, width=0.25, norm=norm, time_stride=stride)
    checks = verify_model(model, 20)
    assert all(check.passed for check in checks), checks


def test_a_frozen_layer_that_keeps_training_is_found() -> None:
    class Awake(MobileNetV3Student):
        def train(self, mode: bool = True) -> nn.Module:
            return nn.Module.train(self, mode)

    model = Awake(5, width=0.25, norm="batch")
    freeze_until(model, "lstm")
    failed = {check.name: check.evidence for check in verify_model(model, 5) if not check.passed}
    assert list(failed) == ["frozen modules"]
    assert "(frozen until" in failed["frozen modules"]
