"""Translate the names that other implementations give to I3D's weights into the teacher's.

Sources: piergiaj/pytorch-i3d (also WLASL, BSL-1K), hassony2/kinetics_i3d_pytorch, deepmind/kinetics-i3d.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from glosstune.models.kinds import KINDS

BLOCKS = ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c")
BRANCHES = ("branch1", "branch2_reduce", "branch2", "branch3_reduce", "branch3", "branch4.1")

OUR_NAMES = "glosstune's own names"
FUSION = "modality_fusion."
BY_ORDER = "by shape and order"
COMPILED = "_orig_mod."

# How we name what a modality is projected by, whichever a layout has.
PROJECTION = re.compile(rf"{re.escape(FUSION)}projections\.[a-z][a-z0-9_]*\.(weight|bias)")


@dataclass(frozen=True)
class Found:
    """A tensor of the file, in torch's order of axes; ``note`` where it was found by other means than its name."""

    name: str
    tensor: Tensor
    note: str = ""


@dataclass(frozen=True)
class Translation:
    """A file's tensors by our names, and why each remaining one has none."""

    source: str
    found: dict[str, Found]
    unmatched: dict[str, str]


@dataclass(frozen=True)
class Naming:
    """How one implementation of I3D names its tensors."""

    source: str
    names: Mapping[str, str]  # theirs to ours
    clean: Callable[[str], str] = str  # removes what stands around a name
    arrange: Callable[[Tensor], Tensor] = Tensor.detach  # brings axes into torch's order


def translate(tensors: Mapping[str, Tensor], ours: Mapping[str, Tensor], *, ordered: bool) -> Translation | None:
    """Recognise the naming of a file by its names; None where not one is known.

    Args:
        tensors: the file's.
        ours: the model's state dict.
        ordered: whether the file keeps the order in which the layers were made.
    """
    own = sum(name in ours for name in tensors)
    best = max(NAMINGS, key=lambda naming: _hits(tensors, naming))
    if own and own >= _hits(tensors, best):
        return _our_own(tensors, ours, ordered)
    return _of_i3d(tensors, best) if _hits(tensors, best) else None


