"""The results of sweeps as Python's users hold them: they show themselves in a prompt and in a notebook."""

import base64
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from glosstune.results.analysis.explaining import describe_parameters, short
from glosstune.results.analysis.metrics import Mode
from glosstune.results.reading import loading
from glosstune.results.reading.epoch_metrics import by_scoring
from glosstune.results.reading.frames import name_parameters
from glosstune.results.reading.names import CURVES, REPORT, check_output
from glosstune.results.reading.remote import origin
from glosstune.results.text import printable
from glosstune.spaces.errors import FolderError
from glosstune.spaces.files.addresses import is_uri

_SHOWN_TRIALS = 5
_NAMED_SWEEPS = 3
_HEADINGS = {"wer_best": "best WER", "epoch_of_best": "at epoch"}


class Results(loading.Results):
    """What the trials of one or more sweeps were given and reached.

    ``sweeps`` has a row a sweep. ``trials`` has a row a trial: its number, a column for each parameter (NA where a
    condition left it out; ``config_`` stands before a name that another column has), its end, its first lowest WER
    with the epoch, the success indicators (see ``judge_trials``), and its checkpoints. ``epochs`` has a row a
    reported epoch, with every metric; ``decisions`` one for each time a trial began, waited, went on or ended. WER is
    a fraction; ``loss_*`` is the training loss. A trial without an end is ``running``. ``folders`` are those of the
    sweeps on this machine, by their names.
    """

    def __repr__(self) -> str:
        """The headline, the best trial with its configuration, and what to ask next."""
        return "\n".join((*map(printable, self._lines()), "see .trials, .epochs, .best, .report()"))

    def _repr_html_(self) -> str:
        """The same for a notebook, with a table of the best trials and their learning curves."""
        lines = "<br>\n".join(escape(printable(line)) for line in self._lines())
        if self.trials["wer_best"].isna().all():
            return f"<p>{lines}</p>"
        return f"<p>{lines}</p>\n{self._table()}\n{self._curves()}"

    def report(self, path: Path | str | None = None, *, metric: str = "wer", mode: Mode | None = None) -> Path:
        """Write the report, one HTML file that works offline, and return where it lies.

        Args:
            path: default ``report.html`` in the folder of the first sweep; in the current one where that lies on
                object storage.
            metric: that the best trial is the best by, and that figures begin with.
            mode: as for ``rank_trials``.

        Raises:
            FolderError: the file cannot be written.
            SettingError: there is no such metric, or mode.
        """
        from glosstune.results.report import write_report  # with plotly, which takes its time to import

        target = self.report_path(path)
        try:
            write_report(self, target, self.confirmation, metric=metric, mode=mode)
        except FolderError as error:
            if path is not None:
                raise
            raise FolderError(f"{error}; name a file elsewhere: glosstune report --out FILE") from error
        return target

    def report_path(self, path: Path | str | None = None) -> Path:
        """Where ``report`` writes."""
        first = next(iter(self.folders.values()))
        path = (Path() if is_uri(origin(first)) else first) / REPORT if path is None else Path(path)
        return check_output(path.expanduser())

    def _lines(self) -> Iterator[str]:
        trials, sweeps = self.trials, self.sweeps
        counts = ", ".join(f"{count} {status}" for status, count in trials["status"].value_counts().items())
        many = "1 trial" if len(trials) == 1 else f"{len(trials)} trials"
        names = ", ".join(sweeps["sweep"]) if len(sweeps) <= _NAMED_SWEEPS else f"{len(sweeps)} sweeps"
        yield f"{names}: {many}{f' ({counts})' if counts else ''}, {len(self.epochs)} epochs"
        if trials["wer_best"].isna().all():
            yield "no trial has reported a WER yet"
            return
        best = self.best
        trial = f"trial {best['trial']}" + f" of {best['sweep']}" * (len(sweeps) > 1)
        target = "" if self.target is None else f"; target {self.target:.0%} {self._verdict(best)}"
        scored = by_scoring(self.scoring)
        yield f"best: {trial}, WER {best['wer_best']:.1%}{scored} at epoch {best['epoch_of_best']}{target}"
        yield f"with {describe_parameters(best, name_parameters(trials))}"

    def _verdict(self, best: pd.Series) -> str:
        return "reached" if self.target is not None and best["wer_best"] < self.target else "not reached"

    def _table(self) -> str:
        """The best trials, each parameter in a column."""
        best = self.trials.dropna(subset="wer_best").sort_values("wer_best", kind="stable").head(_SHOWN_TRIALS)
        parameters = [name for name in name_parameters(self.trials) if best[name].notna().any()]
        columns = ["sweep"] * (len(self.sweeps) > 1) + ["trial", "status", "epochs", *_HEADINGS, *parameters]
        head = "".join(f"<th>{escape(printable(_HEADINGS.get(name, name)))}</th>" for name in columns)
        rows = [
            "".join(f"<td>{escape(printable(_cell(name, row[name])))}</td>" for name in columns)
            for _, row in best.iterrows()
        ]
        body = "\n".join(f"<tr>{row}</tr>" for row in rows)
        return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"

    def _curves(self) -> str:
        from glosstune.results.report.curves import draw_curves

        with TemporaryDirectory() as folder:
            draw_curves(self, Path(folder) / CURVES)
            picture = base64.b64encode((Path(folder) / CURVES).read_bytes()).decode()
        source, words = f"data:image/png;base64,{picture}", "Learning curves of all trials"
        return f'<img src="{source}" alt="{words}" style="width: 100%; max-width: 800px">'


def load_results(folders: Path | str | Sequence[Path | str], *, leave_out: bool = False) -> Results:
    """Return the results of a sweep, or of several together; plain Ray Tune experiments can be among them.

    A sweep on object storage is copied to this machine first, but for its checkpoints (see ``fetch_file``).

    Only the record, ``sweep.yaml`` and, of Ray's folders, JSON and CSV are read: checkpoints and pickles are named,
    never opened. Of a file that is broken in part, all else that it says is shown.

    Args:
        leave_out: what is there and cannot be read as a sweep, where it stands beside others that can.

    Raises:
        FolderError: a folder that is none of a sweep, or whose record says nothing.

    Warns:
        UserWarning: a file that cannot be read, in part or whole; what is left out.
    """
    return Results(**vars(loading.load_frames(folders, leave_out=leave_out)))


def _cell(name: str, value: Any) -> str:
    if pd.isna(value):
        return "-"
    return f"{value:.1%}" if name == "wer_best" else short(value)
