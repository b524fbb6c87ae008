"""What --help prints: commands in groups, whole sentences, and one way to say what a value is."""

import re
from typing import Any

from typer import BadParameter
from typer.core import TyperCommand, TyperGroup

from glosstune.spaces.errors import likeliest, shown

# As typer calls kinds of values, and click before it.
_KINDS = {
    r"<list\[str\]>|<str>": "TEXT",
    r"<list\[path\]>|<path>|\bPATH\b": "FILE",
    r"<int( range)?>|\bINTEGER( RANGE)?\b": "N",
    r"<float( range)?>|\bFLOAT( RANGE)?\b": "NUMBER",
    r"<([^<>\s]+\|[^<>\s]+)>": r"[\1]",
}
# By pydantic's names of what is wrong.
_RULES = {
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
}


class Commands(TyperGroup):
    """A group whose commands stand below the headings of their ``rich_help_panel``."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the first sentence of each command's help, whole."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            heading = str(getattr(command, "rich_help_panel", None) or "Commands")
            sections.setdefault(heading, []).append((name, (command.help or "").partition("\n")[0]))
        width = max(len(name) for rows in sections.values() for name, _ in rows)
        for heading, rows in sections.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), told) for name, told in rows])


class Command(TyperCommand):
    """A command whose arguments are called by their metavars alone, and whose errors are ours alone."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As typer does, whose errors are in pydantic's words and do not say what was given."""
        try:
            return super().parse_args(ctx, args)
        except BadParameter as error:
            error.message = _told(error)
            raise

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Of the line that begins with ``Usage``."""
        arguments = [_name(param) for param in self.params if param.param_type_name == "argument"]
        return ["[OPTIONS]", *arguments]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options."""
        rows: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is None:
                continue
            name, told = record
            if param.param_type_name == "argument":
                rows["Arguments"].append((_name(param), told))
                continue
            for kind, word in _KINDS.items():
                name = re.sub(kind, word, name)
            rows["Options"].append((name, told))
        for heading, section in rows.items():
            if section:
                with formatter.section(heading):
                    formatter.write_dl(section)


def _told(error: BadParameter) -> str:
    """The rule that a value breaks, and the value."""
    from pydantic import ValidationError  # which typer has imported where it has raised one

    if not isinstance(error.__cause__, ValidationError):
        return error.message
    found = error.__cause__.errors()[0]
    rule, given = _RULES.get(found["type"]), found["input"]
    if rule is not None:
        return f"{rule.format(**found.get('ctx', {}))}; got {shown(given)}"
    _, is_none, valid = str(found["msg"]).partition(" is not one of ")
    names = valid.replace("'", "").rstrip(".")
    rule = f"must be one of {names}" if is_none else str(found["msg"]).removeprefix("Value error, ")
    return f"{rule}; got {shown(given)}{likeliest(given, names.split(', '))}"


def _name(param: Any) -> str:
    name = str(param.metavar or param.name.upper())
    return name if param.required or name.startswith("[") else f"[{name}]"
