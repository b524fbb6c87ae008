"""Read what a sweep left in its folder; nothing here starts a trial or opens a pickle."""

from glosstune.results.curves import draw_curves
from glosstune.results.loading import Results, load_results
from glosstune.results.table import format_results, write_results

__all__ = ["Results", "draw_curves", "format_results", "load_results", "write_results"]
