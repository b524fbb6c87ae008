"""A sweep on machines of others: Ray jobs, SLURM and Kubernetes."""

from typing import TYPE_CHECKING

from glosstune.spaces.lazy import import_later

if TYPE_CHECKING:
    from glosstune.search.jobs.submission import submit
else:
    __getattr__, __dir__ = import_later(__name__, __file__)

__all__ = ["submit"]
