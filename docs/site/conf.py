"""The site that `make docs` builds: Markdown where it lies, and an API reference made from docstrings."""

import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from setuptools import find_packages
from sphinx.application import Sphinx

from docs.site.reference import write_reference  # the root is on the path, from which Sphinx is called

ROOT = Path(__file__).parents[2]
API = ROOT / "docs" / "api"

project = html_title = "glosstune"
release = metadata.version("glosstune")

# The repository itself is the source, so that links between pages and to files of the code are those that GitHub
# follows. A page that NAVIGATION does not name fails the build; a page that is not there is left out.
root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "docs/api/*.rst"]
exclude_patterns = [".*"]  # so that an environment with its thousands of folders is not walked
NAVIGATION = {
    "Start": {
        "Quickstart": "docs/quickstart",
        "Install": "docs/install",
        "Windows and macOS": "docs/windows",
        "Your corpus": "docs/your-corpus",
        "Troubleshooting": "docs/troubleshooting",
    },
    "Guides": {
        "Why 97 %": "docs/why-97",
        "Input conditioning": "docs/conditioning",
        "Strategies": "docs/strategies",
        "Augmentation": "docs/augmentation",
        "Layouts": "docs/layouts",
        "Pretrained weights": "docs/pretrained-weights",
        "From the plateau to a student": "docs/from-plateau-to-student",
        "Continuous signing": "docs/continuous",
        "Results": "docs/results",
        "Trade-offs": "docs/trade-offs",
        "Clusters": "docs/cluster",
        "GPUs": "docs/gpus",
        "Ten thousand trials": "docs/scaling",
        "Security": "docs/security",
        "In a Ray Tuner of your own": "docs/ray-tune",
        "Parts of your own": "docs/extending",
    },
    "Reference": {"Keys of a sweep file": "docs/keys", "API": "docs/api"},
    "Measured": {"Tasks for searches": "docs/benchmark", "Performance": "docs/performance", "Search": "docs/search"},
    "Project": {
        "Versions": "docs/versions",
        "Architecture": "ARCHITECTURE",
        "Contributing": "CONTRIBUTING",
        "Changelog": "CHANGELOG",
    },
}

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 4  # by GitHub's rule
highlight_language = "none"
default_role = "code"
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints_format = "short"
add_module_names = False
napoleon_use_ivar = True

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = html_show_copyright = False


def toctree(pages: dict[str, str], *options: str) -> Iterator[str]:
    there = [f"{title} </{page}>" for title, page in pages.items() if list(ROOT.glob(f"{page}.*"))]
    yield from ("", "```{toctree}", ":hidden:", *options, "", *there, "```", "")


def add_navigation(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the tables of contents into two pages; on GitHub they would be code."""
    lines = [source[0]]
    if page == "README":
        for caption, pages in NAVIGATION.items():
            lines += toctree(pages, f":caption: {caption}")
    elif page == "docs/api":
        lines += toctree({name: f"docs/api/{name}" for name in sorted(path.stem for path in API.glob("*.rst"))})
    source[0] = "\n".join(lines)


def finish(app: Sphinx, exception: Exception | None) -> None:
    """Have the README be what a folder or a web server opens, and leave nothing but the site."""
    if exception is None:
        shutil.copyfile(app.outdir / "README.html", app.outdir / "index.html")
    shutil.rmtree(app.doctreedir, ignore_errors=True)


def setup(app: Sphinx) -> None:
    write_reference(API, [name for name in find_packages(str(ROOT / "src")) if "." in name])
    app.connect("source-read", add_navigation)
    app.connect("build-finished", finish)
