"""YAML 1.2 as plain data: no key twice, nothing that JSON lacks, nothing that unfolds into gigabytes."""

import io
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.representer import SafeRepresenter
from ruamel.yaml.resolver import implicit_resolvers

from glosstune.spaces.errors import SettingError, shown
from glosstune.spaces.files.bounded import read_text

DEEPEST = 20
MOST_NODES = 10_000
LARGEST = 1_000_000


def read_yaml(file: Path) -> dict[str, Any]:
    """The plain data of a YAML file.

    Raises:
        SettingError: it cannot be read, is no mapping, or holds what ``parse_yaml`` refuses.
    """
    try:
        text = read_text(file, 4 * LARGEST)
    except FileNotFoundError:
        raise SettingError(f"{file}: no such file; give the path of a sweep file") from None
    except UnicodeDecodeError:
        raise SettingError(f"{file}: is not UTF-8 text") from None
    except OSError as error:
        raise SettingError(f"{file}: cannot be read: {error.strerror}") from None
    tree = parse_yaml(text, file.name)
    if not isinstance(tree, dict):
        # Not its words: a link may lead to a file of another kind, a key.
        rule = f"must be a mapping of keys such as 'training: {{epochs: 24}}'; got {type(tree).__name__}"
        raise SettingError(f"{file.name}: {rule}")
    return tree


def parse_yaml(text: str, source: str) -> Any:
    """The plain data of YAML text; equal keys, dates and other things that JSON lacks are refused."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    try:
        if len(text) > LARGEST:
            raise SettingError(f"must not be longer than {LARGEST:,} characters; got {len(text):,}")
        if re.search(r"^%", text, re.MULTILINE):
            raise SettingError("must have no directive such as %YAML: it is read as YAML 1.2")
        if text.count("[") + text.count("{") > MOST_NODES:  # which would take minutes to parse
            raise SettingError(f"must not hold more than {MOST_NODES} lists and mappings")
        node = yaml.compose(text)
        if sum(1 for _ in islice(_nodes(node), MOST_NODES)) == MOST_NODES:
            raise SettingError(f"must not hold more than {MOST_NODES} values, aliases counted out")
        return _plain(yaml.constructor.construct_document(node), "") if node is not None else None
    except MarkedYAMLError as error:
        line = 0 if error.problem_mark is None else error.problem_mark.line
        raise SettingError(f"{source}: line {line + 1}: not valid YAML: {error.problem}") from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position)
        raise SettingError(f"{source}: line {line + 1}: not valid YAML: {error.reason}") from None
    except RecursionError:
        raise SettingError(f"{source}: not valid YAML: nested too deeply") from None
    except (ValueError, LookupError, AttributeError) as error:  # such as the date 2024-13-01, or !!int before a word
        raise SettingError(f"{source}: not valid YAML: {error}; put text in quotes") from None
    except SettingError as error:
        raise SettingError(f"{source}: {error}") from None


def write_yaml(value: object, *, flow: bool = False) -> str:
    """Plain data as YAML that readers of YAML 1.1 read as the same, which take ``on`` for true and 1e-5 for text.

    Args:
        flow: with braces and brackets, on one line.
    """
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.Representer = _Representer
    yaml.default_flow_style, yaml.sort_base_mapping_type_on_output = flow, False
    yaml.width = 10_000  # no text is broken
    text = io.StringIO()
    yaml.dump(value, text)
    return text.getvalue()


def write_flow(value: object) -> str:
    """The same as a value stands behind its key, or in an override."""
    return write_yaml(value, flow=True).removesuffix("...\n").strip()


class _Constructor(SafeConstructor):
    """Reads 1e4 as a whole number, for that is how people write a large one."""

    def construct_number(self, node: ScalarNode) -> int | float:
        value = self.construct_yaml_float(node)
        return int(value) if value.is_integer() and "e" in node.value.lower() else value


_Constructor.add_constructor("tag:yaml.org,2002:float", _Constructor.construct_number)


class _Representer(SafeRepresenter):
    """Writes text of several lines as such, and in quotes what any version of YAML takes for something else."""

    def represent_text(self, text: str) -> ScalarNode:
        other = any(pattern.match(text) for _, _, pattern, _ in implicit_resolvers)
        style = "|" if "\n" in text else "'" if other else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style)

    def represent_number(self, number: float) -> ScalarNode:
        node = self.represent_float(number)
        if "." not in node.value:
            node.value = node.value.replace("e", ".0e")
        return node


_Representer.add_representer(str, _Representer.represent_text)
_Representer.add_representer(float, _Representer.represent_number)


def _nodes(node: Node | None, depth: int = 0) -> Iterator[Node]:
    """Every node below a node, as often as aliases repeat it, so that a few lines cannot unfold into gigabytes."""
    if node is None or depth > DEEPEST + 1:  # deeper ones are refused below
        return
    yield node
    if isinstance(node, SequenceNode):
        for item in node.value:
            yield from _nodes(item, depth + 1)
    elif isinstance(node, MappingNode):
        seen = set()
        for key, item in node.value:
            if isinstance(key, ScalarNode):
                if (key.tag, key.value) in seen:
                    raise MarkedYAMLError(problem=f"duplicate key {key.value!r}", problem_mark=key.start_mark)
                seen.add((key.tag, key.value))
            yield from _nodes(key, depth + 1)
            yield from _nodes(item, depth + 1)


def _plain(value: object, key: str, depth: int = 0) -> Any:
    """A copy without shared parts, so that an override changes one place only."""
    if depth > DEEPEST:
        raise SettingError(f"must not be nested in more than {DEEPEST} levels", key=key)
    if isinstance(value, dict):
        for name in value:
            if not isinstance(name, str) or not name.isprintable():
                raise SettingError(f"a key must be printable text; got {shown(name)}; put it in quotes", key=key)
        return {name: _plain(item, f"{key}.{name}".lstrip("."), depth + 1) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, f"{key}[{place}]", depth + 1) for place, item in enumerate(value)]
    if isinstance(value, str) and not value.isprintable():
        raise SettingError(f"must be printable text; got {shown(value)}", key=key)
    if value is not None and not isinstance(value, str | bool | int | float):
        rule = f"must be text, a number, true, false or null; got {shown(value)}"
        raise SettingError(f"{rule}; put it in quotes", key=key)
    return value
