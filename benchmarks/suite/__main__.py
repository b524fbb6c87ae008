"""Run the benchmarks of the suite one after the other, on a machine that does nothing else: make bench

Each puts its figures into benchmarks/results.json and the table of docs/performance.md as soon as it has them; those of
scripts that are not run stay. `make bench ARGS=start_up` runs one; `make bench ARGS=--short` shows that all run, and
writes nothing.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from suite import SCRIPTS, shown

BENCHMARKS = Path(__file__).parents[1]
RESULTS = BENCHMARKS / "results.json"
DOCUMENT = BENCHMARKS.parent / "docs" / "performance.md"
WIDTH = 120
MARKS = ("<!-- make bench writes from here -->", "<!-- to here -->")


def run(script: str, *, short: bool) -> dict[str, Any]:
    """What a script measured, when and on what.

    Raises:
        CalledProcessError: it failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ratios.json"
        command = [sys.executable, str(BENCHMARKS / f"{script}.py"), "--json", str(file), *["--short"] * short]
        subprocess.run(command, check=True)
        ratios = json.loads(file.read_text(encoding="utf-8"))
    return {"date": datetime.now(UTC).date().isoformat(), "machine": describe_machine(), "ratios": ratios}


def describe_machine() -> str:
    """What speeds depend on; no name of a machine."""
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "ray"))
    hardware = ", ".join([f"{os.cpu_count()} cores ({platform.machine()})", *gpus])
    return f"{hardware}, Python {platform.python_version()}, {versions}"


def write_table(document: str, results: Mapping[str, Mapping[str, Any]]) -> str:
    """The document with the results in the place of what is between its marks."""
    before, rest = document.split(MARKS[0])
    _, after = rest.split(MARKS[1])
    rows = ["| measured | against | values | ratio | aim | met |", "|---|---|---|---|---|---|"]
    machines: dict[str, list[str]] = {}
    for script, result in results.items():
        machines.setdefault(f"{result['machine']}, {result['date']}", []).append(f"`{script}.py`")
        rows += [_row(ratio) for ratio in result["ratios"]]
    where = [textwrap.fill(f"{', '.join(scripts)}: {machine}.", WIDTH) for machine, scripts in machines.items()]
    return "".join([before, MARKS[0], "\n\n", "\n".join(rows), "\n\n", "\n".join(where), "\n\n", MARKS[1], after])


def _row(ratio: Mapping[str, Any]) -> str:
    measured, _, against = ratio["name"].partition(" against ")
    measured = measured.removesuffix(",")
    values = f"{shown(ratio['measured'])} against {shown(ratio['against'])} {ratio['unit']}"
    low, high = ratio["ratio_from_to"]
    spread = f"{ratio['ratio']:.3g} ({low:.3g} to {high:.3g}, {ratio['rounds']} rounds)"
    met = {True: "yes", False: "no", None: ""}[ratio["met"]]
    aim = ratio["aim"].replace("<=", "≤").replace(">=", "≥")
    return f"| {measured} | {against} | {values} | {spread} | {aim} | {met} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scripts", nargs="*", help=f"of {', '.join(SCRIPTS)}; default all")
    parser.add_argument("--short", action="store_true", help="only shows that they run; writes nothing")
    options = parser.parse_args()
    if unknown := set(options.scripts) - set(SCRIPTS):
        parser.error(f"no benchmark of the suite: {', '.join(sorted(unknown))}; those are {', '.join(SCRIPTS)}")
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    failed = []
    for script in options.scripts or SCRIPTS:
        print(f"{script}.py", flush=True)
        try:
            results[script] = run(script, short=options.short)
        except subprocess.CalledProcessError as error:
            failed.append(f"{script}.py ended with {error.returncode}")
            continue
        if not options.short:
            ordered = {name: results[name] for name in SCRIPTS if name in results}
            RESULTS.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
            document = DOCUMENT.read_text(encoding="utf-8")
            DOCUMENT.write_text(write_table(document, ordered), encoding="utf-8")
    if failed:
        sys.exit("\n".join(failed))


if __name__ == "__main__":
    main()
