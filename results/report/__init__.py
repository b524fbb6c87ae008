"""One page that shows a sweep to anybody: a file that works offline and asks nothing of any server."""

from glosstune.results.report.page import write_report

__all__ = ["write_report"]
