"""Put the figures, the headline and the table of trials together into one HTML file."""

import base64
import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment, StrictUndefined
from plotly.offline import get_plotlyjs

from glosstune.results.analysis.comparability import tell_differences
from glosstune.results.analysis.confirmation import shorten_confirmation
from glosstune.results.analysis.explaining import describe_parameters, short
from glosstune.results.analysis.metrics import Mode, Ranking, best_of, check_metric, check_mode
from glosstune.results.analysis.stops import sum_costs
from glosstune.results.reading.epoch_metrics import by_scoring
from glosstune.results.reading.frames import name_parameters
from glosstune.results.reading.loading import Results
from glosstune.results.reading.names import HYPOTHESES, TRIALS
from glosstune.results.report.confusions import count_confusions, read_hypotheses
from glosstune.results.report.figures import draw_front, draw_importance
from glosstune.results.report.page_data import build_data
from glosstune.results.report.provenance import tell_provenance
from glosstune.results.table import in_percent
from glosstune.results.text import printable, rounded
from glosstune.spaces.errors import FolderError
from glosstune.spaces.files.atomic import write_text


class _Shown(NamedTuple):
    """A figure of the page.

    Attributes:
        title: its heading.
        note: what to know when reading it.
        draw: who draws it; None where the script does, by a function of this name in ``assets/figures.js``.
    """

    title: str
    note: str = ""
    draw: Callable[[Results, Ranking], go.Figure | None] | None = None


_FIGURES: Mapping[str, _Shown] = {
    "incumbent": _Shown("The best so far"),
    "learning": _Shown(
        "Learning curves",
        "A curve ends in a dot where its trial finished, a cross where it was stopped or failed, else a ring.",
    ),
    "best": _Shown("The best trial"),
    "front": _Shown("Trade-offs", "Large points are the trials that no other one beats in everything.", draw_front),
    "strategies": _Shown("Strategies", "The search visits them unequally; glosstune confirm --per strategy does not."),
    "parallel": _Shown("Parameters together", "Drag along an axis to keep a range."),
    "slices": _Shown("Parameters one by one", "All else differs between these trials too."),
    "importance": _Shown("Importance", draw=draw_importance),
    "stops": _Shown("Why trials ended", "A click on a bar keeps its trials."),
    "timeline": _Shown("Who trained when"),
}
# In this order, for each uses those before it.
_SCRIPTS = ("filter.js", "figures.js", "table.js", "trial.js", "page.js")
_MOST_GLOSSES = 15
_BY_WER = Ranking()


def write_report(
    results: Results,
    path: Path | str,
    confirmed: pd.DataFrame | None = None,
    *,
    metric: str = "wer",
    mode: Mode | None = None,
) -> None:
    """Write one HTML file that holds everything it shows: no part of it is loaded from anywhere.

    Args:
        confirmed: what ``glosstune confirm`` came to.
        metric: that the best trial is the best by, and that figures begin with.
        mode: as for ``rank_trials``.

    Raises:
        FolderError: the file cannot be written.
        SettingError: there is no such metric, or mode.

    Warns:
        UserWarning: hypotheses that are there cannot be read.
    """
    ranking = rank_by(results, metric, mode)
    page = render_report(results, draw_figures(results, ranking=ranking), confirmed, ranking)
    write_text(path, page)


def rank_by(results: Results, metric: str = "wer", mode: Mode | None = None) -> Ranking:
    """What a page ranks trials by; SettingError if there is no such metric, or mode."""
    return Ranking(check_metric(results.epochs, metric), check_mode(metric, mode))


def draw_figures(
    results: Results, kept: Mapping[str, go.Figure] | None = None, ranking: Ranking = _BY_WER
) -> dict[str, go.Figure]:
    """The figures that the page does not draw itself.

    Args:
        kept: some that were drawn before and are to stay.
    """
    wanted = {
        name: shown.draw for name, shown in _FIGURES.items() if shown.draw is not None and name not in (kept or {})
    }
    drawn = {name: draw(results, ranking) for name, draw in wanted.items()}
    return {**(kept or {}), **{name: _styled(figure) for name, figure in drawn.items() if figure is not None}}


