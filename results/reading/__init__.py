"""From the folders that sweeps left to data frames."""
