"""What may change when a sweep is resumed: how much is searched and where, not what is compared with what."""

from collections.abc import Mapping, Sequence
from typing import Any

from glosstune.search.config.sections import AUTO
from glosstune.search.config.sweep import Sweep
from glosstune.spaces import SettingError
from glosstune.spaces.errors import shown

# Where a corpus lies: it may have moved, for whoever opens it compares its content.
PLACES = ("corpus.root", "corpus.cache")
# Where all lies that a sweep begins from; files are compared by their hashes.
INPUTS = (*PLACES, "pretrained", "teacher", "pretraining.align_with")

_CHANGEABLE = (
    *INPUTS,
    "search.samples",
    "search.sampler",
    "search.target",
    "search.stop_at_target",
    "search.time_budget_min",
    "search.epoch_budget",
    "search.patience_trials",
    "search.keep_checkpoints",
    "search.start_points",
    "search.prior",
    "search.warm_start",
    "resources",
    "space",
    "storage",
    "tracking",
)


def is_changeable(key: str) -> bool:
    """Whether a dotted key may change while a sweep goes on."""
    return any(key == name or key.startswith(f"{name}.") for name in _CHANGEABLE)


def check_places(overrides: Sequence[str], why: str, places: Sequence[str] = INPUTS) -> None:
    """Require that overrides say only where something lies.

    Args:
        why: all else stays as it is, for the error.
        places: the keys that may change.

    Raises:
        SettingError: another key.
    """
    for override in overrides:
        if override.partition("=")[0].strip() not in places:
            raise SettingError(f"override {override!r}: {why}; only {', '.join(places)} may change")


def value_of(sweep: Sweep, key: str) -> Any:
    """What a sweep has under a dotted key, as plain data."""
    value: Any = sweep.resolved()
    for name in key.split("."):
        value = value[name]
    return value


def count_samples(samples: str, sweep: Sweep) -> int:
    """The number of trials that ``64`` or ``+32`` stands for.

    Raises:
        SettingError: it is neither.
    """
    digits = samples.removeprefix("+")
    if not digits.isdecimal():
        raise SettingError(
            f"--samples {samples}: must be a number of trials, such as 64, or how many more, such as +32"
        )
    return int(digits) + (sweep.search.samples if samples.startswith("+") else 0)


def list_changes(old: Sweep, new: Sweep) -> dict[str, Any]:
    """The dotted keys that differ and their new values.

    Raises:
        SettingError: a key that would make the trials so far and those to come incomparable, or parameters that
            the space did not have or has no longer.
    """
    before, after = _flat(old.resolved()), _flat(new.resolved())
    changed = {key: after.get(key) for key in {**before, **after} if before.get(key) != after.get(key)}
    for key in changed:
        # Another file is compared with the one that the sweep began with; none is another way to begin.
        other = key in ("pretrained", "teacher") and (None in (before[key], after[key]) or after[key] == AUTO)
        if other or not is_changeable(key):
            rule = f"cannot change while a sweep goes on, for its trials would not compare: it was {shown(before[key])}"
            raise SettingError(f"{rule}; got {shown(after[key])}; start another sweep, with warm_start", key=key)
    if set(old.space) != set(new.space):
        rule = f"must keep its parameters, {', '.join(old.space)}; got {', '.join(new.space)}"
        raise SettingError(f"{rule}; change ranges only", key="space")
    return changed


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        inside = isinstance(value, Mapping) and prefix != "space."
        flat |= _flat(value, f"{prefix}{name}.") if inside else {f"{prefix}{name}": value}
    return flat