def unwrapped(tensors: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """The tensors by the names that they had before others were put around them, and what was removed, in words.

    DataParallel, averaged models, Lightning and frameworks put a prefix before every name of the network, though not
    before those of a loss or a counter beside it; torch.compile marks each module that it compiled. The prefix is the
    one behind which most names are known.
    """
    names = {name: name.replace(COMPILED, "") for name in tensors}
    layers = {layer for architecture, _ in KINDS.values() for layer in architecture.layers}
    known: Counter[str] = Counter()
    for name in names.values():
        for place in (0, *(match.end() for match in re.finditer(r"\.", name))):
            if _is_known(name[place:], ours):
                known[name[:place]] += len(names)  # beside which the name of a layer alone says little
            elif name[place:].partition(".")[0] in layers:
                known[name[:place]] += 1
    prefix = max(known, key=lambda each: (known[each], -len(each)), default="")
    removed = [repr(COMPILED)] * any(COMPILED in name for name in names) + [repr(prefix)] * bool(prefix)
    bare = {name: plain.removeprefix(prefix) for name, plain in names.items()}
    if len(set(bare.values())) < len(bare):  # then they are not what they seem
        return dict(tensors), ""
    return {bare[name]: tensor for name, tensor in tensors.items()}, " and ".join(removed)


def _is_known(name: str, ours: Mapping[str, Tensor]) -> bool:
    return name in ours or any(naming.clean(name) in naming.names for naming in NAMINGS)


def kind_of(names: Mapping[str, Tensor]) -> str:
    """The one of our kinds whose own top-level names these are, else empty; I3D's are a teacher's."""
    layers = {name.partition(".")[0] for name in names}
    found = {kind for kind in KINDS if layers & layers_of_none_but(kind)}
    found |= {"teacher"} if any(_hits(names, naming) for naming in NAMINGS) else set()
    return found.pop() if len(found) == 1 else ""


def layers_of_none_but(kind: str) -> set[str]:
    """The layers by which one of our kinds is known."""
    others = (architecture.layers for other, (architecture, _) in KINDS.items() if other != kind)
    return set(KINDS[kind].architecture.layers).difference(*others)


def _hits(tensors: Mapping[str, Tensor], naming: Naming) -> int:
    return sum(naming.clean(name) in naming.names for name in tensors)


def _our_own(tensors: Mapping[str, Tensor], ours: Mapping[str, Tensor], ordered: bool) -> Translation:
    """Their names are ours, only those within the fusion are free: the user's are unknown."""
    theirs = [name for name in tensors if name.startswith(FUSION)]
    wanted = [name for name in ours if name.startswith(FUSION)]
    found = {name: Found(name, tensor) for name, tensor in tensors.items() if name not in theirs or name in ours}
    strange = [name for name in theirs if name not in ours]
    # Those of another layout are ours as well, and say nothing that shape and order could.
    layout = {name: Found(name, tensors[name]) for name in strange if PROJECTION.fullmatch(name)}
    if len(layout) == len(strange) or set(wanted) <= set(theirs):
        rest = [name for name in strange if name not in layout]
        return Translation(OUR_NAMES, found | layout, dict.fromkeys(rest, "the model has no such tensor"))
    if ordered and [tensors[name].shape for name in theirs] == [ours[name].shape for name in wanted]:
        matched = zip(wanted, theirs, strict=True)
        return Translation(OUR_NAMES, found | {own: Found(name, tensors[name], BY_ORDER) for own, name in matched}, {})
    rule = "other names than the model's, and not its shapes in its order"
    return Translation(OUR_NAMES, found, dict.fromkeys(strange, rule))


def _of_i3d(tensors: Mapping[str, Tensor], naming: Naming) -> Translation:
    found: dict[str, Found] = {}
    unmatched = {}
    # A file of both streams has every layer twice; the one that saw colours is taken.
    for name in sorted(tensors, key=lambda name: "RGB/" not in name):
        own = naming.names.get(naming.clean(name))
        if own is None:
            unmatched[name] = _no_counterpart(name)
        elif own in found:
            unmatched[name] = "the file has this layer twice"
        else:
            found[own] = Found(name, naming.arrange(tensors[name]))
    return Translation(naming.source, found, {name: unmatched[name] for name in tensors if name in unmatched})


def _no_counterpart(name: str) -> str:
    lower = name.lower()
    if "logits" in lower or "conv3d_0c_1x1" in lower:
        return "classes of videos, not glosses"
    if "conv3d_2b_1x1" in lower or "conv3d_2c_3x3" in lower:
        return "the teacher has no such convolution"
    return "the model has no such tensor"


def _names(stem: str, blocks: str, branches: tuple[str, ...], entries: Mapping[str, str]) -> dict[str, str]:
    places = {stem: "stem"}
    for block in BLOCKS:
        for theirs, ours in zip(branches, BRANCHES, strict=True):
            places[blocks.format(block, theirs)] = f"mixed_{block}.{ours}"
    return {f"{place}{entry}": f"{ours}.{own}" for place, ours in places.items() for entry, own in entries.items()}


def _torch_entries(norm: str) -> dict[str, str]:
    statistics = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    convolution = {f".conv3d.{entry}": f"0.{entry}" for entry in ("weight", "bias")}
    return convolution | {f".{norm}.{entry}": f"1.{entry}" for entry in statistics}


def _tf_names() -> dict[str, str]:
    branches = (
        "Branch_0/Conv3d_0a_1x1",
        "Branch_1/Conv3d_0a_1x1",
        "Branch_1/Conv3d_0b_3x3",
        "Branch_2/Conv3d_0a_1x1",
        "Branch_2/Conv3d_0b_3x3",
        "Branch_3/Conv3d_0b_1x1",
    )
    entries = {
        "/conv_3d/w": "0.weight",
        "/conv_3d/b": "0.bias",
        "/batch_norm/gamma": "1.weight",
        "/batch_norm/beta": "1.bias",
        "/batch_norm/moving_mean": "1.running_mean",
        "/batch_norm/moving_variance": "1.running_var",
    }
    names = _names("Conv3d_1a_7x7", "Mixed_{}/{}", branches, entries)
    right, wrong = "Mixed_5b/Branch_2/Conv3d_0b_3x3", "Mixed_5b/Branch_2/Conv3d_0a_3x3"
    # The original misnames this one, and every checkpoint of it does.
    return names | {wrong + name.removeprefix(right): own for name, own in names.items() if name.startswith(right)}


def _clean_tf(name: str) -> str:
    return name.rpartition("inception_i3d/")[2].removesuffix(":0")


def _arrange_tf(tensor: Tensor) -> Tensor:
    """Kernels (time, height, width, input, output) in torch's order; all else, (1, 1, 1, 1, channel), as vectors."""
    kernel = tensor.dim() == 5 and tensor.shape[:4] != (1, 1, 1, 1)
    return tensor.permute(4, 3, 0, 1, 2).contiguous() if kernel else tensor.flatten()


NAMINGS = (
    Naming(
        "I3D as piergiaj/pytorch-i3d names it (also WLASL and BSL-1K)",
        _names("Conv3d_1a_7x7", "Mixed_{}.{}", ("b0", "b1a", "b1b", "b2a", "b2b", "b3b"), _torch_entries("bn")),
    ),
    Naming(
        "I3D as hassony2/kinetics_i3d_pytorch names it",
        _names(
            "conv3d_1a_7x7",
            "mixed_{}.{}",
            ("branch_0", "branch_1.0", "branch_1.1", "branch_2.0", "branch_2.1", "branch_3.1"),
            _torch_entries("batch3d"),
        ),
    ),
    Naming("I3D as deepmind/kinetics-i3d (TensorFlow) names it", _tf_names(), _clean_tf, _arrange_tf),
)
