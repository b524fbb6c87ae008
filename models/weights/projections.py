"""Tell which projections of a file read what the model's own read, where the two are of different layouts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from glosstune.models.layers.modalities import ModalityProjections, listed_modalities
from glosstune.models.recogniser import Recogniser
from glosstune.models.weights.namings import Found
from glosstune.models.weights.weights_record import plain

OTHER_LAYOUT = "of another layout"

Blocks = Sequence[Mapping[str, object]]

# Modalities of points come first in every layout, in this order.
_POINTS = ("pose", "hands", "face")


@dataclass(frozen=True)
class LayoutDifference:
    """How the layout of a file's weights differs from the model's.

    Attributes:
        told: in a line; empty where nothing shows that it differs.
        places: beginnings of the names, by ours, of tensors that are not taken.
    """

    told: str = ""
    places: tuple[str, ...] = ()


def layout_difference(
    model: Recogniser, found: Mapping[str, Found], recorded: object, layout: Blocks | None
) -> LayoutDifference:
    """Compare a file with a model by the shapes of their projections and, where both are known, by their blocks.

    A projection is taken where its modality has the same name, as many inputs, the same channels and, where they are
    known, the same blocks: as many values need not mean the same. Temporal is made of all the others, so it is taken
    of the same layout alone, and so is the first layer of a model of one's own that has no ModalityProjections.

    Args:
        found: the file's tensors by our names.
        recorded: the blocks that the file records, each a mapping whose ``part`` names its modality.
        layout: the blocks of the model.
    """
    theirs, ours = _parts(recorded), _parts(layout)
    known = bool(theirs and ours)
    differ = known and plain(recorded) != plain(layout)
    place, module = next(
        ((name, each) for name, each in model.named_modules() if isinstance(each, ModalityProjections)), ("", None)
    )
    if module is None:
        first = model.layer_names[0]
        told = f"another layout: the file records other blocks than the model reads; nothing of {first} is taken"
        return LayoutDifference(told, (f"{first}.",)) if differ else LayoutDifference()
    there, here = _shapes(found, place), {name: _shape(each) for name, each in module.items()}
    if not there or not (differ if known else _is_other(there, here)):
        return LayoutDifference()
    taken = [
        name
        for name in here
        if name != "temporal"
        and there.get(name) == here[name]
        and _first(name, there, list(here)) == _first(name, here, list(here))
        and not (known and theirs.get(name) != ours.get(name))
    ]
    left = [name for name in {**there, **here} if name not in taken]
    changed = [name for name in {**ours, **theirs} if theirs.get(name) != ours.get(name)]
    told = f"another layout: {_told(there, here, changed)}; projections taken: {', '.join(taken) or 'none'}"
    return LayoutDifference(told, tuple(f"{place}.{name}." for name in left))


def _parts(layout: object) -> dict[str, list[object]]:
    """The blocks of each modality in order; none where the layout does not say them."""
    parts: dict[str, list[object]] = {}
    for block in layout if isinstance(layout, list | tuple) else ():
        part = block.get("part") if isinstance(block, Mapping) else None
        if not isinstance(part, str):
            return {}
        parts.setdefault(part, []).append(plain(block))
    return parts


def _shapes(found: Mapping[str, Found], place: str) -> dict[str, tuple[int, int]]:
    """Inputs and outputs of each projection of a file, in the order of layouts as far as that is known."""
    shapes = {}
    for name, each in found.items():
        modality, _, entry = name.removeprefix(f"{place}.").rpartition(".")
        if name.startswith(f"{place}.") and entry == "weight" and each.tensor.dim() == 2:
            outputs, inputs = each.tensor.shape
            shapes[modality] = inputs, outputs
    return {name: shapes[name] for name in sorted(shapes, key=_rank)}


def _shape(projection: nn.Module) -> tuple[int, int]:
    assert isinstance(projection, nn.Linear)
    return projection.in_features, projection.out_features


def _is_other(there: Mapping[str, tuple[int, int]], here: Mapping[str, tuple[int, int]]) -> bool:
    """Whether shapes show that layouts differ: a file that lacks channels may merely have lost a projection."""
    channels = {sum(outputs for _, outputs in shapes.values()) for shapes in (there, here)}
    return len(channels) == 1 and _inputs(there) != _inputs(here)


def _inputs(shapes: Mapping[str, tuple[int, int]]) -> dict[str, int]:
    return {name: inputs for name, (inputs, _) in shapes.items()}


def _first(name: str, shapes: Mapping[str, tuple[int, int]], order: Sequence[str]) -> int | None:
    """The first channel of a modality of the model; None where it cannot be told, as files need not keep the order.

    Args:
        order: the model's modalities; of others, those of points come first, and no more is known.
    """
    others = [other for other in shapes if other != name]
    if any(other not in order and _rank(other) == _rank(name) for other in others):
        return None
    earlier = order[: order.index(name)]
    before = [other for other in others if (other in earlier if other in order else _rank(other) < _rank(name))]
    return sum(shapes[other][1] for other in before)


def _rank(name: str) -> int:
    return _POINTS.index(name) if name in _POINTS else len(_POINTS)


def _told(there: Mapping[str, tuple[int, int]], here: Mapping[str, tuple[int, int]], changed: Sequence[str]) -> str:
    if _inputs(there) != _inputs(here):
        return f"{listed_modalities(_inputs(there))} in the file, {listed_modalities(_inputs(here))} here"
    if not changed:
        return "the same blocks in another order"
    return f"as many values, but other blocks of {', '.join(changed)}"
