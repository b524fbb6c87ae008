"""Put the figures, the headline and the table of trials together into one HTML file."""

import json
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import plotly.io
from jinja2 import Environment, StrictUndefined
from plotly.offline import get_plotlyjs

from glosstune.results.analysis.confirmation import shorten_confirmation
from glosstune.results.analysis.explaining import describe_parameters, short
from glosstune.results.analysis.stops import sum_costs
from glosstune.results.reading.columns import TRIAL_COLUMNS
from glosstune.results.reading.epoch_metrics import by_scoring
from glosstune.results.reading.frames import name_parameters
from glosstune.results.reading.indicators import INDICATORS
from glosstune.results.reading.loading import Results
from glosstune.results.reading.names import HYPOTHESES, TRIALS
from glosstune.results.report import figures
from glosstune.results.report.confusions import count_confusions, read_hypotheses
from glosstune.results.report.front import draw_front
from glosstune.spaces.files.atomic import write_whole

# Title, what to know when reading it, and who draws it.
_FIGURES: Mapping[str, tuple[str, str, Callable[[Results], go.Figure | None]]] = {
    "incumbent": ("The best so far", "", figures.draw_incumbent),
    "learning": ("Learning curves", "A cross marks a trial that was stopped early or failed.", figures.draw_learning),
    "best": ("The best trial", "", figures.draw_best),
    "front": ("Trade-offs", "Large points are the trials that no other one beats in everything.", draw_front),
    "strategies": (
        "Strategies",
        "The search visits them unequally; glosstune confirm --per strategy does not.",
        figures.draw_strategies,
    ),
    "parallel": ("Parameters together", "Drag along an axis to keep a range.", figures.draw_parallel),
    "slices": ("Parameters one by one", "All else differs between these trials too.", figures.draw_slices),
    "importance": (
        "Importance",
        "Of {trials} trials; under ten a parameter it is mostly noise.",
        figures.draw_importance,
    ),
    "stops": ("Why trials ended", "", figures.draw_stops),
    "timeline": ("Who trained when", "", figures.draw_timeline),
}
_MOST_GLOSSES = 15
_HIDDEN = ("best_checkpoint", "last_checkpoint", "trial_id")


def write_report(results: Results, path: Path | str, confirmed: pd.DataFrame | None = None) -> None:
    """Write one HTML file that holds everything it shows: no part of it is loaded from anywhere.

    Args:
        confirmed: what ``glosstune confirm`` came to.

    Raises:
        FolderError: no trial has reported a WER yet, hypotheses that are there cannot be read, or the file cannot be
            written.
    """
    best = results.best
    drawn = {name: figure for name, (_, _, draw) in _FIGURES.items() if (figure := draw(results)) is not None}
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["cell"] = lambda value: "-" if pd.isna(value) else short(value)
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "allow_nan": False}
    page = environment.from_string(_resource("page.html")).render(
        title=f"Sweep {', '.join(results.sweeps['sweep'])}",
        lead=_lead(results, best),
        cards=list(_cards(results, best, confirmed)),
        confirmed=None if confirmed is None else shorten_confirmation(confirmed),
        figures=[(name, _FIGURES[name][0], _FIGURES[name][1].format(trials=len(results.trials))) for name in drawn],
        confusions=_confusions(results),
        footer=f"Made by glosstune from {', '.join(results.sweeps['folder'])}",
        style=_resource("page.css"),
        script=_resource("page.js"),
        plotly=get_plotlyjs(),
        data=_data(results, drawn, best),
    )
    write_whole(path, lambda partial: partial.write_text(page, encoding="utf-8"))


def _resource(name: str) -> str:
    return files("glosstune.results.report").joinpath(name).read_text(encoding="utf-8")


def _lead(results: Results, best: pd.Series) -> str:
    given = describe_parameters(best, name_parameters(results.trials))
    return f"Best trial {best['trial']}, epoch {best['epoch_of_best']} of {best['epochs']}: {given}"


def _cards(results: Results, best: pd.Series, confirmed: pd.DataFrame | None) -> Iterator[tuple[str, str]]:
    """What stands large at the top, and what it is."""
    costs = sum_costs(results)
    yield f"{best['wer_best']:.1%}", f"best WER on dev{by_scoring(results.scoring)}"
    if results.target is not None:
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


def _confusions(results: Results) -> list[pd.DataFrame]:
    """The glosses that the best trial misses most, and its confusions; nothing without its hypotheses."""
    best = results.best
    path = results.folders[best["sweep"]] / TRIALS / best["trial_id"] / HYPOTHESES
    if not path.is_file():
        return []
    worst, confused = count_confusions(read_hypotheses(path))
    return [table.head(_MOST_GLOSSES) for table in (worst[worst["missed"] > 0], confused)]


def _data(results: Results, drawn: Mapping[str, go.Figure], best: pd.Series) -> dict[str, Any]:
    """What the script draws and lists."""
    for figure in drawn.values():
        margin = {"l": 60, "r": 30, "t": 30, "b": 50} | figure.layout.margin.to_plotly_json()
        figure.update_layout(template="none", margin=margin)
        figure.update_layout(legend={"orientation": "h", "y": 1.08, "yanchor": "bottom"})
    shown = [name for name in results.trials.columns if name not in _HIDDEN and _tells(results, name)]
    first = ["sweep", "trial", "status", "wer_best", "epoch_of_best", "epochs"]
    shown = [name for name in first if name in shown] + [name for name in shown if name not in first]
    trials = results.trials[shown].astype(object).where(results.trials[shown].notna(), None)
    place = results.trials.index.get_loc(best.name)
    return {
        "figures": {name: json.loads(plotly.io.to_json(figure)) for name, figure in drawn.items()},
        "columns": shown,
        "trials": [[_plain(value) for value in row] for row in trials.itertuples(index=False)],
        "best": place,
        "sort": "wer_best",
    }


def _tells(results: Results, name: str) -> bool:
    """Whether a column says anything of any trial; indicators are always there."""
    if name == "sweep":
        return len(results.sweeps) > 1
    return name in INDICATORS or name not in TRIAL_COLUMNS or bool(results.trials[name].notna().any())


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)
