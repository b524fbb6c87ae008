"""A sweep on machines of others: Ray jobs, SLURM and Kubernetes."""

__all__: list[str] = []
