"""Read what a sweep left in its folder; nothing here starts a trial or opens a pickle."""

from glosstune.results.curves import draw_curves
from glosstune.results.indicators import INDICATORS, judge_trials
from glosstune.results.loading import Results, load_results
from glosstune.results.strategies import compare_strategies
from glosstune.results.table import format_results, write_results

__all__ = [
    "INDICATORS",
    "Results",
    "compare_strategies",
    "draw_curves",
    "format_results",
    "judge_trials",
    "load_results",
    "write_results",
]
