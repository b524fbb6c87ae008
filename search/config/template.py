"""A sweep file that says what its keys mean, made of another one."""

import re
from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

from glosstune.search.config.keys import Key, list_keys, section_meanings
from glosstune.spaces.errors import SettingError, unknown_key
from glosstune.spaces.files.yaml_data import write_flow

# What is shown with its default where a file does not set it.
USEFUL = (
    *("tracking", "model.norm", "corpus.root", "corpus.layout", "corpus.scoring", "corpus.gains"),
    *("training.schedule", "training.final_decay", "training.average_epochs", "training.augment", "training.precision"),
    *("freezing.discriminative", "pretrained", "teacher", "pretraining.labels", "pretraining.align_with"),
    *("search.start_points", "search.prior", "search.warm_start", "search.metric", "search.target"),
    *("search.stop_at_target", "search.time_budget_min", "search.epoch_budget", "search.patience_trials"),
    *("halving.kind", "halving.lead", "halving.min_epochs", "halving.reduction"),
    *("stopping.stuck_wer", "stopping.blank_ratio", "stopping.window_epochs", "stopping.divergence"),
    *("resources.cpu", "resources.gpu", "resources.concurrent"),
)
_HINT = "# A line such as #key: value shows a default: take the # away to set it. glosstune keys lists all keys."
_WIDTH = 100
_LONGEST_RANGE = 120  # of characters; a longer one is for ``glosstune keys``
_KEY = re.compile(r"^( *)(?:- )?([\w.]+):")
_COMMENT = re.compile(r"(?:^|\s)# (.*)$")


def write_template(tree: Mapping[str, Any], source: str, name: str, *, schema: str | None, everything: bool) -> str:
    """The text of a commented sweep file.

    Args:
        tree: what it sets.
        source: text of the file that this comes from, whose comments stay.
        name: of the file, for the commands that it begins with.
        schema: file beside it that editors complete from, if there is one.
        everything: show the defaults of all other keys, not of the most useful ones alone.
    """
    head, comments = _read_comments(source)
    while head and head[-1] == "#":
        head.pop()
    lines = [f"# yaml-language-server: $schema={schema}"] * (schema is not None)
    lines += [
        *head,
        *["#"] * bool(head),
        f"# glosstune sweep {name} --check    what it would do",
        f"# glosstune sweep {name}",
        "#",
    ]
    lines += [_HINT]
    known = {key.name: key for key in list_keys()}
    # Where a sweep goes by default depends on the folder it is started in, and objectives begin with the metric.
    apart = {"storage", *(["search.objectives"] if "metric" in (tree.get("search") or {}) else [])}
    shown = {name: key for name, key in known.items() if (everything or name in USEFUL) and name not in apart}
    _check_names(tree, known)
    alone = [key for key in known.values() if not key.section and (key.name in tree or key.name in shown)]
    lines.append("")
    for key in alone:
        lines += _entry(key, tree, comments, "", off=key.name not in tree)
    for section, meaning in {**section_meanings(), "space": known["space"].meaning}.items():
        there = tree.get(section)
        set_here = [known[f"{section}.{each}"] for each in there] if isinstance(there, dict) else []
        others = [key for key in shown.values() if key.section == section and _may_follow(key, set_here)]
        if not set_here and not others and there is None:
            continue
        lines += ["", *_prose(meaning, "")]
        comment = comments.get((section,))
        off = not there
        lines.append(f"{'#' * off}{section}:{f'  # {comment}' * bool(comment)}")
        for key in [*set_here, *others]:
            lines += _entry(key, there or {}, comments, "  ", off=key not in set_here, section_off=off)
    return "\n".join(lines) + "\n"


def _check_names(tree: Mapping[str, Any], known: Mapping[str, Key]) -> None:
    """Refuse what no sweep has: a file is read without its rules, so that it may lack a corpus."""
    sections = [*section_meanings(), "space"]
    for name, there in tree.items():
        alone = [key.name for key in known.values() if not key.section]
        if name not in sections and name not in alone:
            raise SettingError(unknown_key(name, [*sections, *alone]), key=name)
        for each in there if name in sections and isinstance(there, dict) else ():
            if f"{name}.{each}" not in known:
                own = [key.last for key in known.values() if key.section == name]
                raise SettingError(unknown_key(each, own), key=f"{name}.{each}")


def _may_follow(key: Key, set_here: Sequence[Key]) -> bool:
    """Whether a key stands in the section itself, is not set there, and does not take the place of another."""
    return key not in set_here and key.section != "space" and "." not in key.last


def _entry(
    key: Key,
    section: Mapping[str, Any],
    comments: Mapping[tuple[str, ...], str],
    indent: str,
    *,
    off: bool,
    section_off: bool = False,
) -> Iterator[str]:
    takes = key.takes if len(key.takes) <= _LONGEST_RANGE else f"glosstune keys {key.name} lists what it takes"
    yield from _prose(f"{key.meaning} ({takes})", indent)
    if off:
        yield f"#{indent}{key.last}: {key.default}" if section_off else f"{indent}#{key.last}: {key.default}"
        return
    comment = comments.get((key.section, key.last) if key.section else (key.last,))
    value, end = section[key.last], f"  # {comment}" if comment else ""
    if key.section == "space" and isinstance(value, list):
        yield f"{indent}{key.last}:{end}"
        yield from (f"{indent}  - {write_flow(definition)}" for definition in value)
    else:
        yield f"{indent}{key.last}: {write_flow(value)}{end}"


def _prose(text: str, indent: str) -> list[str]:
    lead = f"{indent}# "
    return wrap(text, _WIDTH, initial_indent=lead, subsequent_indent=lead, break_on_hyphens=False)


def _read_comments(text: str) -> tuple[list[str], dict[tuple[str, ...], str]]:
    """The lines of comment that a file begins with, but for the command that runs it, and the others by their key."""
    head: list[str] = []
    comments: dict[tuple[str, ...], str] = {}
    path: list[tuple[int, str]] = []
    begins = True
    for line in text.splitlines():
        begins = begins and line.startswith("#")
        if begins:
            head += [line] * (not line.startswith(("# glosstune ", "# yaml-language-server", _HINT[:30])))
            continue
        if line.lstrip().startswith("#"):  # what this has written of a key, or somebody of what follows
            continue
        if found := _KEY.match(line):
            depth = len(found[1])
            path = [*(each for each in path if each[0] < depth), (depth, found[2])]
        if (comment := _COMMENT.search(line)) and path:
            place = tuple(name for _, name in path)[:2]
            comments[place] = "; ".join(filter(None, [comments.get(place), comment[1].strip()]))
    return head, comments
