"""Load pretrained weights into a model: our own, the user's, or an I3D's, its kernels brought from 3-D to 1-D."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from glosstune.models.kinds import KINDS
from glosstune.models.layers.normalisation import MaskedBatchNorm
from glosstune.models.layers.temporal import ConvNorm
from glosstune.models.recogniser import Recogniser
from glosstune.models.weights.kernels import ADAPTATIONS
from glosstune.models.weights.load_plan import LoadPlan, units
from glosstune.models.weights.load_report import LoadEntry, LoadReport
from glosstune.models.weights.namings import OUR_NAMES, Translation, kind_of, layers_of_none_but, translate, unwrapped
from glosstune.models.weights.projections import OTHER_LAYOUT, Blocks, layout_difference
from glosstune.models.weights.weights_file import WeightsFile, read_weights
from glosstune.spaces.errors import CheckpointError, SettingError, likeliest, shown


def load_pretrained(
    model: nn.Module,
    path: Path | str,
    adapt: str = "sum",
    *,
    vocabulary: Sequence[str] | None = None,
    layout: Blocks | None = None,
    file: WeightsFile | None = None,
) -> LoadReport:
    """Load what fits of a file into a model, in place.

    A convolution, its bias and its normalisation are taken together or not at all, and so are the tensors of any
    other module. Of a file of another layout only those projections are taken that read the same values, and all that
    lies behind them. Nothing of the model is changed when an error is raised.

    Args:
        path: a file that ``read_weights`` reads, with our own names or those of an I3D (see ``namings``).
        adapt: how 3-D kernels lose their spatial axes: sum, mean, max or centre.
        vocabulary: glosses of the model's classes, without the blank. Where the file records others, its classifier
            is skipped.
        layout: the blocks that the model's features are made of, as a file of weights records them (see WeightsFile).

    Raises:
        SettingError: ``adapt`` is unknown.
        CheckpointError: the file cannot be read, matches nothing, is of the other network or of another width, or
            has no running statistics for a model with batch normalisation.
    """
    if not isinstance(model, Recogniser):
        raise TypeError(f"{type(model).__name__} is no glosstune.models.Recogniser: its layers have no names")
    if adapt not in ADAPTATIONS:
        rule = f"must be one of {', '.join(ADAPTATIONS)}; got {shown(adapt)}{likeliest(adapt, ADAPTATIONS)}"
        raise SettingError(rule, key="pretraining.adapt")
    path = Path(path)
    file, state = file or read_weights(path), model.state_dict()
    tensors, removed = unwrapped(file.tensors, state)
    file = replace(file, tensors=tensors)
    translation = _recognised(path, file, model)
    plan = LoadPlan(state, translation.found, adapt)
    modules = list(units(model))
    classifier = f"{model.layer_names[-1]}."
    difference = layout_difference(model, plan.found, file.recorded.get("layout"), layout)
    other_classes = _other_classes(plan, f"{classifier}weight", file, vocabulary)
    for names, unit in modules:
        if other_classes and names[0].startswith(classifier):
            plan.skip(names, other_classes)
        elif names[0].startswith(difference.places):
            plan.skip(names, OTHER_LAYOUT)
        elif isinstance(unit, ConvNorm):
            plan.take_convolution(names)
        else:
            plan.take(names)
    plan.skip_rest(OTHER_LAYOUT, difference.places)
    convolutions = [(names, unit) for names, unit in modules if isinstance(unit, ConvNorm)]
    _check_fit(path, file, translation, plan, [names[0] for names, _ in convolutions], model.width)
    for names, unit in convolutions:
        if isinstance(unit[1], MaskedBatchNorm):
            _check_statistics(path, plan, names)
    with torch.no_grad():
        for name, value in plan.values.items():
            state[name].copy_(value)
    return _report(path, model, file, translation, plan, removed, difference.told)


def _recognised(path: Path, file: WeightsFile, model: Recogniser) -> Translation:
    theirs, state = kind_of(file.tensors), model.state_dict()
    # A network of one's own may have some of our layers, and then takes our weights for them.
    if theirs and not layers_of_none_but(theirs) & set(model.layer_names):
        own = (kind for kind, known in KINDS.items() if known.architecture == model.architecture)
        ours = next(own, type(model).__qualname__)
        raise CheckpointError(
            f"{path}: holds weights for a {theirs}, and the model is a {ours}: set model.kind={theirs}, or choose "
            f"weights for a {ours}"
        )
    # A safetensors file is in an order of its own, not in that of the layers.
    translation = translate(file.tensors, state, ordered=path.suffix != ".safetensors")
    if translation is None:
        raise CheckpointError(
            f"{path}: none of its {len(file.tensors)} names is known: they are like {_few(file.tensors)}, ours like "
            f"{_few(state)}, and those of I3D are known as piergiaj, hassony2 and DeepMind (TensorFlow) spell them; "
            "rename the tensors and save them again"
        )
    return translation


def _few(tensors: Mapping[str, Tensor], n: int = 3) -> str:
    names = list(tensors)
    return ", ".join(map(repr, names[:: max(1, len(names) // n)][:n]))


def _other_classes(plan: LoadPlan, weight: str, file: WeightsFile, vocabulary: Sequence[str] | None) -> str:
    """Why the file's classifier, of that weight, means other glosses; empty where nothing says so."""
    if weight not in plan.found or weight not in plan.state:
        return ""
    theirs, ours = plan.found[weight].tensor, plan.state[weight]
    if theirs.dim() != 2 or len(theirs) != len(ours):
        return f"{len(theirs) if theirs.dim() else 0} classes in the file, {len(ours)} here"
    recorded = file.recorded.get("vocabulary")
    if vocabulary is not None and isinstance(recorded, list) and recorded != list(vocabulary):
        return "as many glosses in the file as here, but others"
    return ""