def render_report(
    results: Results,
    figures: Mapping[str, go.Figure],
    confirmed: pd.DataFrame | None = None,
    ranking: Ranking = _BY_WER,
) -> str:
    """The page as text (see ``write_report``).

    Args:
        figures: see ``draw_figures``.
    """
    best = _best(results, ranking)
    plotly, script = get_plotlyjs(), "\n".join(['"use strict";', *map(_resource, _SCRIPTS)])
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["cell"] = lambda value: "-" if pd.isna(value) else printable(short(value))
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "allow_nan": False}
    return environment.from_string(_resource("page.html")).render(
        title=printable(f"Sweep {', '.join(results.sweeps['sweep'])}"),
        lead=printable(_lead(results, best, ranking)),
        warnings=tell_differences(results),
        cards=list(_cards(results, best, confirmed, ranking)),
        confirmed=None if confirmed is None else shorten_confirmation(confirmed),
        figures=_FIGURES,
        confusions=[] if best is None else _confusions(results, best),
        provenance=tell_provenance(results),
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        style=_resource("page.css"),
        script=script,
        plotly=plotly,
        policy=_policy(script, plotly),
        data=build_data(results, figures, best, ranking),
    )


def _policy(*scripts: str) -> str:
    """What a browser may do with the page: run these scripts, load nothing; ``unsafe-eval`` is for plotly's WebGL."""
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{each}'" for each in hashes)
    return (
        f"default-src 'none'; script-src {allowed} 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'"
    )


def _styled(figure: go.Figure) -> go.Figure:
    """Without colours of paper and axes, which the page gives it."""
    return figure.update_layout(template="none")


def _resource(name: str) -> str:
    return files("glosstune.results.report").joinpath("assets", name).read_text(encoding="utf-8")


def _best(results: Results, ranking: Ranking) -> pd.Series | None:
    """The row of the best trial, with its ``value`` and ``value_epoch``; None where no trial has any."""
    values = best_of(results.epochs, *ranking).rename(columns={"epoch": "value_epoch"})
    rows = results.trials.merge(values, on=["sweep", "trial"], how="left")  # which keeps their order
    if rows["value"].isna().all():
        return None
    at = rows["value"].argmax() if ranking.mode == "max" else rows["value"].argmin()
    return rows.set_axis(results.trials.index).iloc[at]


def _lead(results: Results, best: pd.Series | None, ranking: Ranking) -> str:
    if best is None:
        return f"No trial has reported a {ranking.label} yet."
    given = describe_parameters(best, name_parameters(results.trials))
    of = f" of {best['sweep']}" if len(results.sweeps) > 1 else ""
    return f"Best trial {best['trial']}{of}, epoch {best['value_epoch']:.0f} of {best['epochs']}: {given}"


def _cards(
    results: Results, best: pd.Series | None, confirmed: pd.DataFrame | None, ranking: Ranking
) -> Iterator[tuple[str, str]]:
    """What stands large at the top, and what it is."""
    costs = sum_costs(results)
    by_wer = ranking.metric == "wer"
    if best is not None and by_wer:
        yield f"{best['value']:.1%}", f"best WER on dev{by_scoring(results.scoring)}"
    elif best is not None:
        value = f"{best['value']:.1%}" if in_percent(ranking.metric) else rounded(best["value"])
        yield value, f"{'highest' if ranking.mode == 'max' else 'lowest'} {ranking.metric}"
    if best is not None and by_wer and results.target is not None:
        verdict = "reached" if best["wer_best"] < results.target else "not reached"
        yield f"{results.target:.0%}", f"target, {verdict}"
    if confirmed is not None and len(confirmed):
        first = confirmed.iloc[0]
        interval = f"{first['test_low']:.1%} to {first['test_high']:.1%}"
        yield f"{first['test_wer']:.1%}", f"confirmed on test, {interval}"
    yield str(len(results.trials)), f"trials, {(results.trials['status'] == 'finished').sum()} to their end"
    yield _duration(costs["train_seconds"].sum()), f"of training, {costs['epochs'].sum()} epochs"
    if (costs["gpu_hours"].fillna(0.0) > 0).any():
        yield f"{costs['gpu_hours'].sum():.1f}", "GPU hours"
    saved = costs["saved_epochs"].sum()
    if saved:
        share = saved / (saved + costs["epochs"].sum())
        yield f"{share:.0%}", f"of a full search saved, {_duration(costs['saved_seconds'].sum())}"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min" if minutes else f"{seconds:.0f} s"


def _confusions(results: Results, best: pd.Series) -> list[pd.DataFrame]:
    """The glosses that the best trial misses most, and its confusions; nothing without its hypotheses."""
    path = results.folders[best["sweep"]] / TRIALS / best["trial_id"] / HYPOTHESES
    if not path.is_file():
        return []
    try:
        worst, confused = count_confusions(read_hypotheses(path))
    except FolderError as error:
        warnings.warn(f"{error}; what was confused is left out", stacklevel=2)
        return []
    worst["share"] = [f"{share:.0%}" for share in worst["share"]]
    return [table.head(_MOST_GLOSSES) for table in (worst[worst["missed"] > 0], confused)]
