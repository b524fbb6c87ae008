"""YAML as plain data: no key twice, nothing that JSON lacks, nothing that unfolds into gigabytes."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from glosstune.spaces import SettingError
from glosstune.spaces.errors import shown

DEEPEST = 20
MOST_NODES = 10_000


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which keeps the last of equal keys in silence, made to refuse them."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise yaml.MarkedYAMLError(problem=f"duplicate key {key.value!r}", problem_mark=key.start_mark)
                seen.add((key.tag, key.value))
        return node


def read_yaml(file: Path) -> dict[str, Any]:
    """The plain data of a YAML file."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingError(f"{file}: no such file; give the path of a sweep file") from None
    except UnicodeDecodeError:
        raise SettingError(f"{file}: is not UTF-8 text") from None
    except OSError as error:
        raise SettingError(f"{file}: cannot be read: {error.strerror}") from None
    tree = parse_yaml(text, file.name)
    if not isinstance(tree, dict):
        rule = f"must be a mapping of keys such as 'training: {{epochs: 24}}'; got {shown(tree)}"
        raise SettingError(f"{file.name}: {rule}")
    return tree


def parse_yaml(text: str, source: str) -> Any:
    """The plain data of YAML text; equal keys, dates and other things that JSON lacks are refused."""
    try:
        loaded = yaml.load(text, _Loader)
        if sum(1 for _ in islice(_nodes(loaded), MOST_NODES)) == MOST_NODES:
            raise SettingError(f"must not hold more than {MOST_NODES} values, aliases counted out")
        return _plain(loaded, "")
    except yaml.MarkedYAMLError as error:
        line = 0 if error.problem_mark is None else error.problem_mark.line
        raise SettingError(f"{source}: line {line + 1}: not valid YAML: {error.problem}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position)
        raise SettingError(f"{source}: line {line + 1}: not valid YAML: {error.reason}") from None
    except RecursionError:
        raise SettingError(f"{source}: not valid YAML: nested too deeply") from None
    except ValueError as error:  # such as the date 2024-13-01
        raise SettingError(f"{source}: not valid YAML: {error}; put text in quotes") from None
    except SettingError as error:
        raise SettingError(f"{source}: {error}") from None


def _nodes(value: object, depth: int = 0) -> Iterator[object]:
    """Every value below a value, as often as aliases repeat it, so that a few lines cannot unfold into gigabytes."""
    yield value
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if depth <= DEEPEST:  # deeper ones are refused below
        for child in children:
            yield from _nodes(child, depth + 1)


def _plain(value: object, key: str, depth: int = 0) -> Any:
    """A copy without shared parts, so that an override changes one place only."""
    if depth > DEEPEST:
        raise SettingError(f"must not be nested in more than {DEEPEST} levels", key=key)
    if isinstance(value, dict):
        for name in value:
            if not isinstance(name, str):
                raise SettingError(f"a key must be text; got {shown(name)}; put it in quotes", key=key)
        return {name: _plain(item, f"{key}.{name}".lstrip("."), depth + 1) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, f"{key}[{place}]", depth + 1) for place, item in enumerate(value)]
    if isinstance(value, str) and not value.isprintable():
        raise SettingError(f"must be printable text; got {shown(value)}", key=key)
    if value is not None and not isinstance(value, str | bool | int | float):
        rule = f"must be text, a number, true, false or null; got {shown(value)}"
        raise SettingError(f"{rule}; put it in quotes", key=key)
    return value
