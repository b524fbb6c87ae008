"""The overfitting test as a command: live progress, a picture, a curve and a report in a folder."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from glosstune.results.report.learning import draw_learning
from glosstune.results.text import lines_to
from glosstune.search.config.rules import check_parts
from glosstune.search.config.sweep import Sweep
from glosstune.spaces.errors import FolderError
from glosstune.spaces.files.atomic import check_free
from glosstune.trainables.checks.overfitting import LEARNED_LOSS, OverfitResult, OverfitSettings, overfit
from glosstune.trainables.corpora import pack_corpus

_STEPS = 20  # lines in a log file, at most


def run_overfit(sweep: Sweep, settings: OverfitSettings, out: Path, console: Console) -> OverfitResult:
    """Run the test on the model and corpus of a sweep, and write ``overfit.png``, ``.json`` and ``.csv`` into a folder.

    Raises:
        FolderError: the folder exists already or cannot be written.
        CorpusError: the corpus cannot be trained on, or has too few utterances.
    """
    check_free(out)
    check_parts(sweep)
    corpus = pack_corpus(sweep.corpus)
    lines_to(console)(f"{settings.samples} utterances of {corpus.folder.name}, {sweep.model.kind}")
    with _Display(settings, console) as display:
        result = overfit(sweep.model, sweep.corpus, corpus, settings, display.show)
    try:
        out.mkdir(parents=True)
    except OSError as error:
        raise FolderError(f"{out}: cannot be made: {error}; choose another folder with --out") from error
    result.curve.to_csv(out / "overfit.csv", index=False)
    (out / "overfit.json").write_text(json.dumps(_report(sweep, result), indent=1), encoding="utf-8")
    title = f"{sweep.model.kind} on {settings.samples} utterances: {_verdict(result)}"
    draw_learning(result.curve, out / "overfit.png", title, floor=result.floor, target=None, scored="training")
    return result


def describe_overfit(result: OverfitResult) -> str:
    """What the test came to, and what to try next, as lines."""
    lines = [f"{'PASS' if result.passed else 'FAIL'}  {_verdict(result)}"]
    last = result.curve.iloc[-1]
    lines.append(
        f"loss {last['train_loss']:.3f} (CTC floor {result.floor:.2f}), WER {last['wer']:.1%}, "
        f"{result.parameters:,} parameters, {result.curve['epoch_s'].sum():.0f} s"
    )
    lines += [f"warning: {warning}" for warning in result.warnings]
    for row in result.utterances.to_dict("records"):
        if row["reference"] != row["hypothesis"]:
            lines += [f"  {row['key']}", f"    is     {row['reference']}", f"    wrote  {row['hypothesis'] or '-'}"]
    if not result.passed:
        lines.append("next: the same with --preset A, B or C; one that passes nowhere cannot learn this corpus either")
    return "\n".join(lines)


def _verdict(result: OverfitResult) -> str:
    if result.passed:
        return f"loss below {LEARNED_LOSS} and WER 0 % at epoch {result.epochs}"
    wer, loss = result.curve["wer"].min(), result.curve["train_loss"].min()
    return f"not learned in {result.epochs} epochs: lowest WER {wer:.1%}, lowest loss {loss:.3f}"


def _report(sweep: Sweep, result: OverfitResult) -> dict[str, Any]:
    return {
        "passed": result.passed,
        "epochs": result.epochs,
        "settings": result.settings.model_dump(mode="json"),
        "model": sweep.model.model_dump(mode="json"),
        "corpus": sweep.corpus.model_dump(mode="json"),
        "parameters": result.parameters,
        "floor": result.floor,
        "warnings": list(result.warnings),
        "utterances": result.utterances.to_dict("records"),
    }


class _Display:
    """A bar in a terminal, a few lines in a file."""

    def __init__(self, settings: OverfitSettings, console: Console) -> None:
        self._epochs = settings.epochs
        self._console = console
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)

    def __enter__(self) -> "_Display":
        self._bar.start()
        self._task = self._bar.add_task("", total=self._epochs)
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def show(self, metrics: Mapping[str, float]) -> None:
        epoch = int(metrics["epoch"])
        told = f"epoch {epoch}: loss {metrics['train_loss']:.3f}, WER {metrics['wer']:.0%}"
        self._bar.update(self._task, completed=epoch, description=told)
        if not self._console.is_terminal and epoch % max(1, self._epochs // _STEPS) == 0:
            lines_to(self._console)(told)