def _check_fit(
    path: Path, file: WeightsFile, translation: Translation, plan: LoadPlan, kernels: Sequence[str], width: float
) -> None:
    """Refuse a file of another width, or of which nothing fits."""
    section = file.recorded.get("model")
    recorded = section.get("width") if isinstance(section, Mapping) else None
    theirs = recorded if translation.source == OUR_NAMES else 1
    known = [name for name in kernels if name in plan.found]
    odd = [name for name in known if name not in plan.values]
    # Rounding to multiples of 8 lets some shapes agree between two widths.
    if odd and theirs != width and (theirs is not None or 2 * len(odd) > len(known)):
        found, ours = plan.found[odd[-1]], tuple(plan.state[odd[-1]].shape)
        widths = "" if theirs is None else f" (model.width is {theirs} there and {width:g} here)"
        raise CheckpointError(
            f"{path}: {len(odd)} of its {len(known)} convolutions have other shapes than the model's: {found.name} "
            f"is {tuple(found.tensor.shape)} in the file, and {ours} here{widths}; set model.width to that of the file"
        )
    if not plan.values:
        reasons = "; ".join(sorted(set(plan.skipped.values())))
        raise CheckpointError(f"{path}: nothing in it fits the model: {reasons}; choose other weights")


def _check_statistics(path: Path, plan: LoadPlan, names: Sequence[str]) -> None:
    """Refuse a convolution that arrives without the statistics that its batch normalisation needs."""
    for name in names if names[0] in plan.values else ():
        if name.endswith(("running_mean", "running_var")) and name not in plan.values:
            raise CheckpointError(
                f"{path}: {name}: not in the file, and batch normalisation is nothing without its running statistics; "
                "set model.norm=group, or choose weights that were trained with batch normalisation"
            )


def _report(
    path: Path,
    model: Recogniser,
    file: WeightsFile,
    translation: Translation,
    plan: LoadPlan,
    removed: str,
    layout: str,
) -> LoadReport:
    reasons = plan.skipped | translation.unmatched
    skipped = [LoadEntry(name, "skipped", reasons[name]) for name in file.tensors if name in reasons]
    return LoadReport(
        path=path,
        source=translation.source + f", without {removed} in names" * bool(removed),
        entries=(*(plan.ours[name] for name in plan.state), *skipped),
        recorded=file.recorded,
        fresh=frozenset(name for name, _ in model.named_parameters() if plan.ours[name].status == "missing"),
        layout=layout,
    )
