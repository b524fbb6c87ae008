"""A sweep on machines of others: Ray jobs, SLURM and Kubernetes."""

from glosstune.search.cluster.submission import submit

__all__ = ["submit"]
