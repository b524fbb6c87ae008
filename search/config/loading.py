"""From a sweep file and overrides to a checked sweep."""

import os
import re
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path, PureWindowsPath
from typing import Any, get_args

from pydantic import ValidationError

from glosstune.models.kinds import KINDS
from glosstune.search.config.errors import Sources, problems, validated
from glosstune.search.config.sections import AUTO, DEFAULT_SPACE
from glosstune.search.config.settings import PriorName
from glosstune.search.config.sweep import Sweep
from glosstune.spaces import SettingError
from glosstune.spaces.errors import shown
from glosstune.spaces.files.addresses import is_uri
from glosstune.spaces.files.yaml_data import parse_yaml, read_yaml
from glosstune.trainables.settings import SETTINGS_PATHS, TABLE_ENDINGS

_PACKAGED = Path(__file__).with_name("sweeps")


_PATHS = (
    ("corpus", "root"),
    ("corpus", "cache"),
    ("pretrained",),
    ("pretraining", "align_with"),
    ("teacher",),
    ("search", "warm_start"),
    ("search", "prior"),
    ("storage",),
)


def load_sweep(path: Path | str | None, overrides: str | Sequence[str] = ()) -> Sweep:
    """The sweep that a file describes, changed by overrides such as ``training.epochs=50``.

    Args:
        path: a YAML file, or the name of a packaged sweep such as ``student``; None for ``teacher``. Where an override
            sets ``corpus.root`` or a ``corpus.kind`` of one's own, ``teacher``, ``student`` and ``distil`` are
            ``teacher-own`` and so on. Relative paths in it start at its folder, those of overrides and of packaged
            sweeps at the current one. A ``corpus.root`` that is a table makes ``corpus.kind`` ``table`` where nobody
            says another.
        overrides: ``key=value`` with a dotted key and a YAML value, one or several; a mapping replaces the mapping.

    Raises:
        SettingError: one line for everything found, each with the file or override that names it.
    """
    return _load(path, [overrides] if isinstance(overrides, str) else overrides)[2]


def read_sweep(path: Path | str | None, overrides: Sequence[str]) -> tuple[Path, dict[str, Any]]:
    """The file that ``load_sweep`` reads and what it sets, changed by overrides; without any it may lack a corpus."""
    if overrides:
        return _load(path, overrides)[:2]
    file, folder = _sweep_file(path, overrides)
    tree = read_yaml(file)
    _make_absolute(tree, folder)
    return file, tree


def _load(path: Path | str | None, overrides: Sequence[str]) -> tuple[Path, dict[str, Any], Sweep]:
    file, folder = _sweep_file(path, overrides)
    tree = read_yaml(file)
    own = deepcopy(tree)
    parsed = [(*_parse_override(override), override) for override in overrides]
    sources = Sources(file.name, tuple((".".join(keys), override) for keys, _, override in parsed))
    try:
        _make_absolute(tree, folder)
        for keys, value, _ in parsed:
            _put(tree, keys, value)
        _make_absolute(tree, Path.cwd())
        told = any(
            keys == ["corpus", "kind"] or (keys == ["corpus"] and isinstance(value, dict) and "kind" in value)
            for keys, value, _ in parsed
        )
        _tell_kind(tree, told=told, packaged=file.parent == _PACKAGED)
        return file, tree, validated(Sweep, tree)
    except ValidationError as error:
        overridden = {".".join(keys) for keys, _, _ in parsed}
        found = problems(error, Sweep, lambda key: _own_value(file, own, key) if key in overridden else "")
    except SettingError as error:
        found = [error]
    raise SettingError("\n".join(sources.located(error) for error in found))


def load_named(kind: str, overrides: Sequence[str]) -> Sweep:
    """The packaged sweep of a kind of model; one of one's own, ``package.module:Name``, takes the student's place."""
    name, changes = (kind, []) if kind in KINDS else ("student", [f"model.kind={kind}"])
    return load_sweep(name, [*changes, *overrides])


def packaged_sweeps() -> list[str]:
    """Names of the sweeps that come with the package."""
    return sorted(file.stem for file in _PACKAGED.glob("*.yaml"))


def _sweep_file(path: Path | str | None, overrides: Sequence[str]) -> tuple[Path, Path]:
    """The file that ``load_sweep`` reads, and the folder that its relative paths start at; errors as there."""
    given, path = path, Path(path or "teacher")
    if given is not None and (path.is_file() or path.suffix or path.name != str(path)):
        return path, path.absolute().parent
    if f"{path}-own" in packaged_sweeps() and _own_corpus(overrides):
        path = Path(f"{path}-own")
    if path.name not in packaged_sweeps():
        raise SettingError(f"{path}: no such file, and no packaged sweep: those are {', '.join(packaged_sweeps())}")
    return _PACKAGED / f"{path.name}.yaml", Path.cwd()


