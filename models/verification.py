"""Check that a network is what CTC needs before anybody trains it: glosstune's own, or somebody else's."""

import copy
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glosstune.models.freezing import freeze_until
from glosstune.models.layers.modalities import FEATURE_WIDTH
from glosstune.models.layers.normalisation import MaskedBatchNorm
from glosstune.models.layers.temporal import ConvNorm
from glosstune.models.recogniser import Recogniser
from glosstune.spaces.errors import told

# Of a batch whose size is no length at any stride, so that axes cannot be mistaken for each other.
_LENGTHS = (48, 37, 25, 44, 31)
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
    model: nn.Module, vocabulary_size: int, *, width: int | None = None, seed: int = 0
) -> tuple[Check, ...]:
    """Run a model on random features and check what it gives.

    Shape, log-probabilities (none above 0), normalisation (each frame sums to 1), no NaN or infinity; padding changes
    nothing; gradients reach every parameter that trains and no frozen one; frozen modules do the same in training as
    in evaluation. A model of glosstune's is checked frozen until each of its layers in turn, any other as it is
    frozen. All of it happens to a copy, on the model's device.

    Args:
        model: ``model(features, lengths)``, with features (batch, time, width) and lengths (batch,), gives
            log-probabilities (time', batch, gloss) or (batch, time', gloss), alone or with their lengths (batch,). A
            model without a second argument, or with one that may be left out and is not called after lengths, gets the
            features alone.
        vocabulary_size: glosses and the blank.
        width: features a frame; default what a model of glosstune's reads, and for any other the default layout's.
        seed: of the features.
    """
    if width is None:
        width = model.feature_width if isinstance(model, Recogniser) else FEATURE_WIDTH
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(len(_LENGTHS), max(_LENGTHS), width, generator=generator)
    for slot, length in enumerate(_LENGTHS):
        features[slot, length:] = 0
    return tuple(_checks(copy.deepcopy(model), features, vocabulary_size))


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
    coarse = 8 * torch.finfo(log_probs.dtype).eps  # half precision sums to 1 less exactly
    log_probs = log_probs.float()
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
    normalised = off <= max(_NORMALISED, coarse)
    way_out = "" if normalised else "; end the model with log_softmax over the glosses"
    yield Check("normalised", normalised, told + way_out)
    yield _check_padding(model, features, log_probs, counts, vocabulary_size, max(_SAME, coarse))
    yield from _check_training(model, features, lengths, vocabulary_size)


def _run(model: nn.Module, features: Tensor, lengths: Tensor, vocabulary_size: int) -> tuple[Tensor, Tensor]:
    """Log-probabilities (time', batch, gloss) and their lengths, in whichever of the known forms they come."""
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    try:
        output = model(features.to(device), lengths) if _takes_lengths(model) else model(features.to(device))
    except (Exception, SystemExit) as error:  # somebody else's code
        given = f"features {tuple(features.shape)} and lengths {tuple(lengths.shape)}"
        raise _Unusable(f"the model does not run on {given}: {told(error)}") from error
    scores, valid = output if isinstance(output, tuple | list) and len(output) == 2 else (output, None)
    batch = len(features)
    if not isinstance(scores, Tensor) or scores.dim() != 3 or scores.shape[2] != vocabulary_size:
        found = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise _Unusable(f"got {found}; expected (time, {batch}, {vocabulary_size})")
    if scores.shape[1] != batch and scores.shape[0] == batch and not isinstance(model, Recogniser):
        scores = scores.transpose(0, 1)
    if scores.shape[1] != batch or not 1 <= len(scores) <= features.shape[1]:
        raise _Unusable(f"got {tuple(scores.shape)} for {batch} utterances of at most {features.shape[1]} frames")
    if valid is None:  # then it follows from how far time was reduced
        valid = -(-lengths * len(scores) // features.shape[1])
    if not isinstance(valid, Tensor) or valid.shape != (batch,) or not 1 <= int(valid.min()) <= len(scores):
        raise _Unusable(f"got lengths {valid}; expected {batch} from 1 to {len(scores)}")
    return scores.cpu(), valid.cpu().long()


def _takes_lengths(model: nn.Module) -> bool:
    parameters = list(inspect.signature(model.forward).parameters.values())
    second = next((p for p in parameters[1:] if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)), None)
    return second is not None and (second.default is second.empty or "len" in second.name)


def _check_padding(
    model: nn.Module, features: Tensor, log_probs: Tensor, counts: Sequence[int], vocabulary_size: int, most: float
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
    same = worst <= most
    why = "" if same else "; convolution, normalisation, attention or LSTM see what lies behind an utterance's end"
    return Check(name, same, f"an utterance alone and in a padded batch differ by at most {worst:.2g}{why}")


def _is_centred(module: nn.Module) -> bool:
    """Whether batch normalisation takes the bias of a convolution out again, which therefore learns nothing."""
    return isinstance(module, ConvNorm) and isinstance(module[1], MaskedBatchNorm)


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
        try:
            _loss(*_run(model, features, lengths, vocabulary_size), vocabulary_size).backward()  # type: ignore[no-untyped-call]  # torch has no annotation for it
        except (_Unusable, RuntimeError) as error:  # detached from all parameters, or of another form in training
            yield Check("gradients", False, f"no loss can be learned from{where}: {error}")
            return
        centred = {f"{name}.0.bias" for name, module in model.named_modules() if _is_centred(module)}
        for name, parameter in model.named_parameters():
            gradient = parameter.grad
            if not parameter.requires_grad:
                frozen += 1
                leaking += [name + where] * (gradient is not None)
            else:
                trained += 1
                dead = (
                    gradient is None
                    or not bool(torch.isfinite(gradient).all())
                    or not (name in centred or bool(gradient.any()))
                )
                unreached += [name + where] * dead
        awake += [name + where for name in _awake(model, before)]
    yield Check("gradients", not unreached, f"reach {trained - len(unreached)} of {trained}{_listed(unreached)}")
    yield Check("frozen gradients", not leaking, f"{len(leaking)} of {frozen} frozen have one{_listed(leaking)}")
    told = "act as in evaluation" if not awake else f"drop values or follow statistics{_listed(awake)}"
    yield Check("frozen modules", not awake, told)


def _loss(log_probs: Tensor, lengths: Tensor, vocabulary_size: int) -> Tensor:
    count = min(_GLOSSES, vocabulary_size - 1)  # different ones, so that the fewest frames suffice
    sizes = lengths.clamp(max=count)
    labels = torch.arange(1, count + 1).expand(len(lengths), count)
    return F.ctc_loss(log_probs.float(), labels, lengths, sizes, zero_infinity=True)


def _awake(model: nn.Module, before: dict[str, Tensor]) -> Iterator[str]:
    """Frozen modules that act otherwise in training: they drop values, or follow the batches' statistics."""
    buffers = dict(model.named_buffers())
    for name, module in model.named_modules():
        parameters = list(module.parameters())
        if not parameters or any(parameter.requires_grad for parameter in parameters):
            continue
        own = [f"{name}.{inner}" if name else inner for inner, _ in module.named_buffers(recurse=False)]
        drops = getattr(module, "dropout", 0.0)
        acts = isinstance(module, nn.modules.batchnorm._BatchNorm) or (isinstance(drops, float) and drops > 0)
        moved = any(not torch.equal(before[each], buffers[each]) for each in own)
        if (module.training and acts) or moved:
            yield name or "the whole model"


def _listed(names: Sequence[str], most: int = 3) -> str:
    if not names:
        return ""
    return f": {', '.join(names[:most])}" + (f" and {len(names) - most} more" if len(names) > most else "")
