"""Check that a network is what CTC needs before anybody trains it: glosstune's own, or somebody else's."""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glosstune.models.freezing import freeze_until
from glosstune.models.modalities import FEATURE_WIDTH
from glosstune.models.recogniser import Recogniser

# Of a batch whose size is none of its lengths, so that axes cannot be mistaken for each other.
_LENGTHS = (48, 37, 25)
_GLOSSES = 3
_NORMALISED = 1e-3
_SAME = 1e-3


@dataclass(frozen=True)
class Check:
    """One thing that was checked, and what was seen."""

    name: str
    passed: bool
    evidence: str


class _Unusable(Exception):
    """The model does not run, or gives nothing that the other checks could look at."""


def verify_model(
    model: nn.Module, vocabulary_size: int, *, width: int = FEATURE_WIDTH, seed: int = 0
) -> tuple[Check, ...]:
    """Run a model on random features and check what it gives.

    Shape, log-probabilities (none above 0), normalisation (each frame sums to 1), no NaN or infinity; padding changes
    nothing; gradients reach every parameter that trains and no frozen one; frozen modules are in eval mode while the
    rest trains, and their running statistics stand still. A model of glosstune's is checked frozen until each of its
    layers in turn, and ends with all of them training; any other as it is frozen now.

    Args:
        model: ``model(features, lengths)``, with features (batch, time, width) and lengths (batch,), gives
            log-probabilities (time', batch, gloss) or (batch, time', gloss), alone or with their lengths (batch,).
        vocabulary_size: glosses and the blank.
        seed: of the features.
    """
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(len(_LENGTHS), max(_LENGTHS), width, generator=generator)
    for slot, length in enumerate(_LENGTHS):
        features[slot, length:] = 0
    training = model.training
    try:
        return tuple(_checks(model, features, vocabulary_size))
    finally:
        model.zero_grad(set_to_none=True)
        model.train(training)


def _checks(model: nn.Module, features: Tensor, vocabulary_size: int) -> Iterator[Check]:
    lengths = torch.tensor(_LENGTHS)
    model.eval()
    try:
        with torch.no_grad():
            log_probs, valid = _run(model, features, lengths, vocabulary_size)
    except _Unusable as error:
        yield Check("shape", False, str(error))
        return
    counts = valid.tolist()
    yield Check("shape", True, f"{tuple(log_probs.shape)}: frames, utterances, glosses; {counts} frames are real")
    rows = torch.cat([log_probs[:length, slot] for slot, length in enumerate(counts)])
    finite = torch.isfinite(rows)
    broken = int((~finite).sum())
    yield Check("finite", not broken, f"{broken} of {rows.numel()} values are NaN or infinite")
    rows = rows[finite.all(dim=1)]
    highest = float(rows.max()) if rows.numel() else float("nan")
    what = "log-probabilities cannot be above 0" if highest > _NORMALISED else "none is above 0"
    yield Check("log-probabilities", highest <= _NORMALISED, f"the highest value is {highest:.4g}; {what}")
    sums = rows.exp().sum(dim=1)
    off = float((sums - 1).abs().max()) if rows.numel() else float("nan")
    told = (
        f"the probabilities of a frame sum to {float(sums.min()):.4g} to {float(sums.max()):.4g}" if len(sums) else ""
    )
    way_out = "" if off <= _NORMALISED else "; end the model with log_softmax over the glosses"
    yield Check("normalised", off <= _NORMALISED, told + way_out)
    yield _check_padding(model, features, log_probs, counts, vocabulary_size)
    yield from _check_training(model, features, lengths, vocabulary_size)