def _own_value(file: Path, tree: Any, key: str) -> str:
    """What holds where an override of a key is left out; empty where it is the default."""
    for name in key.split("."):
        if not isinstance(tree, dict) or name not in tree:
            return ""
        tree = tree[name]
    return f"; leave it out for {shown(tree)}, as {file.name} has it"


def _own_corpus(overrides: Sequence[str]) -> bool:
    """Gains, widths and epochs of the embedded corpus would be wrong for anybody's own."""
    plain = [override.replace(" ", "") for override in overrides]
    return any(re.match(r"corpus\.(root=|kind=.*:)", override) for override in plain)


def _parse_override(override: str) -> tuple[list[str], Any]:
    key, equals, text = override.partition("=")
    keys = key.strip().split(".")
    source = f"override {override!r}"
    if not equals or not all(keys):
        raise SettingError(f"{source}: must be key=value with a dotted key, such as training.epochs=50")
    if keys[0] == "space" and ".".join(keys[1:3]) in SETTINGS_PATHS:
        keys[1:3] = [".".join(keys[1:3])]  # gains.face is one name
    if tuple(keys) in _PATHS and _is_path(text):
        return keys, text  # which YAML may take for something else: at " #" a comment begins
    return keys, parse_yaml(text, source)


def _is_path(text: str) -> bool:
    """Whether a value begins as only a path does, also one of Windows, or something lies there."""
    if text.startswith("~"):
        return text.strip() != "~"  # which is null
    begins = text.startswith(("/", "./", "../")) or PureWindowsPath(text).drive != ""
    return begins or ("/" in text and os.path.lexists(text))


def _put(tree: dict[str, Any], keys: list[str], value: object) -> None:
    if keys[0] == "space" and len(keys) > 1:
        space = tree.setdefault("space", DEFAULT_SPACE.to_mapping())
        if len(keys) == 2 and isinstance(space, dict):
            _narrow(space, keys[1], value)
    section = tree
    for depth, name in enumerate(keys[:-1], start=1):
        section = section.setdefault(name, {})
        if not isinstance(section, dict):
            whole = ".".join(keys[:depth])
            raise SettingError(f"has no keys, for it is {shown(section)}; override {whole} as a whole", key=whole)
    section[keys[-1]] = value


def _narrow(space: dict[str, Any], name: str, value: object) -> None:
    """Drop the definitions that an override leaves without a chance: space.strategy=fine-tune needs no stages."""
    if isinstance(value, dict):
        options = value.get("choice", [value["constant"]] if "constant" in value else None)
    else:
        options = None if isinstance(value, list) else [value]
    if not isinstance(options, list):  # a range, several definitions, or a mistake: for the space to judge
        return
    for other, definitions in list(space.items()):
        several = definitions if isinstance(definitions, list) else [definitions]
        kept = []
        for definition in several:
            when = definition.get("when") if isinstance(definition, dict) else None
            if isinstance(when, dict) and name in when:
                asked = when[name] if isinstance(when[name], list) else [when[name]]
                held = [option for option in asked if option in options]
                if not held:
                    continue
                definition = {**definition, "when": {**when, name: held}}
            kept.append(definition)
        if not kept:
            del space[other]
        elif kept != several:
            space[other] = kept


def _tell_kind(tree: dict[str, Any], *, told: bool, packaged: bool) -> None:
    """A root that is a table says itself what kind of corpus it is, unless somebody has said another."""
    corpus = tree.get("corpus")
    if not isinstance(corpus, dict) or told or ("kind" in corpus and not packaged):
        return
    root = corpus.get("root")
    if isinstance(root, str) and root.lower().endswith(TABLE_ENDINGS) and not Path(root).is_dir():
        corpus["kind"] = "table"


def _make_absolute(tree: dict[str, Any], folder: Path) -> None:
    """Resolve the paths of a tree that are still relative."""
    for *parents, last in _PATHS:
        section: Any = tree
        for parent in parents:
            section = section.get(parent) if isinstance(section, dict) else None
        if not isinstance(section, dict):
            continue
        key, value = ".".join([*parents, last]), section.get(last)
        if last == "prior" and isinstance(value, str):
            if value in get_args(PriorName):
                continue
            value = [value]  # one folder
        if isinstance(value, list):
            section[last] = [_absolute(path, folder, key) for path in value]
        elif isinstance(value, str) and (value != AUTO or last != "pretrained"):
            section[last] = value if last == "storage" and is_uri(value) else _absolute(value, folder, key)


def _absolute(path: Any, folder: Path, key: str) -> Any:
    if not isinstance(path, str):
        return path  # for the section to judge
    if is_uri(path):
        raise SettingError(f"must be a path on this machine; got the address {path!r}", key=key)
    try:
        return os.path.abspath(folder / Path(path).expanduser())
    except RuntimeError:
        raise SettingError(f"must not start with an unknown user's ~; got {path!r}", key=key) from None
