"""What stands side by side in a frame of a feature file: blocks of landmarks, or of any other numbers."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from glosstune.spaces.errors import SettingError, likeliest, quoted, shown, unknown_key
from glosstune.trainables.layouts.skeletons import SKELETONS, UNNAMED

KEY = "corpus.layout"
PARTS = ("pose", "hands", "face")
CHANNELS = ("shape", "velocity", "acceleration", "position")
TEMPORAL = CHANNELS[1:]
MOST_POINTS, MOST_VALUES = 2_000, 50_000

# What stands in a file where a landmark was not seen.
NotSeen = Literal["zeros+nan", "zeros", "nan"]

# Whether a file's left hand is the left hand in every frame, or has to be told from the other one.
Hands = Literal["as-stored", "followed"]

# A block as a sweep file writes it: a word, or what it is.
BlockSpec = str | Mapping[str, Any]

_PART_OF = {
    **dict.fromkeys(("pose", "body", "feet"), "pose"),
    **dict.fromkeys(("left_hand", "right_hand", "hand"), "hands"),
    **dict.fromkeys(("face", "lips", "eyes"), "face"),
}
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_NO_TEXT = ("null", "true", "false")
_POINT_KEYS = ("block", "points", "dims", "confidence", "use", "part", "skeleton")
_VALUE_KEYS = ("block", "values", "velocity")


@dataclass(frozen=True)
class PointsBlock:
    """Landmarks, one after the other, each with its coordinates.

    Attributes:
        part: ``pose``, ``hands`` or ``face``: which gains it has, and what its shape is measured from.
        points: landmarks in a file.
        dims: coordinates of each, 2 or 3.
        confidence: whether a visibility or score follows the coordinates of each, and what becomes of it.
        use: so many landmarks, from the first, are used.
        skeleton: which landmark is which, a name of SKELETONS; None where that is not known.
    """

    name: str
    part: str
    points: int
    dims: int
    confidence: Literal["none", "drop", "keep"] = "none"
    use: int = 0
    skeleton: str | None = None

    @property
    def width(self) -> int:
        """Values of a frame of a file."""
        return self.points * (self.dims + (self.confidence != "none"))


@dataclass(frozen=True)
class ValuesBlock:
    """Numbers of any kind, which have no geometry; with ``velocity`` their differences in time enter too."""

    name: str
    values: int
    velocity: bool = False

    @property
    def width(self) -> int:
        """Values of a frame of a file."""
        return self.values


@dataclass(frozen=True)
class DerivedBlock:
    """What an extractor has derived from the positions before it, parts in the same order."""

    name: str
    channels: tuple[str, ...]


FileBlock = PointsBlock | ValuesBlock | DerivedBlock


def confidence_name(block: PointsBlock) -> str:
    """What the confidences of a block are called where they are kept, as values beside it."""
    return f"{block.name}_confidence"


def _points(name: str, points: int, dims: int = 3, **more: Any) -> dict[str, Any]:
    return {"block": name, "points": points, "dims": dims, **more}


_WORDS: dict[str, tuple[dict[str, Any], ...]] = {
    "pose": (_points("pose", 33),),
    "left_hand": (_points("left_hand", 21),),
    "right_hand": (_points("right_hand", 21),),
    "hands": (_points("left_hand", 21), _points("right_hand", 21)),
    "face": (_points("face", 468),),
}
_WORDS |= {f"{name}+visibility": tuple({**block, "confidence": "drop"} for block in _WORDS[name]) for name in _WORDS}


def _hands(dims: int, points: int = 21, **more: Any) -> tuple[dict[str, Any], ...]:
    return (_points("left_hand", points, dims, **more), _points("right_hand", points, dims, **more))


def _coco(dims: int, **more: Any) -> tuple[dict[str, Any], ...]:
    return (_points("pose", 23, dims, **more), _points("face", 68, dims, **more), *_hands(dims, **more))


def _openpose(**more: Any) -> tuple[dict[str, Any], ...]:
    body = _points("pose", 25, 2, skeleton="openpose-25", **more)
    return (body, _points("face", 70, 2, **more), *_hands(2, **more))


def _openpose_135(**more: Any) -> tuple[dict[str, Any], ...]:
    body = _points("pose", 25, 2, skeleton="openpose-135", **more)
    return (body, *_hands(2, 20, **more), _points("face", 70, 2, **more))


_SCORE = {"confidence": "drop"}
LAYOUTS: dict[str, tuple[BlockSpec, ...]] = {
    "default": ("pose", "hands", "face", "temporal"),
    "split-hands": ("pose", "face", "left_hand", "right_hand", "temporal"),
    "base": ("pose", "hands", "face"),
    "holistic": ("pose+visibility", "face", "left_hand", "right_hand"),
    "holistic-478": ("pose+visibility", _points("face", 478, use=468), "left_hand", "right_hand"),
    "landmarks-543": ("face+visibility", "left_hand+visibility", "pose+visibility", "right_hand+visibility"),
    "face-first-543": ("face", "left_hand", "pose", "right_hand"),
    "holistic-75": ("pose", "left_hand", "right_hand"),
    "holistic-75-2d": (_points("pose", 33, 2), *_hands(2)),
    "pose-hands": ("pose+visibility", "left_hand", "right_hand"),
    "hands-2d": _hands(2),
    "hands-3d": _hands(3),
    "coco-wholebody": _coco(2),
    "coco-wholebody-score": _coco(2, **_SCORE),
    "coco-wholebody-3d": _coco(3),
    "coco-wholebody-3d-score": _coco(3, **_SCORE),
    "openpose-137": _openpose(**_SCORE),
    "openpose-137-2d": _openpose(),
    "openpose-135": _openpose_135(**_SCORE),
    "openpose-135-2d": _openpose_135(),
    "ntu-25": (_points("pose", 25, 3, skeleton="kinect-25"),),
}


def read_blocks(spec: str | Sequence[BlockSpec]) -> tuple[FileBlock, ...]:
    """The blocks that ``corpus.layout`` stands for, in the order of a file.

    Raises:
        SettingError: there is no such layout, or a block breaks a rule; names both.
    """
    if isinstance(spec, str):
        if spec not in LAYOUTS:
            rule = f"{shown(spec)} is unknown{likeliest(spec, LAYOUTS)}; named layouts are {', '.join(LAYOUTS)}"
            raise SettingError(f"{rule}; or list the blocks", key=KEY)
        spec = LAYOUTS[spec]
    if not spec or not isinstance(spec, Sequence):
        raise SettingError(f"must be a name, or a list of one block or more; got {shown(spec)}", key=KEY)
    blocks = [block for place, each in enumerate(spec) for block in _read(each, f"{KEY}[{place}]")]
    names = [block.name for block in blocks]
    names += [confidence_name(b) for b in blocks if isinstance(b, PointsBlock) and b.confidence == "keep"]
    for name in names:
        if names.count(name) > 1:
            raise SettingError(f"block {name!r} stands there twice; give each its own name", key=KEY)
    _check_derived(blocks)
    width = sum(block.width for block in blocks if not isinstance(block, DerivedBlock))
    if width > MOST_VALUES:
        raise SettingError(f"must have at most {MOST_VALUES} values a frame; got {width}", key=KEY)
    return tuple(blocks)


def written(blocks: Sequence[FileBlock]) -> list[BlockSpec]:
    """Blocks as a sweep file may list them: a word where there is one, else what differs from the defaults."""
    words = {block: word for word, specs in _WORDS.items() if len(specs) == 1 for block in _read(word, KEY)}
    return [block.name if isinstance(block, DerivedBlock) else words.get(block) or _written(block) for block in blocks]


def _written(block: PointsBlock | ValuesBlock) -> dict[str, Any]:
    if isinstance(block, ValuesBlock):
        return {"block": block.name, "values": block.values, **({"velocity": True} if block.velocity else {})}
    told: dict[str, Any] = {"block": block.name, "points": block.points, "dims": block.dims}
    if block.confidence != "none":
        told["confidence"] = block.confidence
    if block.use != block.points:
        told["use"] = block.use
    if _PART_OF.get(block.name) != block.part:
        told["part"] = block.part
    if UNNAMED.get((block.part, block.use)) != block.skeleton:
        told["skeleton"] = block.skeleton
    return told


def names_of(specs: Sequence[BlockSpec]) -> list[str]:
    """What blocks are called, as pages and errors list them."""
    return [each if isinstance(each, str) else str(each["block"]) for each in specs]


def describe_block(block: FileBlock) -> str:
    """A block in few words: its name, and how many of what it holds."""
    if isinstance(block, PointsBlock):
        each = f"{block.points} x {block.dims}" + " + score" * (block.confidence != "none")
        return f"{block.name} {each}" + f" ({block.use} used)" * (block.use != block.points)
    return f"{block.name} {block.values}" if isinstance(block, ValuesBlock) else block.name


def describe_layout(specs: Sequence[BlockSpec]) -> str:
    """A layout as it stands behind ``corpus.layout=`` on a command line: its name where it has one."""
    blocks = read_blocks(specs)
    name = next((name for name in LAYOUTS if read_blocks(name) == blocks), None)
    return name or f"[{', '.join(each if isinstance(each, str) else _flow(each) for each in specs)}]"


def layout_override(specs: Sequence[BlockSpec]) -> str:
    """What sets a layout on a command line, quoted for a shell where that has to be."""
    return quoted(f"corpus.layout={describe_layout(specs)}")


def _flow(block: Mapping[str, Any]) -> str:
    told = ", ".join(f"{name}: {value if isinstance(value, str) else shown(value)}" for name, value in block.items())
    return f"{{{told}}}"


def _read(each: BlockSpec, key: str) -> list[FileBlock]:
    if isinstance(each, str):
        if each == "temporal" or each in TEMPORAL:
            return [DerivedBlock(each, TEMPORAL if each == "temporal" else (each,))]
        if each not in _WORDS:
            known = [*_WORDS, "temporal", *TEMPORAL]
            rule = f"block {shown(each)} is unknown{likeliest(each, known)}; blocks by a word are {', '.join(known)}"
            raise SettingError(f"{rule}; say what any other is, such as {{block: body, points: 17, dims: 2}}", key=key)
        return [_read_mapping(block, key) for block in _WORDS[each]]
    if not isinstance(each, Mapping):
        rule = f"must be a word or a mapping such as {{block: left_hand, points: 21, dims: 2}}; got {shown(each)}"
        raise SettingError(rule, key=key)
    return [_read_mapping(each, key)]


def _read_mapping(given: Mapping[str, Any], key: str) -> PointsBlock | ValuesBlock:
    kinds = {"points", "values"} & given.keys()
    known = {*_POINT_KEYS, *_VALUE_KEYS} if len(kinds) != 1 else _POINT_KEYS if "points" in kinds else _VALUE_KEYS
    unknown = [each for each in given if each not in known]
    if unknown:
        raise SettingError(unknown_key(unknown[0], sorted(known)), key=f"{key}.{unknown[0]}")
    if len(kinds) != 1:
        raise SettingError(f"must have either points or values; got {shown(dict(given))}", key=key)
    name = given.get("block")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SettingError(f"must be a name of a to z, 0 to 9 and _; got {shown(name)}", key=f"{key}.block")
    if name == "temporal" or name in TEMPORAL:
        raise SettingError(f"must be another name than {name!r}, which is derived from points", key=f"{key}.block")
    if name in _NO_TEXT:
        raise SettingError(f"must be another name than {name!r}, which is no text in YAML", key=f"{key}.block")
    if kinds == {"values"}:
        return ValuesBlock(name, _whole(given, "values", MOST_VALUES, key), _switch(given, "velocity", key))
    points = _whole(given, "points", MOST_POINTS, key)
    dims = _among({"dims": 3, **given}, "dims", (2, 3), key)
    confidence = _among({"confidence": "none", **given}, "confidence", ("none", "drop", "keep"), key)
    use = _whole({"use": points, **given}, "use", points, key)
    usual = _PART_OF.get(name)
    if usual is None and "part" not in given:
        rule = f"must be said of block {name!r}: {', '.join(PARTS)}, whichever's gains and geometry it should have"
        raise SettingError(rule, key=f"{key}.part")
    part: str = _among({"part": usual, **given}, "part", PARTS, key)
    skeleton = given.get("skeleton", UNNAMED.get((part, use)))
    if skeleton is not None:
        fits = [word for word, each in SKELETONS.items() if each.part == part and each.points == use]
        if skeleton not in fits:
            choice = f"{', '.join(fits)} or null" if fits else "null, for none that is known has that many points"
            raise SettingError(f"must be {choice}; got {shown(skeleton)}", key=f"{key}.skeleton")
    return PointsBlock(name, part, points, dims, confidence, use, skeleton)


def _whole(given: Mapping[str, Any], name: str, most: int, key: str) -> int:
    value = given[name]
    if type(value) is not int or not 1 <= value <= most:
        raise SettingError(f"must be a whole number from 1 to {most}; got {shown(value)}", key=f"{key}.{name}")
    return value


def _switch(given: Mapping[str, Any], name: str, key: str) -> bool:
    value = given.get(name, False)
    if not isinstance(value, bool):
        raise SettingError(f"must be true or false; got {shown(value)}", key=f"{key}.{name}")
    return value


def _among(given: Mapping[str, Any], name: str, choice: Sequence[Any], key: str) -> Any:
    value = given[name]
    if value not in choice or type(value) is not type(choice[0]):
        raise SettingError(f"must be {', '.join(map(str, choice))}; got {shown(value)}", key=f"{key}.{name}")
    return value


def _check_derived(blocks: Sequence[FileBlock]) -> None:
    derived = [block.name for block in blocks if isinstance(block, DerivedBlock)]
    if not derived:
        return
    if derived != ["temporal"] and sorted(derived) != sorted(TEMPORAL):
        rule = f"must hold none of the temporal blocks, or 'temporal', or all of {', '.join(TEMPORAL)}"
        raise SettingError(f"{rule}; got {', '.join(derived)}", key=KEY)
    points = [block for block in blocks if isinstance(block, PointsBlock)]
    if not points or any(isinstance(block, ValuesBlock) for block in blocks):
        raise SettingError("temporal blocks are derived from points, and stand beside points alone", key=KEY)
    for block in points:
        if block.use != block.points or block.confidence == "keep":
            raise SettingError(f"{block.name}: use and confidence=keep have no meaning beside temporal blocks", key=KEY)