def _run(model: nn.Module, features: Tensor, lengths: Tensor, vocabulary_size: int) -> tuple[Tensor, Tensor]:
    """Log-probabilities (time', batch, gloss) and their lengths, in whichever of the known forms they come."""
    try:
        takes = [p for p in inspect.signature(model.forward).parameters.values() if p.kind is not p.KEYWORD_ONLY]
        output = model(features, lengths) if len(takes) > 1 else model(features)
    except Exception as error:  # somebody else's code
        given = f"features {tuple(features.shape)} and lengths {tuple(lengths.shape)}"
        raise _Unusable(f"the model does not run on {given}: {type(error).__name__}: {error}") from error
    scores, valid = output if isinstance(output, tuple | list) and len(output) == 2 else (output, None)
    batch = len(features)
    if not isinstance(scores, Tensor) or scores.dim() != 3 or scores.shape[2] != vocabulary_size:
        found = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise _Unusable(f"got {found}; expected (time, {batch}, {vocabulary_size})")
    if scores.shape[1] != batch and scores.shape[0] == batch:
        scores = scores.transpose(0, 1)
    if scores.shape[1] != batch or not 1 <= len(scores) <= features.shape[1]:
        raise _Unusable(f"got {tuple(scores.shape)} for {batch} utterances of at most {features.shape[1]} frames")
    if valid is None:  # then it follows from how far time was reduced
        valid = -(-lengths * len(scores) // features.shape[1])
    if not isinstance(valid, Tensor) or valid.shape != (batch,) or not 1 <= int(valid.min()) <= len(scores):
        raise _Unusable(f"got lengths {valid}; expected {batch} from 1 to {len(scores)}")
    return scores, valid.cpu().long()


def _check_padding(
    model: nn.Module, features: Tensor, log_probs: Tensor, counts: Sequence[int], vocabulary_size: int
) -> Check:
    """An utterance scores the same alone, with zeros behind it, and with anything else behind it."""
    name, worst = "padding", 0.0
    loud = features.clone()
    for slot, length in enumerate(_LENGTHS):
        loud[slot, length:] = 100.0
    try:
        with torch.no_grad():
            others = [(loud, torch.tensor(_LENGTHS), range(len(_LENGTHS)))]
            others += [
                (features[slot : slot + 1, :length], torch.tensor([length]), range(slot, slot + 1))
                for slot, length in enumerate(_LENGTHS)
            ]
            for inputs, lengths, slots in others:
                again, valid = _run(model, inputs, lengths, vocabulary_size)
                for place, slot in enumerate(slots):
                    if int(valid[place]) != counts[slot]:
                        return Check(name, False, f"{counts[slot]} frames in a batch, {int(valid[place])} otherwise")
                    apart = (again[: counts[slot], place] - log_probs[: counts[slot], slot]).abs().max()
                    worst = max(worst, float(apart))
    except _Unusable as error:
        return Check(name, False, f"an utterance alone: {error}")
    same = worst <= _SAME
    why = "" if same else "; convolution, normalisation, attention or LSTM see what lies behind an utterance's end"
    return Check(name, same, f"an utterance alone and in a padded batch differ by at most {worst:.2g}{why}")


def _check_training(model: nn.Module, features: Tensor, lengths: Tensor, vocabulary_size: int) -> Iterator[Check]:
    depths = model.layer_names if isinstance(model, Recogniser) else ("",)
    unreached: list[str] = []
    leaking: list[str] = []
    awake: list[str] = []
    trained = frozen = 0
    for depth in reversed(depths):  # ends with all of them training
        if isinstance(model, Recogniser):
            freeze_until(model, depth)
        where = f" (frozen until {depth})" if isinstance(model, Recogniser) else ""
        model.train()
        before = {name: buffer.clone() for name, buffer in model.named_buffers()}
        model.zero_grad(set_to_none=True)
        _loss(*_run(model, features, lengths, vocabulary_size), vocabulary_size).backward()  # type: ignore[no-untyped-call]  # torch has no annotation for it
        for name, parameter in model.named_parameters():
            gradient = parameter.grad
            if not parameter.requires_grad:
                frozen += 1
                leaking += [name + where] * (gradient is not None)
            else:
                trained += 1
                dead = gradient is None or not bool(torch.isfinite(gradient).all()) or not bool(gradient.any())
                unreached += [name + where] * dead
        awake += [name + where for name in _awake(model, before)]
    yield Check("gradients", not unreached, f"reach {trained - len(unreached)} of {trained}{_listed(unreached)}")
    yield Check("frozen gradients", not leaking, f"{len(leaking)} of {frozen} frozen have one{_listed(leaking)}")
    yield Check("frozen modules", not awake, "in eval mode" if not awake else f"in training mode{_listed(awake)}")


def _loss(log_probs: Tensor, lengths: Tensor, vocabulary_size: int) -> Tensor:
    labels = torch.arange(len(lengths) * _GLOSSES).view(len(lengths), _GLOSSES) % (vocabulary_size - 1) + 1
    sizes = lengths.clamp(max=_GLOSSES)
    return F.ctc_loss(log_probs.float(), labels, lengths, sizes, zero_infinity=True)


def _awake(model: nn.Module, before: dict[str, Tensor]) -> Iterator[str]:
    """Frozen modules that are in training mode, or whose running statistics moved."""
    for name, module in model.named_modules():
        parameters = list(module.parameters())
        if not parameters or any(parameter.requires_grad for parameter in parameters):
            continue
        own = [f"{name}.{inner}" if name else inner for inner, _ in module.named_buffers(recurse=False)]
        buffers = dict(model.named_buffers())
        if module.training or any(not torch.equal(before[each], buffers[each]) for each in own):
            yield name or "the whole model"


def _listed(names: Sequence[str], most: int = 3) -> str:
    if not names:
        return ""
    return f": {', '.join(names[:most])}" + (f" and {len(names) - most} more" if len(names) > most else "")
