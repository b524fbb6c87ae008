"""The README and the guides name only what exists."""

import importlib
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer.main

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *(ROOT / f"{name}.md" for name in ("README", "ARCHITECTURE", "CONTRIBUTING")),
    *sorted((ROOT / "docs").glob("*.md")),
]

FENCE = re.compile(r"^[ \t]*(```+|~~~+)[ \t]*([\w+-]*)[^\n]*\n(.*?)^[ \t]*\1", re.MULTILINE | re.DOTALL)
LINK = re.compile(
    r"\]\(([^)\s]+)[^)]*\)|^\[[^\]]+\]:\s*(\S+)|<(?:img|a)\b[^>]*?\b(?:src|href)=\"([^\"]+)\"", re.MULTILINE
)
# torch's builds for CPUs are on PyTorch's own index and on no other.
MACHINE = re.compile(
    r"(?<![\w.])/(?:home|root|work|opt|Users)/"
    r"|\b(?:pypi|pythonhosted|pytorch(?!\.org/whl/cpu\b)|huggingface|npmjs|debian)\.\w"
)
LOADED = re.compile(
    r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href|srcset)=[\"']?(?:https?:)?//[^>]*>"
    r"|@import[^;]*//[^;]*|url\([\"']?(?:https?:)?//[^)]*\)"
)

documents = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def command_lines(text: str) -> Iterator[str]:
    """Every command of the code blocks, other than Python's, and every code span."""
    for _, language, body in FENCE.findall(text):
        if language != "python":
            for line in body.replace("\\\n", " ").splitlines():
                yield from re.split(r"\s*(?:&&|\|+|;|\s>)\s*", line.strip().removeprefix("$ "))
    yield from re.findall(r"`([^`\n]+)`", FENCE.sub("", text))


@cache
def whole_command():
    """`glosstune` with all that is below it."""
    from glosstune.search.cli.main import app

    return typer.main.get_command(app)


def wrong_glosstune(line: str) -> str | None:
    """Say which command or option of a line that runs glosstune does not exist."""
    run = re.search(r"(?:^|[\s/\"'])glosstune\s+(.*?)(?:\s#|$)", line)
    command = whole_command()
    for token in shlex.split(run[1].replace("'", "").replace('"', "")) if run else ():
        if token == "--":
            break
        if re.match(r"-\D", token):
            known = {"--help", *(name for each in command.params for name in (*each.opts, *each.secondary_opts))}
            if token.split("=")[0] not in known:
                return f"{line}: {command.name} has no option {token}"
        elif hasattr(command, "commands") and not token.isupper() and token[0] not in "[<":
            if token not in command.commands:
                return f"{line}: no command {token}"
            command = command.commands[token]
    return None


def wrong_make(line: str, targets: set[str]) -> str | None:
    """Say which target of a line that runs make does not exist."""
    if not line.startswith("make "):
        return None
    named = {word for word in shlex.split(line, comments=True)[1:] if "=" not in word and not word.startswith("-")}
    return f"{line}: no target {', '.join(named - targets)}" if named - targets else None


@documents
def test_relative_links_lead_somewhere(document):
    links = ["".join(groups) for groups in LINK.findall(FENCE.sub("", document.read_text(encoding="utf-8")))]
    paths = [link.split("#")[0] for link in links if not re.match(r"[a-z]+:|#", link)]
    assert [path for path in paths if not (document.parent / path).exists()] == []


@documents
def test_no_placeholder_is_left(document):
    assert re.findall(r"^[A-Z]{6,}$", document.read_text(encoding="utf-8"), flags=re.MULTILINE) == []


@documents
def test_glosstune_commands_and_options_exist(document):
    lines = command_lines(document.read_text(encoding="utf-8"))
    assert [wrong for line in lines if (wrong := wrong_glosstune(line))] == []


@documents
def test_make_targets_exist(document):
    rules = re.findall(r"^([a-z][\w -]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    targets = {target for rule in rules for target in rule.split()}
    lines = command_lines(document.read_text(encoding="utf-8"))
    assert [wrong for line in lines if (wrong := wrong_make(line, targets))] == []


@documents
def test_python_blocks_compile(document):
    for _, language, body in FENCE.findall(document.read_text(encoding="utf-8")):
        if language == "python":
            compile(textwrap.dedent(body), str(document), "exec")


@documents
def test_no_path_of_a_machine_and_no_registry_is_named(document):
    lines = document.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if MACHINE.search(line)] == []


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("glosstune sweep my.yaml search.samples=8 --out runs/a", None),
        (".venv/bin/glosstune results runs/a --format=csv  # every --column", None),
        ("glosstune --help", None),
        ("# glosstune swep my.yaml", "no command swep"),
        ("RAY_ADDRESS=x glosstune results runs/a --fromat csv", "has no option --fromat"),
    ],
)
def test_wrong_commands_are_noticed(line, complaint):
    wrong = wrong_glosstune(line)
    assert wrong is None if complaint is None else complaint in wrong


def test_wrong_targets_are_noticed():
    text = '```sh\n$ make sweep ARGS="a b" && make tset\n```\n`make check`\n'
    wrong = [wrong for line in command_lines(text) if (wrong := wrong_make(line, {"sweep", "check"}))]
    assert wrong == ["make tset: no target tset"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built by the line of `make docs` into a folder that is not the checkout's."""
    folder = tmp_path_factory.mktemp("site")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (line,) = re.findall(r"^\t\$\(BIN\)/python (-m sphinx .*) site$", makefile, re.MULTILINE)
    built = subprocess.run([sys.executable, *shlex.split(line), folder], cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder


@pytest.mark.slow
def test_the_site_has_every_page_and_opens_with_the_readme(site):
    written = {path.relative_to(site).with_suffix(".md") for path in site.rglob("*.html")}
    assert {document.relative_to(ROOT) for document in DOCUMENTS} <= written
    assert (site / "index.html").read_text(encoding="utf-8") == (site / "README.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_site_loads_nothing_from_another_host(site):
    files = [path for path in site.rglob("*") if path.suffix in (".html", ".css")]
    assert [found for path in files for found in LOADED.findall(path.read_text(encoding="utf-8"))] == []


@pytest.mark.slow
@pytest.mark.parametrize("package", ["spaces", "models", "trainables", "search", "results"])
def test_the_site_documents_every_public_name(site, package):
    page = (site / "docs" / "api" / f"glosstune.{package}.html").read_text(encoding="utf-8")
    names = importlib.import_module(f"glosstune.{package}").__all__
    assert [name for name in names if f'id="glosstune.{package}.{name}"' not in page] == []
