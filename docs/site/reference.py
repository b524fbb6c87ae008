"""Write the pages of the API reference: what each package lists in its `__all__`, for autodoc to fill in."""

import importlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path


def heading(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}\n"


def constant(name: str, value: object) -> str:
    """A value is shown as it is: it has no docstring but that of its type."""
    directive = f".. py:data:: {name.rpartition('.')[2]}\n"
    if not isinstance(value, Mapping):
        return f"{directive}   :value: {value!r}\n"
    return f"{directive}\n" + "".join(f"   - ``{key}``: ``{each!r}``\n" for key, each in value.items())


def entry(name: str, value: object, documented: dict[int, str]) -> str:
    """What documents a name: a directive, or a reference where another package has documented the same thing."""
    if not callable(value):
        return constant(name, value)
    home = documented.setdefault(id(value), name)
    if home != name:
        return f"- ``{name.rpartition('.')[2]}``: :py:obj:`{home}`\n"
    if inspect.isclass(value):
        return f".. {'autoexception' if issubclass(value, BaseException) else 'autoclass'}:: {name}\n"
    return f".. autofunction:: {name}\n"


def sections(packages: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each package that has public names, and what its page says of it; the root last, as it only hands names on."""
    documented: dict[int, str] = {}
    for package in [*sorted(packages), "glosstune"]:
        module = importlib.import_module(package)
        names = [name for name in getattr(module, "__all__", ()) if not inspect.ismodule(getattr(module, name))]
        if names:
            title = heading(package, "-" if package.count(".") > 1 else "=")
            texts = (entry(f"{package}.{name}", getattr(module, name), documented) for name in names)
            yield package, "\n".join([title, f".. automodule:: {package}\n   :no-members:\n", *texts])


def write_reference(folder: Path, packages: Sequence[str]) -> None:
    """Write a page for each top package, with a section for each package inside it; remove all other pages."""
    pages: dict[str, str] = {}
    for package, text in sections(packages):
        top = ".".join(package.split(".")[:2])
        pages[top] = f"{pages[top]}\n{text}" if top in pages else text
    folder.mkdir(exist_ok=True)
    for name, text in pages.items():
        (folder / f"{name}.rst").write_text(text, encoding="utf-8")
    for path in folder.iterdir():
        if path.stem not in pages:
            path.unlink()
