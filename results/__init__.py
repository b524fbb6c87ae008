"""Read what sweeps left in their folders; nothing here starts a trial or opens a pickle."""

from typing import TYPE_CHECKING

from glosstune.results.curves import draw_curves
from glosstune.results.explaining import explain_trial
from glosstune.results.incumbent import compare, rank_trials, trace_incumbent
from glosstune.results.indicators import INDICATORS, judge_trials
from glosstune.results.learning import draw_trial
from glosstune.results.loading import Results, load_results
from glosstune.results.stops import count_rungs, count_stops, sum_costs
from glosstune.results.strategies import compare_strategies
from glosstune.results.table import format_results, format_table, select_trials, write_results

if TYPE_CHECKING:
    from glosstune.results.importance import rank_importance, tabulate_effects
    from glosstune.results.report import write_report

__all__ = [
    "INDICATORS",
    "Results",
    "compare",
    "compare_strategies",
    "count_rungs",
    "count_stops",
    "draw_curves",
    "draw_trial",
    "explain_trial",
    "format_results",
    "format_table",
    "judge_trials",
    "load_results",
    "rank_importance",
    "rank_trials",
    "select_trials",
    "sum_costs",
    "tabulate_effects",
    "trace_incumbent",
    "write_report",
    "write_results",
]


def __getattr__(name: str) -> object:
    # Optuna and plotly take a second to import, which a table of trials should not pay.
    if name in ("rank_importance", "tabulate_effects"):
        from glosstune.results import importance

        return getattr(importance, name)
    if name == "write_report":
        from glosstune.results.report import write_report

        return write_report
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
