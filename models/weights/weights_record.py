"""What a file of weights says of itself: the model and the input that its weights were trained with."""

import math
from collections.abc import Mapping
from typing import Any

from glosstune.spaces.errors import shown

# Where checkpoints keep their settings; the first is ours.
SETTINGS = ("settings", "config", "args", "hparams", "hyper_parameters")

# Spellings of each field. A field without any is read from its own section only: what a bare ``width`` counts
# could be anything.
FIELDS: dict[str, dict[str, tuple[str, ...]]] = {
    "model": {
        "kind": (),
        "width": (),
        "time_stride": ("time_stride", "stride"),
        "norm": ("norm", "normalization", "normalisation"),
    },
    "corpus": {
        "layout": ("layout", "feature_layout"),
        "noise_floor": ("noise_floor",),
        "gains": ("gains",),
        "kind": (),
        "split": (),
        "fold": (),
        "signers": (),
        "sentences": (),
        "split_seed": (),
        "not_seen": (),
        "hands": (),
        "frame_step": (),
    },
}


def recorded_by(checkpoint: Mapping[Any, Any]) -> dict[str, object]:
    """What a checkpoint tells, nested: model, corpus, layout, vocabulary, recordings, whatever of them it has.

    Settings are a mapping under one of SETTINGS, itself flat or with the sections ``model`` and ``corpus``.
    """
    recorded: dict[str, object] = {}
    places = (checkpoint.get(name) for name in SETTINGS)
    settings: Mapping[Any, Any] = next((place for place in places if isinstance(place, Mapping)), {})
    for section, fields in FIELDS.items():
        nested = settings.get(section)
        nested = nested if isinstance(nested, Mapping) else {}
        found = {}
        for field, spellings in fields.items():
            values = [nested.get(name) for name in (field, *spellings)] + [settings.get(name) for name in spellings]
            value = next((value for value in values if value is not None and is_plain(value)), None)
            if value is not None:
                found[field] = plain(value)
        if found:
            recorded[section] = found
    for name in ("vocabulary", "recordings"):
        words = checkpoint.get(name)
        if isinstance(words, list | tuple) and words and all(isinstance(word, str) for word in words):
            recorded[name] = list(words)
    blocks = checkpoint.get("layout")
    if isinstance(blocks, list | tuple) and all(isinstance(block, Mapping) and is_plain(block) for block in blocks):
        recorded["layout"] = plain(blocks)
    return recorded


def differences(recorded: Mapping[str, object], expected: Mapping[str, object], path: str = "") -> tuple[str, ...]:
    """A line for each leaf that both have and in which they differ, as ``model.norm: 'batch' in the file, ...``."""
    lines: list[str] = []
    for key, value in recorded.items():
        name, other = f"{path}{key}", expected.get(key)
        if key not in expected or plain(value) == plain(other):
            continue
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            lines += differences(value, other, f"{name}.")
        elif name == "vocabulary" and isinstance(value, list | tuple) and isinstance(other, list | tuple):
            both = len(set(value) & set(other))
            lines.append(f"{name}: {len(value)} glosses in the file, {len(other)} here, {both} of them in both")
        else:
            lines.append(f"{name}: {shown(plain(value))} in the file, {shown(plain(other))} here")
    return tuple(lines)


def is_plain(value: object) -> bool:
    """Whether JSON can hold a value."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and is_plain(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    return value is None or isinstance(value, bool | int | str)


def plain(value: object) -> object:
    """The same value with lists and dictionaries only, as JSON would give it back."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
