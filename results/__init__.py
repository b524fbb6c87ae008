"""Read what sweeps left in their folders; nothing here starts a trial or opens a pickle."""

from typing import TYPE_CHECKING

from glosstune.spaces.lazy import import_later

if TYPE_CHECKING:
    from glosstune.results.analysis.explaining import explain_trial
    from glosstune.results.analysis.importance import rank_importance, tabulate_effects
    from glosstune.results.analysis.incumbent import compare, rank_trials, trace_incumbent
    from glosstune.results.analysis.stops import count_rungs, count_stops, sum_costs
    from glosstune.results.analysis.strategies import compare_strategies
    from glosstune.results.reading.indicators import INDICATORS, judge_trials
    from glosstune.results.report import write_report
    from glosstune.results.report.curves import draw_curves
    from glosstune.results.report.learning import draw_trial
    from glosstune.results.showing import Results, load_results
    from glosstune.results.table import format_results, format_table, select_trials, write_results
else:
    # pandas, Optuna and plotly take a second or two to import, which the record of a sweep needs none of.
    __getattr__, __dir__ = import_later(__name__, __file__)

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
